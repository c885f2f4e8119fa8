#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/cesql/access_key.h"
#include "common/cesql/functions.h"
#include "common/cesql/like.h"
#include "common/cesql/value.h"
#include "common/result.h"

namespace dispatch::cesql {

/// A compiled expression: postfix code over a small stack, without loops, so that what an
/// evaluation costs is bounded by its length and TextStore's budget. Constant parts are evaluated
/// once. Immutable; any number of threads may evaluate it.
class Program {
 public:
  /// kUnprocessable with "column N: ..." when the expression does not parse or is too large.
  static Result<Program> Compile(std::string_view expression);

  Answer Evaluate(const Attributes& attributes) const;

  /// As a filter (CESQL 1.2): a Boolean, true, and no error. `errors`, if given, is set.
  bool Holds(const Attributes& attributes, ErrorSet* errors = nullptr) const;

  /// Why the expression can never hold for an event whose attributes are all Strings; empty when it
  /// may. "column 4: there is no function LENGHT with 1 argument".
  const std::string& futile() const { return futile_; }
  /// For an index, of events whose attributes are all Strings.
  const Covers& covers() const { return covers_; }
  /// As ConjunctionOf: what tests the same without running the program.
  const std::optional<std::vector<AccessKey>>& conjunction() const { return conjunction_; }
  /// Literals, attributes, operators and calls of the source.
  size_t nodes() const { return nodes_; }

 private:
  enum class Code : uint8_t {
    kConstant,
    kAttribute,
    kExists,
    kNot,
    kNegate,
    kAnd,  // leaves the left operand and jumps when it decides
    kOr,
    kToBoolean,  // ends AND and OR
    kXor,
    kEqual,
    kNotEqual,
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kMultiply,
    kDivide,
    kRemainder,
    kAdd,
    kSubtract,
    kLike,
    kInConstants,
    kInBegin,  // the left operand, then each element and a step, then the end
    kInStep,
    kInEnd,
    kCall,
  };

  struct Instruction {
    Code code;
    uint32_t index = 0;  // of a constant, name, pattern, set or function; or where to jump
    uint32_t count = 0;  // arguments of a call
  };

  struct Constant {
    Type type = Type::kBoolean;
    ErrorSet errors;
    int32_t number = 0;
    std::string text;
  };

  /// The constants on the right of IN, in the form of each type that the left may have. Numbers and
  /// truths end before the first element that cannot be cast.
  struct Set {
    std::vector<std::string> texts;  // sorted
    std::vector<int32_t> numbers;    // sorted
    bool numbers_fail = false;
    bool truths[2] = {false, false};
    bool truths_fail = false;
  };

  friend class Compiler;
  class Machine;

  Value Run(const Attributes& attributes, size_t begin, size_t end, TextStore& store) const;
  Value Get(const Constant& constant) const;

  std::vector<Instruction> code_;
  std::vector<Constant> constants_;
  std::vector<std::string> names_;
  std::vector<LikePattern> patterns_;
  std::vector<Set> sets_;
  std::vector<const Signature*> functions_;
  std::string futile_;
  Covers covers_;
  std::optional<std::vector<AccessKey>> conjunction_;
  size_t nodes_ = 0;
};

}  // namespace dispatch::cesql
