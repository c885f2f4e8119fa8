// A libFuzzer target: whatever happens to a partition, in whatever order, the tracker says what a
// plain set of offsets says, and after a crash its checkpoint brings back what was not complete,
// all of it, and nothing else.
//
// The input is what happens. What is complete at the start, as of a checkpoint, is any ranges.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "broker-adapters/offset_tracker.h"
#include "common/check.h"
#include "event-manager/src/domain/lost_offsets.h"
#include "schema/messages.h"

namespace {

using namespace dispatch;  // NOLINT(google-build-using-namespace)

constexpr int kMostSteps = 400;

class Partition {
 public:
  explicit Partition(FuzzedDataProvider& input) : input_(input) {
    limits_ = {input.ConsumeIntegralInRange<size_t>(1, 64),
               input.ConsumeIntegralInRange<size_t>(1, 512),
               input.ConsumeIntegralInRange<int64_t>(1, 128)};
    int64_t position = input.ConsumeIntegralInRange<int64_t>(0, 1LL << 40);
    base_ = position;
    for (int i = input.ConsumeIntegralInRange<int>(0, 4); i > 0; --i) {
      restored_.emplace_back(Near(), Near());
    }
    tracker_ = OffsetTracker::Restore(position, restored_, limits_);
    next_ = tracker_.next();
    floor_ = position;
    Check();
  }

  void Step() {
    switch (input_.ConsumeIntegralInRange<int>(0, 6)) {
      case 0:
      case 1:
        return DeliverNext();
      case 2:
        return Complete(Near());
      case 3:
        if (!under_way_.empty()) Complete(Chosen(under_way_)->first);
        return;
      case 4:
        return Release();
      case 5:
        DISPATCH_CHECK(next_ == 0 || !tracker_.Deliver(Repeated(), 1, 1));
        return;
      default:
        input_.ConsumeBool() ? Crash() : Retention();
    }
  }

  void Check() const {
    DISPATCH_CHECK(tracker_.next() == next_);
    int64_t position = tracker_.Position();
    auto ranges = tracker_.Completed();
    int64_t last = position;
    for (auto [first, limit] : ranges) {  // in order, apart from one another and from what is below
      DISPATCH_CHECK(first > last && limit > first);
      last = limit;
    }
    for (int64_t offset : log_) {
      auto in = [&](const auto& range) { return offset >= range.first && offset < range.second; };
      bool claimed = offset < position || std::any_of(ranges.begin(), ranges.end(), in);
      bool read = offset < next_ || WasComplete(offset);
      DISPATCH_CHECK(claimed == (read && !under_way_.contains(offset)));
    }
    size_t weight = 0;
    size_t bytes = 0;
    for (const auto& [offset, held] : under_way_) {
      weight += held.first;
      bytes += held.second;
    }
    int64_t span = under_way_.empty() ? 0 : next_ - under_way_.begin()->first;
    DISPATCH_CHECK(tracker_.incomplete() == under_way_.size());
    DISPATCH_CHECK(tracker_.weight() == weight && tracker_.bytes() == bytes);
    DISPATCH_CHECK(tracker_.full() == (weight >= limits_.max_incomplete ||
                                       bytes >= limits_.max_bytes || span >= limits_.max_span));
    DISPATCH_CHECK(tracker_.half_empty() ==
                   (weight * 2 < limits_.max_incomplete && bytes * 2 < limits_.max_bytes &&
                    span * 2 < limits_.max_span));
  }

 private:
  using Held = std::map<int64_t, std::pair<size_t, size_t>>;

  int64_t Near() { return base_ + input_.ConsumeIntegralInRange<int64_t>(-8, 200); }
  int64_t Repeated() { return next_ - 1 - input_.ConsumeIntegralInRange<int64_t>(0, 20); }
  Held::iterator Chosen(Held& held) {
    auto place = input_.ConsumeIntegralInRange<size_t>(0, held.size() - 1);
    return std::next(held.begin(), static_cast<ptrdiff_t>(place));
  }
  bool WasComplete(int64_t offset) const {
    return offset < floor_ || complete_.contains(offset) ||
           std::any_of(
               restored_.begin(), restored_.end(),
               [&](const auto& range) { return offset >= range.first && offset < range.second; });
  }

