#include "common/cesql/program.h"

#include <algorithm>
#include <limits>

#include "common/cesql/syntax.h"
#include "common/cesql/text_store.h"

namespace dispatch::cesql {

namespace {

Value Wrong(Type type, ErrorKind kind) { return Value::Zero(type, ErrorSet(kind)); }

}  // namespace

/// One evaluation. An operand's errors give the zero value of the operator's type (see
/// tests/conformance/cesql/README.md); the operator's own error its documented value.
class Program::Machine {
 public:
  Machine(const Program& program, const Attributes& attributes, TextStore& store)
      : program_(program), attributes_(attributes), store_(store) {}

  Value Run(size_t begin, size_t end) {
    for (size_t at = begin; at < end;) at = Step(at);
    return *Top();
  }

 private:
  Value* Top() { return reinterpret_cast<Value*>(stack_) + size_ - 1; }
  void Push(const Value& value) {
    ++size_;
    *Top() = value;
  }
  Value Pop() {
    Value value = *Top();
    --size_;
    return value;
  }

  size_t Step(size_t at) {
    const Instruction& i = program_.code_[at];
    switch (i.code) {
      case Code::kConstant:
        Push(program_.Get(program_.constants_[i.index]));
        break;
      case Code::kAttribute: {
        Value value;
        bool found = attributes_.Find(program_.names_[i.index], &value);
        Push(found ? value : Wrong(Type::kBoolean, ErrorKind::kMissingAttribute));
        break;
      }
      case Code::kExists: {
        Value ignored;
        Push(Value::Boolean(attributes_.Find(program_.names_[i.index], &ignored)));
        break;
      }
      case Code::kNot:
        ToBoolean(*Top());
        if (Top()->errors.empty()) Top()->number ^= 1;
        break;
      case Code::kNegate:
        Negate(*Top());
        break;
      case Code::kAnd:
      case Code::kOr:
        ToBoolean(*Top());
        // An error, or what decides.
        if (!Top()->errors.empty() || (Top()->number != 0) == (i.code == Code::kOr)) return i.index;
        Pop();
        break;
      case Code::kToBoolean:
        ToBoolean(*Top());
        break;
      case Code::kLike:
        Like(*Top(), program_.patterns_[i.index]);
        break;
      case Code::kInConstants:
        InConstants(*Top(), program_.sets_[i.index]);
        break;
      case Code::kInBegin:
        if (Top()->errors.empty()) break;
        *Top() = Value::Zero(Type::kBoolean, Top()->errors);
        return i.index;
      case Code::kInStep:
        if (InStep()) return i.index;
        break;
      case Code::kInEnd:
        *Top() = Value::Boolean(false);
        break;
      case Code::kCall: {
        size_ -= i.count;
        Value* first = Top() + 1;
        Value result = Call(*program_.functions_[i.index], {first, i.count}, store_);
        Push(result);
        break;
      }
      default: {
        Value right = Pop();
        DoBinary(i.code, *Top(), right);
      }
    }
    return at + 1;
  }

  void ToBoolean(Value& value) {
    if (!value.errors.empty()) {
      value = Value::Zero(Type::kBoolean, value.errors);
    } else {
      Cast(value, Type::kBoolean, store_);
    }
  }

  void Negate(Value& value) {
    if (!value.errors.empty()) {
      value = Value::Zero(Type::kInteger, value.errors);
    } else if (Cast(value, Type::kInteger, store_)) {
      value = value.number == std::numeric_limits<int32_t>::min()
                  ? Wrong(Type::kInteger, ErrorKind::kMath)
                  : Value::Integer(-value.number);
    }
  }

  void DoBinary(Code code, Value& left, Value& right) {
    bool arithmetic = code >= Code::kMultiply && code <= Code::kSubtract;
    Type result = arithmetic ? Type::kInteger : Type::kBoolean;
    ErrorSet errors = left.errors | right.errors;
    if (errors.empty()) {
      if (code == Code::kEqual || code == Code::kNotEqual) {
        Cast(left, right.type, store_);  // the right operand's type decides
      } else {
        Type operands = code == Code::kXor ? Type::kBoolean : Type::kInteger;
        Cast(left, operands, store_);
        Cast(right, operands, store_);
      }
      errors = left.errors | right.errors;
    }
    if (!errors.empty()) {
      left = Value::Zero(result, errors);
    } else if (code == Code::kEqual || code == Code::kNotEqual) {
      Equal(left, right, code == Code::kEqual);
    } else if (arithmetic) {
      left = Arithmetic(code, left.number, right.number);
    } else {
      left = Value::Boolean(Compare(code, left.number, right.number));
    }
  }

