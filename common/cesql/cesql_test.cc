#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "common/cesql/event_view.h"
#include "common/cesql/program.h"
#include "common/cesql/syntax.h"

namespace dispatch::cesql::cesql_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

cloudevents::Event SomeEvent() {
  cloudevents::Event event;
  event.Set("specversion", "1.0");
  event.Set("id", "1");
  event.Set("source", "/shop/berlin");
  event.Set("type", "order.created");
  event.Set("priority", "10");
  event.Set("name", "Žofie");
  event.Set("urgent", "true");
  event.Set("like1", "x");
  return event;
}

// "true", "5", "'text'", with the kinds of its errors: "0 math".
std::string Eval(std::string_view expression) {
  auto program = Program::Compile(expression);
  if (!program.ok()) return "parse";
  auto event = SomeEvent();
  Answer answer = program->Evaluate(EventView(event));
  std::string out = answer.type == Type::kString    ? "'" + answer.text + "'"
                    : answer.type == Type::kInteger ? std::to_string(answer.number)
                    : answer.number != 0            ? "true"
                                                    : "false";
  for (int i = 0; i <= static_cast<int>(ErrorKind::kGeneric); ++i) {
    auto kind = static_cast<ErrorKind>(i);
    if (answer.errors.Contains(kind)) out += " " + std::string(ErrorKindName(kind));
  }
  return out;
}

struct Case {
  const char* expression;
  const char* result;
};

void ExpectAll(const std::vector<Case>& cases) {
  for (const auto& c : cases) EXPECT_EQ(Eval(c.expression), c.result) << c.expression;
}

TEST(CesqlTest, BreathingTest) {
  EXPECT_EQ(Eval("type = 'order.created' AND priority > 9"), "true");
}

// What the conformance suite does not cover.

TEST(CesqlTest, Precedence) {
  ExpectAll({
      {"true OR true AND false", "false"},  // one level, left to right
      {"true OR (true AND false)", "true"},
      {"true XOR true OR true", "true"},
      {"NOT 'a' = 'b'", "false cast"},  // (NOT 'a') = 'b'
      {"NOT true = false", "true"},
      {"2 + 3 * 4 = 14", "true"},
      {"10 - 4 - 3", "3"},
      {"16 / 4 / 2", "2"},
      {"2 * 3 IN (6, 3)", "2"},  // 2 * (3 IN (6, 3))
      {"(2 * 3) IN (6)", "true"},
      {"1 + 1 LIKE '1'", "2"},
      {"NOT priority LIKE '1_'", "false cast"},  // (NOT priority) LIKE ...
      {"priority NOT LIKE '1_'", "false"},
      {"NOT EXISTS nothing", "true"},
      {"-priority", "-10"},
      {"- 5", "-5"},
      {"4 -1", "3"},
      {"4-1", "3"},
      {"4 - -1", "5"},
      {"4 +1", "5"},
      {"1 < 2 = true", "true"},
      {"'abc' LIKE 'a%' IN (true)", "true"},
  });
}

TEST(CesqlTest, Arithmetic) {
  ExpectAll({
      {"2147483647 + 1", "0 math"},
      {"-2147483648 - 1", "0 math"},
      {"65536 * 65536", "0 math"},
      {"-2147483648 / -1", "0 math"},
      {"-2147483648 % -1", "0"},
      {"- -2147483648", "0 math"},
      {"-7 / 2", "-3"},
      {"-7 % 2", "-1"},
      {"7 % -2", "1"},
      {"2147483648", "parse"},
      {"-2147483648", "-2147483648"},
      {"99999999999999999999999", "parse"},
      {"007", "7"},
      {"'+7' + 0", "7"},
      {"' 7' + 0", "0 cast"},
      {"'2147483648' + 0", "0 cast"},
      {"'' + 0", "0 cast"},
      {"'+' + 0", "0 cast"},
      {"'+-1' + 0", "0 cast"},
  });
}

