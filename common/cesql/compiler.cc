#include <fmt/format.h>

#include <algorithm>

#include "common/cesql/covers.h"
#include "common/cesql/program.h"
#include "common/cesql/syntax.h"
#include "common/cesql/text_store.h"

namespace dispatch::cesql {

namespace {

/// For constant parts.
class NoAttributes : public Attributes {
 public:
  bool Find(std::string_view, Value*) const override { return false; }
};

}  // namespace

/// Turns a syntax tree into code. Recursive as deep as the tree, which kMaxNodes bounds.
class Compiler {
 public:
  explicit Compiler(const Syntax& syntax) : syntax_(syntax) {}

  Result<Program> Run() {
    const Node& root = syntax_.nodes[syntax_.root];
    Emit(root);
    if (most_ > kMaxOperands) {
      return Error{Code::kUnprocessable,
                   fmt::format("column {}: the expression has more than {} operands waiting at "
                               "once: split it",
                               root.column, kMaxOperands)};
    }
    Check(root);
    program_.nodes_ = syntax_.nodes.size();
    program_.covers_ = CoversOf(syntax_);
    program_.conjunction_ = ConjunctionOf(syntax_);
    return std::move(program_);
  }

 private:
  using OpCode = Program::Code;

  const Node& Operand(const Node& node, size_t i) const { return syntax_.nodes[node.operands[i]]; }

  size_t Append(OpCode code, size_t index = 0, size_t count = 0) {
    program_.code_.push_back({code, static_cast<uint32_t>(index), static_cast<uint32_t>(count)});
    return program_.code_.size() - 1;
  }
  void Grow() { most_ = std::max(most_, ++waiting_); }
  void JumpHere(size_t from) {
    program_.code_[from].index = static_cast<uint32_t>(program_.code_.size());
  }

  void AppendConstant(Program::Constant constant) {
    program_.constants_.push_back(std::move(constant));
    Append(OpCode::kConstant, program_.constants_.size() - 1);
  }

  // Leaves exactly one more operand on the stack. True when the value is the same for every event.
  bool Emit(const Node& node) {
    size_t begin = program_.code_.size();
    size_t waiting = waiting_;
    bool constant = EmitCode(node);
    waiting_ = waiting;
    Grow();
    bool literal =
        program_.code_.size() == begin + 1 && program_.code_[begin].code == OpCode::kConstant;
    if (constant && !literal && most_ <= kMaxOperands) Fold(begin);
    return constant;
  }

  // Replaces the code from `begin` on by its value.
  void Fold(size_t begin) {
    TextStore store;
    Value value = program_.Run(NoAttributes(), begin, program_.code_.size(), store);
    program_.code_.resize(begin);
    AppendConstant({value.type, value.errors, value.number, std::string(value.text)});
  }

  bool EmitCode(const Node& node) {
    switch (node.op) {
      case Op::kLiteral:
        AppendConstant({node.type, {}, node.number, node.text});
        return true;
      case Op::kAttribute:
        Append(OpCode::kAttribute, Name(node.text));
        return false;
      case Op::kExists:
        return EmitExists(node);
      case Op::kNot:
      case Op::kNegate: {
        bool constant = Emit(Operand(node, 0));
        Append(node.op == Op::kNot ? OpCode::kNot : OpCode::kNegate);
        return constant;
      }
      case Op::kAnd:
      case Op::kOr:
        return EmitLogical(node);
      case Op::kLike: {
        bool constant = Emit(Operand(node, 0));
        program_.patterns_.emplace_back(node.text);
        Append(OpCode::kLike, program_.patterns_.size() - 1);
        return constant;
      }
      case Op::kIn:
        return EmitIn(node);
      case Op::kCall:
        return EmitCall(node);
      default:
        return EmitBinary(node);
    }
  }

  size_t Name(const std::string& name) {
    auto& names = program_.names_;
    auto it = std::find(names.begin(), names.end(), name);
    if (it != names.end()) return static_cast<size_t>(it - names.begin());
    names.push_back(name);
    return names.size() - 1;
  }

  bool EmitExists(const Node& node) {
    // Those of every valid event (CESQL 3.4.4).
    for (std::string_view name : {"id", "source", "type", "specversion"}) {
      if (node.text != name) continue;
      AppendConstant({Type::kBoolean, {}, 1, {}});
      return true;
    }
    Append(OpCode::kExists, Name(node.text));
    return false;
  }

  bool EmitLogical(const Node& node) {
    bool constant = Emit(Operand(node, 0));
    size_t jump = Append(node.op == Op::kAnd ? OpCode::kAnd : OpCode::kOr);
    --waiting_;
    constant = Emit(Operand(node, 1)) && constant;
    Append(OpCode::kToBoolean);
    JumpHere(jump);
    return constant;
  }

