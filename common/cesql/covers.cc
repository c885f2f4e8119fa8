#include "common/cesql/covers.h"

#include <utility>

#include "common/cesql/like.h"

namespace dispatch::cesql {

namespace {

using Kind = AccessKey::Kind;

bool IsText(const Node& node) { return node.op == Op::kLiteral && node.type == Type::kString; }

Covers One(AccessKey key) { return {{std::move(key)}}; }

Covers OfEqual(const Node& left, const Node& right) {
  const Node& attribute = left.op == Op::kAttribute ? left : right;
  const Node& literal = &attribute == &left ? right : left;
  if (attribute.op != Op::kAttribute || literal.op != Op::kLiteral) return {};
  // The right operand's type decides: `attr = 5` compares integers, '05' among them; `5 = attr`
  // compares texts, and the literal's text is its cast.
  if (IsText(literal)) return One({Kind::kExact, attribute.text, literal.text});
  return {};
}

Covers OfLike(const Node& subject, const std::string& text) {
  if (subject.op != Op::kAttribute) return {};
  LikePattern pattern(text);
  std::string start(pattern.LiteralStart());
  if (pattern.IsExact()) return One({Kind::kExact, subject.text, start});
  Covers covers;
  if (!start.empty()) covers.push_back({{Kind::kPrefix, subject.text, start}});
  std::string end(pattern.LiteralEnd());
  if (!end.empty()) covers.push_back({{Kind::kSuffix, subject.text, end}});
  return covers;
}

Covers Of(const Syntax& syntax, const Node& node) {
  auto operand = [&](size_t i) -> const Node& { return syntax.nodes[node.operands[i]]; };
  switch (node.op) {
    case Op::kAnd:
      return CoversOfAll({Of(syntax, operand(0)), Of(syntax, operand(1))});
    case Op::kOr:
      return CoversOfAny({Of(syntax, operand(0)), Of(syntax, operand(1))});
    case Op::kEqual:
      return OfEqual(operand(0), operand(1));
    case Op::kLike:
      return OfLike(operand(0), node.text);
    case Op::kIn: {
      std::vector<Covers> parts;
      for (size_t i = 1; i < node.operands.size(); ++i) {
        bool keyed = operand(0).op == Op::kAttribute && IsText(operand(i));
        parts.push_back(keyed ? One({Kind::kExact, operand(0).text, operand(i).text}) : Covers());
      }
      return CoversOfAny(parts);
    }
    default:
      return {};
  }
}

// Appends the node's keys; false when it says more than keys can.
bool AddConjunction(const Syntax& syntax, const Node& node, std::vector<AccessKey>* keys) {
  Covers covers;
  if (node.op == Op::kAnd) {
    return AddConjunction(syntax, syntax.nodes[node.operands[0]], keys) &&
           AddConjunction(syntax, syntax.nodes[node.operands[1]], keys);
  }
  if (node.op == Op::kEqual) {
    covers = OfEqual(syntax.nodes[node.operands[0]], syntax.nodes[node.operands[1]]);
  } else if (node.op == Op::kLike) {
    LikePattern pattern(node.text);
    bool whole = pattern.IsExact() || pattern.IsStart() || pattern.IsEnd();
    if (whole) covers = OfLike(syntax.nodes[node.operands[0]], node.text);
  }
  if (covers.size() != 1) return false;
  keys->push_back(std::move(covers[0][0]));
  return true;
}

}  // namespace

std::optional<std::vector<AccessKey>> ConjunctionOf(const Syntax& syntax) {
  std::vector<AccessKey> keys;
  if (!AddConjunction(syntax, syntax.nodes[syntax.root], &keys)) return std::nullopt;
  return keys;
}

Covers CoversOf(const Syntax& syntax) { return Of(syntax, syntax.nodes[syntax.root]); }

}  // namespace dispatch::cesql