TEST(CesqlTest, ErrorsPropagateAsTheZeroValueOfTheOperator) {
  ExpectAll({
      {"1 / 0 = 0", "false math"},
      {"nothing + 1", "0 missingAttribute"},
      {"nothing = 1 / 0", "false math missingAttribute"},
      {"LENGTH(nothing)", "0 missingAttribute"},
      {"CONCAT('a', nothing)", "'' missingAttribute"},
      {"UPPER(LEFT('abc', -1))", "'' functionEvaluation"},
      {"LEFT('abc', 'x')", "'' cast"},
      {"true OR nothing", "true"},
      {"false AND nothing", "false"},
      {"nothing OR true", "false missingAttribute"},
      {"true AND 'x'", "false cast"},
      {"nothing IN (1)", "false missingAttribute"},
      {"nothing NOT IN (1)", "false missingAttribute"},
      {"nothing NOT LIKE 'a'", "false missingAttribute"},
      {"1 IN (1, 'a')", "true"},
      {"1 IN ('a', 1)", "false cast"},
      {"1 NOT IN ('a', 1)", "false cast"},
      {"true IN ('TRUE')", "true"},
      {"priority IN (9, 10)", "true"},
      {"1 IN (2, nothing, 1)", "false missingAttribute"},
      {"1 IN (2, priority / 10)", "true"},
      {"NOSUCH(1)", "false missingFunction"},
      {"NOSUCH(1) OR true", "false missingFunction"},
      {"ABS()", "false missingFunction"},
      {"SUBSTRING('a', 1, 1, 1)", "false missingFunction"},
  });
}

TEST(CesqlTest, EqualityCastsToTheRightOperand) {
  ExpectAll({
      {"priority = 10", "true"},
      {"priority = '010'", "false"},
      {"10 = priority", "true"},
      {"'010' = 10", "true"},
      {"urgent = true", "true"},
      {"true = urgent", "true"},
      {"urgent = 1", "false cast"},
      {"1 = true", "true"},
      {"true = 1", "true"},
      {"5 = true", "true"},
      {"true = 5", "false"},
      {"type != 5", "false cast"},
      {"SOURCE = '/shop/berlin'", "true"},
  });
}

TEST(CesqlTest, Strings) {
  ExpectAll({
      {R"('it\'s')", "'it's'"},
      {R"("say \"x\"")", R"('say "x"')"},
      {R"('a\nb')", R"('a\nb')"},
      {R"('a\\b')", R"('a\\b')"},
      {R"('a\"b')", R"('a\"b')"},
      {R"('a''b')", "parse"},
      {"'a", "parse"},
      {R"('a\')", "parse"},
      {"'Žofie' = name", "true"},
      {"LENGTH(name)", "5"},
      {"LEFT(name, 1)", "'Ž'"},
      {"RIGHT(name, 4)", "'ofie'"},
      {"SUBSTRING(name, 1, 2)", "'Žo'"},
      {"SUBSTRING(name, -5, 1)", "'Ž'"},
      {"SUBSTRING(name, 5, 100)", "'e'"},
      {"SUBSTRING(name, 6)", "'' functionEvaluation"},
      {"SUBSTRING('', 0)", "''"},
      {"SUBSTRING('abc', 2, -1)", "'' functionEvaluation"},
      {"UPPER(name)", "'ŽOFIE'"},
      {"LOWER(UPPER(name))", "'žofie'"},
      {"TRIM('\xC2\xA0\xE3\x80\x80\t x y\xE2\x80\xA8')", "'x y'"},
      {"TRIM('   ')", "''"},
      {"CONCAT(1, true, 'x')", "'1truex'"},
      {"CONCAT_WS(1, 2, 3)", "'213'"},
      {"length ( 'abc' )", "3"},
  });
}