  bool EmitBinary(const Node& node) {
    bool constant = Emit(Operand(node, 0));
    constant = Emit(Operand(node, 1)) && constant;
    auto offset = static_cast<int>(node.op) - static_cast<int>(Op::kXor);
    Append(static_cast<OpCode>(static_cast<int>(OpCode::kXor) + offset));
    return constant;
  }

  bool EmitIn(const Node& node) {
    bool constant = Emit(Operand(node, 0));
    size_t begin = program_.code_.size();
    size_t constants = program_.constants_.size();
    std::vector<size_t> jumps = {Append(OpCode::kInBegin)};
    bool fixed = true;
    for (size_t i = 1; i < node.operands.size(); ++i) {
      fixed = Emit(Operand(node, i)) && fixed;
      fixed = fixed && program_.constants_.back().errors.empty();
      --waiting_;
      jumps.push_back(Append(OpCode::kInStep));
    }
    Append(OpCode::kInEnd);
    for (size_t jump : jumps) JumpHere(jump);
    if (!fixed) return false;
    // Each element is the one constant that its instruction names; the set replaces them.
    Program::Set set;
    TextStore store;
    for (size_t at = begin; at < program_.code_.size(); ++at) {
      const auto& instruction = program_.code_[at];
      if (instruction.code != OpCode::kConstant) continue;
      AddElement(program_.Get(program_.constants_[instruction.index]), set, store);
    }
    std::sort(set.texts.begin(), set.texts.end());
    std::sort(set.numbers.begin(), set.numbers.end());
    program_.code_.resize(begin);
    program_.constants_.resize(constants);
    program_.sets_.push_back(std::move(set));
    Append(OpCode::kInConstants, program_.sets_.size() - 1);
    return constant;
  }

  static void AddElement(const Value& element, Program::Set& set, TextStore& store) {
    Value text = element;
    Cast(text, Type::kString, store);
    set.texts.emplace_back(text.text);
    Value number = element;
    set.numbers_fail = set.numbers_fail || !Cast(number, Type::kInteger, store);
    if (!set.numbers_fail) set.numbers.push_back(number.number);
    Value truth = element;
    set.truths_fail = set.truths_fail || !Cast(truth, Type::kBoolean, store);
    if (!set.truths_fail) set.truths[truth.number != 0 ? 1 : 0] = true;
  }

  bool EmitCall(const Node& node) {
    const Signature* signature = FindFunction(node.text, node.operands.size());
    if (signature == nullptr) {
      AppendConstant({Type::kBoolean, ErrorSet(ErrorKind::kMissingFunction), 0, {}});
      if (program_.futile_.empty()) {
        program_.futile_ =
            fmt::format("column {}: there is no function {} with {} argument{}", node.column,
                        node.text, node.operands.size(), node.operands.size() == 1 ? "" : "s");
      }
      return true;
    }
    bool constant = true;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      constant = Emit(Operand(node, i)) && constant;
      if (most_ > kMaxOperands) return false;
    }
    program_.functions_.push_back(signature);
    Append(OpCode::kCall, program_.functions_.size() - 1, node.operands.size());
    return constant;
  }

  void Check(const Node& root) {
    if (!program_.futile_.empty()) return;
    const auto& last = program_.code_.back();
    if (program_.code_.size() == 1 && last.code == OpCode::kConstant) {
      const auto& value = program_.constants_[last.index];
      if (!value.errors.empty()) {
        program_.futile_ = fmt::format("column {}: this fails for every event", root.column);
      }
    }
    Type type = ResultType(root);
    if (program_.futile_.empty() && type != Type::kBoolean) {
      program_.futile_ = fmt::format(
          "column {}: this gives {}, not true or false: compare it with something, or write "
          "BOOL(...)",
          root.column, TypeName(type));
    }
  }

  // Where attributes are Strings.
  static Type ResultType(const Node& node) {
    switch (node.op) {
      case Op::kLiteral:
        return node.type;
      case Op::kAttribute:
        return Type::kString;
      case Op::kNegate:
      case Op::kMultiply:
      case Op::kDivide:
      case Op::kRemainder:
      case Op::kAdd:
      case Op::kSubtract:
        return Type::kInteger;
      case Op::kCall: {
        const Signature* signature = FindFunction(node.text, node.operands.size());
        return signature == nullptr ? Type::kBoolean : signature->result;
      }
      default:
        return Type::kBoolean;
    }
  }

  const Syntax& syntax_;
  Program program_;
  size_t waiting_ = 0;
  size_t most_ = 0;
};

Result<Program> Program::Compile(std::string_view expression) {
  ASSIGN_OR_RETURN(Syntax syntax, Parse(expression));
  return Compiler(syntax).Run();
}

}  // namespace dispatch::cesql
