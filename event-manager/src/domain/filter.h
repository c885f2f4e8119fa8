#pragma once

#include <string>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// A compiled filter of the CloudEvents Subscriptions dialects exact, prefix, suffix, all, any and
/// not. Immutable; evaluating it cannot fail. Text compares on the canonical form of attributes,
/// with case.
class Filter {
 public:
  /// Limits, so that one subscription cannot make matching slow for all.
  static constexpr int kMaxDepth = 16;
  static constexpr size_t kMaxNodes = 256;

  /// One filter object: exactly one dialect key. Errors name the place ("filters[0].all[1]") and
  /// what is wrong: unknown dialect, empty object or array, values that are not text.
  static Result<Filter> Parse(const json::value& filter, const std::string& place);

  /// The array of a subscription: all must hold, an empty one holds always.
  static Result<Filter> ParseAll(const json::array& filters, const std::string& place = "filters");

  bool Matches(const cloudevents::Event& event) const;

  /// When the filter can only hold for one value of `type`: that value. For the index.
  const std::string* RequiredType() const;

 private:
  enum class Op { kAll, kAny, kNot, kExact, kPrefix, kSuffix };

  Op op_ = Op::kAll;
  std::string attribute_;
  std::string text_;
  std::vector<Filter> children_;

  friend class FilterParser;
};

}  // namespace dispatch