  void Equal(Value& left, const Value& right, bool wanted) {
    bool equal = left.number == right.number;
    if (left.type == Type::kString) {
      equal = left.text.size() == right.text.size();
      if (equal && !store_.Spend(left.text.size())) {
        left = Wrong(Type::kBoolean, ErrorKind::kGeneric);
        return;
      }
      equal = equal && left.text == right.text;
    }
    left = Value::Boolean(equal == wanted);
  }

  static bool Compare(Code code, int32_t left, int32_t right) {
    switch (code) {
      case Code::kXor:
        return left != right;
      case Code::kLess:
        return left < right;
      case Code::kLessOrEqual:
        return left <= right;
      case Code::kGreater:
        return left > right;
      default:
        return left >= right;
    }
  }

  /// What does not fit 32 bits is 0 with a math error, as is a division by zero.
  static Value Arithmetic(Code code, int64_t left, int64_t right) {
    int64_t result = 0;
    switch (code) {
      case Code::kMultiply:
        result = left * right;
        break;
      case Code::kAdd:
        result = left + right;
        break;
      case Code::kSubtract:
        result = left - right;
        break;
      default:
        if (right == 0) return Wrong(Type::kInteger, ErrorKind::kMath);
        result = code == Code::kDivide ? left / right : left % right;
    }
    if (result != static_cast<int32_t>(result)) return Wrong(Type::kInteger, ErrorKind::kMath);
    return Value::Integer(static_cast<int32_t>(result));
  }

  void Like(Value& value, const LikePattern& pattern) {
    if (!value.errors.empty()) {
      value = Value::Zero(Type::kBoolean, value.errors);
      return;
    }
    Cast(value, Type::kString, store_);
    LikePattern::Match match = pattern.Test(value.text, store_.work());
    value = match == LikePattern::Match::kTooMuchWork
                ? Wrong(Type::kBoolean, ErrorKind::kGeneric)
                : Value::Boolean(match == LikePattern::Match::kYes);
  }

  void InConstants(Value& value, const Set& set) {
    bool found = false;
    bool fails = false;
    if (!value.errors.empty()) {
      value = Value::Zero(Type::kBoolean, value.errors);
      return;
    }
    if (value.type == Type::kString) {
      auto it = std::lower_bound(set.texts.begin(), set.texts.end(), value.text);
      found = it != set.texts.end() && *it == value.text;
    } else if (value.type == Type::kInteger) {
      found = std::binary_search(set.numbers.begin(), set.numbers.end(), value.number);
      fails = set.numbers_fail;
    } else {
      found = set.truths[value.number != 0 ? 1 : 0];
      fails = set.truths_fail;
    }
    value = !found && fails ? Wrong(Type::kBoolean, ErrorKind::kCast) : Value::Boolean(found);
  }

  /// True when the element decides: then the result stands in place of the left operand.
  bool InStep() {
    Value element = Pop();
    Value& left = *Top();
    if (element.errors.empty()) Cast(element, left.type, store_);
    if (!element.errors.empty()) {
      left = Value::Zero(Type::kBoolean, element.errors);
      return true;
    }
    Value test = left;
    Equal(test, element, true);
    if (test.errors.empty() && test.number == 0) return false;
    left = test;
    return true;
  }

  const Program& program_;
  const Attributes& attributes_;
  TextStore& store_;
  size_t size_ = 0;
  // Not initialised: an evaluation uses a few of them.
  alignas(Value) unsigned char stack_[kMaxOperands * sizeof(Value)];
};

Value Program::Get(const Constant& constant) const {
  return {constant.type, constant.errors, constant.number, constant.text};
}

Value Program::Run(const Attributes& attributes, size_t begin, size_t end, TextStore& store) const {
  return Machine(*this, attributes, store).Run(begin, end);
}

Answer Program::Evaluate(const Attributes& attributes) const {
  TextStore store;
  Value value = Run(attributes, 0, code_.size(), store);
  return {value.type, value.number, std::string(value.text), value.errors};
}

bool Program::Holds(const Attributes& attributes, ErrorSet* errors) const {
  TextStore store;
  Value value = Run(attributes, 0, code_.size(), store);
  if (errors != nullptr) *errors = value.errors;
  return value.errors.empty() && value.type == Type::kBoolean && value.number != 0;
}

}  // namespace dispatch::cesql
