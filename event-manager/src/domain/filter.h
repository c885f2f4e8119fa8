#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/cesql/access_key.h"
#include "common/cesql/event_view.h"
#include "common/cesql/program.h"
#include "common/json.h"
#include "common/result.h"
#include "event-manager/src/domain/data_condition.h"

namespace dispatch {

/// A compiled filter: the CloudEvents Subscriptions dialects exact, prefix, suffix, all, any, not
/// and sql (CESQL 1.0), and our `data` (fields of JSON data; docs/decisions/0004). Immutable and
/// cheap to copy; evaluating it cannot fail. Text compares on the canonical form of attributes,
/// with case.
class Filter {
 public:
  /// Limits, so that one subscription cannot make matching slow for all.
  static constexpr int kMaxDepth = 16;
  static constexpr size_t kMaxNodes = 256;
  static constexpr size_t kMaxSqlNodes = 1024;

  /// One filter object: exactly one dialect key. Errors name the place ("filters[0].all[1]") and
  /// what is wrong: unknown dialect, empty object or array, values that are not text, the column of
  /// a CESQL fault.
  static Result<Filter> Parse(const json::value& filter, const std::string& place);

  /// The array of a subscription: all must hold, an empty one holds always.
  static Result<Filter> ParseAll(const json::array& filters, const std::string& place = "filters");

  /// `errors`, if given, gets those of every CESQL expression that was evaluated.
  bool Matches(const EventView& event, cesql::ErrorSet* errors = nullptr) const;

  /// For the index: what events must have that the filter can hold for.
  dispatch::Covers Covers() const;

 private:
  enum class Op { kAll, kAny, kNot, kExact, kPrefix, kSuffix, kSql, kData };

  bool NeedsData() const;

  Op op_ = Op::kAll;
  std::string attribute_;
  std::string text_;
  std::vector<Filter> children_;
  std::shared_ptr<const cesql::Program> program_;
  std::shared_ptr<const DataCondition> data_;

  friend class FilterParser;
};

}  // namespace dispatch