  // What the log has after what was read: as after a crash, or a new record behind a gap or none.
  void DeliverNext() {
    auto again = log_.lower_bound(std::max(next_, tracker_.Position()));
    int64_t offset = again != log_.end() ? *again
                                         : std::max(next_, tracker_.Position()) +
                                               input_.ConsumeIntegralInRange<int64_t>(0, 12);
    log_.insert(offset);
    auto weight = input_.ConsumeIntegralInRange<size_t>(0, 6);
    auto bytes = input_.ConsumeIntegralInRange<size_t>(0, 90);
    bool fresh = tracker_.Deliver(offset, weight, bytes);
    DISPATCH_CHECK(fresh == !WasComplete(offset));
    if (fresh) under_way_[offset] = {std::max<size_t>(weight, 1), bytes};
    next_ = offset + 1;
  }

  void Complete(int64_t offset) {
    bool known = under_way_.erase(offset) > 0;
    DISPATCH_CHECK(tracker_.Complete(offset) == known);
    if (known) complete_.insert(offset);
  }

  void Release() {
    if (under_way_.empty()) return;
    auto& [offset, held] = *Chosen(under_way_);
    auto weight = input_.ConsumeIntegralInRange<size_t>(0, 8);
    auto bytes = input_.ConsumeIntegralInRange<size_t>(0, 100);
    tracker_.Release(offset, weight, bytes);
    held.first -= std::min(held.first, weight);
    held.second -= std::min(held.second, bytes);
  }

  // All that is left is the checkpoint, as it is stored.
  void Crash() {
    schema::MatchCheckpoint saved;
    saved.completed = tracker_.Completed();
    auto read = schema::Decode<schema::MatchCheckpoint>(schema::Encode(saved));
    DISPATCH_CHECK(read.ok() && read->completed == saved.completed);
    int64_t position = tracker_.Position();
    tracker_ = OffsetTracker::Restore(position, read->completed, limits_);
    DISPATCH_CHECK(tracker_.Position() == position && tracker_.Completed() == read->completed);
    under_way_.clear();
    next_ = position;
  }

  // Nothing is under way, and the log begins further on.
  void Retention() {
    if (!under_way_.empty()) return;
    int64_t earliest = tracker_.Position() + input_.ConsumeIntegralInRange<int64_t>(0, 40);
    int64_t first = earliest - input_.ConsumeIntegralInRange<int64_t>(0, 60);
    int64_t missing = 0;
    auto ranges = tracker_.Completed();
    for (int64_t o = std::max(first, tracker_.Position()); o < earliest; ++o) {
      auto in = [&](const auto& range) { return o >= range.first && o < range.second; };
      if (std::none_of(ranges.begin(), ranges.end(), in)) ++missing;
    }
    DISPATCH_CHECK(NotComplete(tracker_, first, earliest) == missing);
    tracker_ = SkipTo(tracker_, earliest);
    floor_ = std::max(floor_, earliest);
    next_ = tracker_.next();
    DISPATCH_CHECK(next_ >= earliest && tracker_.Position() == next_);
  }

  FuzzedDataProvider& input_;
  OffsetTracker::Limits limits_;
  int64_t base_ = 0;
  std::vector<std::pair<int64_t, int64_t>> restored_;
  OffsetTracker tracker_{0};
  int64_t next_ = 0;
  int64_t floor_ = 0;      // nothing below comes any more
  std::set<int64_t> log_;  // offsets that hold a record
  std::set<int64_t> complete_;
  Held under_way_;  // with what of weight and bytes is not let go of
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  Partition partition(input);
  for (int i = 0; i < kMostSteps && input.remaining_bytes() > 0; ++i) {
    partition.Step();
    partition.Check();
  }
  return 0;
}