TEST(CesqlTest, LikeMatchesCharactersInLinearTime) {
  ExpectAll({
      {"name LIKE '_ofie'", "true"},
      {"name LIKE '__ofie'", "false"},
      {"name LIKE '%ofi_'", "true"},
      {"name LIKE '%_____'", "true"},
      {"name LIKE '%______%'", "false"},
      {"name LIKE '%'", "true"},
      {"'' LIKE ''", "true"},
      {"'' LIKE '%%'", "true"},
      {"'aXbXc' LIKE 'a%X_'", "true"},
      {"'aba' LIKE 'ab%ba'", "false"},  // no overlap
      {"'abba' LIKE 'ab%ba'", "true"},
      {R"('50%' LIKE '50\%')", "true"},
      {R"('a\b' LIKE 'a\b')", "true"},
      {R"('a\' LIKE 'x')", "parse"},
  });
  cloudevents::Event event = SomeEvent();
  event.Set("long", std::string(60'000, 'a'));
  for (const char* expression : {"long LIKE '%a%a%a%a%a%a%a%a%a%a%b%'", "long LIKE '%aaaaaaaaab%'",
                                 "long LIKE '%a_a_a_a_a_a_a_a_b%'", "long LIKE '%a_a_a_a_a_b'"}) {
    auto program = Program::Compile(expression);
    ASSERT_TRUE(program.ok());
    EXPECT_FALSE(program->Holds(EventView(event))) << expression;
  }
}

TEST(CesqlTest, NamesAndKeywords) {
  ExpectAll({
      {"like1 = 'x'", "true"},
      {"LIKE1 = 'x'", "true"},
      {"int = 1", "false missingAttribute"},
      {"like = 1", "parse"},
      {"EXISTS true", "parse"},
      {"a_b = 1", "parse"},
      {"a1(5)", "parse"},
      {"_a(5)", "parse"},
      {"1a = 1", "false missingAttribute"},
      {"EXISTS id", "true"},
      {"EXISTS priority", "true"},
  });
}

TEST(CesqlTest, FaultsNameTheColumn) {
  struct Fault {
    const char* expression;
    const char* message;
  };
  for (const auto& c : std::vector<Fault>{
           {"", "column 1: the expression ends where a value is expected"},
           {"type =", "column 7: the expression ends where a value is expected"},
           {"type = 'a", "column 8: this string has no closing '"},
           {"'Žž' = §", "column 8: '§' is no part of CESQL"},
           {"id = 'a' type", "column 10: 'type' is where an operator or the end of the expression"},
           {"(id = 'a'", "column 10: the expression ends where an operator or ')' is expected"},
           {"id LIKE type", "column 9: 'type' is where a pattern in quotes is expected"},
           {"id IN ()", "column 8: ')' is where a value is expected"},
           {"id IN 'a'", "column 7: a string is where '(' is expected"},
           {"id IN ('a'", "column 11: the expression ends where ',' or ')' is expected"},
           {"x = 3000000000", "column 5: the number is not between -2147483648 and 2147483647"},
           {"EXISTS 'x'", "column 8: a string is where an attribute's name"},
           {"a == b", "column 4: '=' is where a value is expected"},
           {"+ 5", "column 1: '+' is where a value is expected"},
       }) {
    auto program = Program::Compile(c.expression);
    ASSERT_FALSE(program.ok()) << c.expression;
    EXPECT_THAT(program.message(), StartsWith(c.message)) << c.expression;
  }
}

TEST(CesqlTest, TextDepthPartsAndOperandsAreBounded) {
  auto fault = [](const std::string& expression) { return Program::Compile(expression).message(); };
  auto repeat = [](int times, const std::string& part) {
    std::string out;
    for (int i = 0; i < times; ++i) out += part;
    return out;
  };
  EXPECT_THAT(fault("'" + std::string(kMaxText, 'x') + "'"), HasSubstr("at most 4096"));
  EXPECT_THAT(fault(repeat(100, "(") + "1" + repeat(100, ")")), HasSubstr("deeper than 64"));
  EXPECT_THAT(fault(repeat(100, "NOT ") + "true"), HasSubstr("deeper than 64"));
  EXPECT_THAT(fault(repeat(4000, "-") + "1"), HasSubstr("deeper than 64"));
  EXPECT_THAT(fault(repeat(300, "1+") + "1"), HasSubstr("more than 512 parts"));
  EXPECT_THAT(fault("CONCAT(" + repeat(99, "a,") + "a)"), HasSubstr("64 operands"));
  EXPECT_THAT(fault("CONCAT(" + repeat(99, "1,") + "1)"), HasSubstr("64 operands"));
  EXPECT_THAT(fault("\xFF"), HasSubstr("not UTF-8"));
  EXPECT_EQ(fault(repeat(60, "(") + "1" + repeat(60, ")")), "");
  EXPECT_EQ(fault("id IN (" + repeat(400, "1,") + "1)"), "");
  EXPECT_EQ(fault(repeat(120, "id='1' OR ") + "true"), "");
}

TEST(CesqlTest, WorkIsBounded) {
  cloudevents::Event event = SomeEvent();
  event.Set("long", std::string(60'000, 'a'));
  std::string doubled = "long";
  for (int i = 0; i < 6; ++i) doubled = "CONCAT(" + doubled + "," + doubled + ")";
  auto program = Program::Compile("LENGTH(" + doubled + ") > 0");
  ASSERT_TRUE(program.ok()) << program.message();
  ErrorSet errors;
  EXPECT_FALSE(program->Holds(EventView(event), &errors));
  EXPECT_TRUE(errors.Contains(ErrorKind::kGeneric));
  std::string many = "LENGTH(UPPER(long)) > 0";
  for (int i = 0; i < 40; ++i) many += " AND LENGTH(UPPER(long)) > 0";
  program = Program::Compile(many);
  ASSERT_TRUE(program.ok()) << program.message();
  EXPECT_FALSE(program->Holds(EventView(event), &errors));
  EXPECT_EQ(errors, ErrorSet(ErrorKind::kGeneric));
}

TEST(CesqlTest, FutileExpressionsAreKnown) {
  auto futile = [](const char* expression) { return Program::Compile(expression)->futile(); };
  EXPECT_EQ(futile("type = 'a'"), "");
  EXPECT_EQ(futile("BOOL(urgent)"), "");
  EXPECT_EQ(futile("true"), "");
  EXPECT_THAT(futile("urgent"), HasSubstr("gives a String"));
  EXPECT_THAT(futile("priority + 1"), HasSubstr("gives an Integer"));
  EXPECT_THAT(futile("true AND NOSUCH(1, id)"),
              HasSubstr("column 10: there is no function NOSUCH with 2 arguments"));
  EXPECT_THAT(futile("1 / 0 = 1"), HasSubstr("fails for every event"));
}

// Whatever the text is, compiling and evaluating it ends; folding constants changes nothing.
TEST(CesqlTest, RandomTextNeitherCrashesNorHangs) {
  static constexpr const char* kWords[] = {
      "id",    "priority",   "nothing", "'a'",       "'10'",       "10",    "-1",    "true",
      "(",     ")",          ",",       "=",         "!=",         "<",     "+",     "-",
      "*",     "/",          "%",       "AND",       "OR",         "XOR",   "NOT",   "LIKE",
      "'%a_'", "IN",         "EXISTS",  "LENGTH(",   "ABS(",       "INT(",  "LEFT(", "CONCAT(",
      "BOOL(", "SUBSTRING(", "IN (",    "LIKE '1%'", "2147483647", "UPPER("};
  std::mt19937 random(7);
  auto event = SomeEvent();
  int compiled = 0;
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    for (size_t n = random() % 12 + 1; n > 0; --n) {
      text += kWords[random() % std::size(kWords)];
      text += ' ';
    }
    auto program = Program::Compile(text);
    if (!program.ok()) continue;
    ++compiled;
    Answer answer = program->Evaluate(EventView(event));
    bool holds = answer.type == Type::kBoolean && answer.number == 1 && answer.errors.empty();
    EXPECT_EQ(program->Holds(EventView(event)), holds) << text;
  }
  EXPECT_GT(compiled, 500);
}

}  // namespace
}  // namespace dispatch::cesql::cesql_test
