// A libFuzzer target: the books of one invocations partition, whatever happens to it, in whatever
// order: records come and come again, deliveries are settled and put into the retry store,
// checkpoints are saved, refused, or saved without an answer, and the process is killed. Nothing
// that is settled comes again, the counters add up at any time, and in the end each target of each
// event is settled once.
//
// The input is what happens.

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/check.h"
#include "function-manager/src/domain/invocation_partition.h"

namespace {

using namespace dispatch;  // NOLINT(google-build-using-namespace)

constexpr int kMostSteps = 300;
constexpr int kSubscriptions = 4;

Uuid SubscriptionId(int i) {
  Uuid id;
  id.bytes[0] = static_cast<uint8_t>(i + 1);
  return id;
}

// What outlives the process: the log that event-manager writes, and PostgreSQL.
struct Durable {
  struct Event {
    std::vector<std::vector<int>> chunks;  // of subscriptions
  };
  struct Written {
    size_t event;
    size_t chunk;
  };
  std::vector<Event> events;
  std::vector<Written> log;
  Written next{0, 0};  // what event-manager writes next; goes back when that is killed

  InvokeClaim claim;
  std::map<schema::DeliveryId, RetryRow> rows;
  std::set<schema::DeliveryId> settled;  // as of the checkpoint
};

class Process {
 public:
  Process(FuzzedDataProvider& input, Durable& durable)
      : input_(input), durable_(durable), settled_(durable.settled) {
    InvokeClaim claim = durable.claim;
    for (const auto& [id, row] : durable.rows) {
      claim.waiting.push_back({id.subscription, 1, row.source_timestamp_ms, false});
    }
    read_ = static_cast<size_t>(claim.position.value_or(0));
    books_ = std::make_shared<InvocationPartition>(std::move(claim), OffsetTracker::Limits{});
  }

  // False: it was killed.
  bool Step() {
    switch (input_.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
      case 1:
        TakeIn();
        break;
      case 2:
      case 3:
        if (!active_.empty()) Settle(Chosen());
        break;
      case 4:
        if (!active_.empty()) Spill(Chosen());
        break;
      case 5:
        TakeRows();
        break;
      case 6:
        if (!save_) Save();
        break;
      case 7:
        if (save_) Answer();
        break;
      case 8:
        if (!active_.empty()) Drop(Chosen());
        break;
      default:
        if (save_ && input_.ConsumeBool()) Apply();
        return false;
    }
    Check();
    return true;
  }

  // All that is there is settled.
  void Finish() {
    while (read_ < durable_.log.size()) TakeIn();
    while (!active_.empty()) Settle(active_.begin());
    for (int i = 0; i < 2; ++i) {
      if (!save_) Save();
      Apply();
      Saved();
    }
    TakeRows();  // those that were on their way
    TakeRows();
    TakeRows();
    while (!active_.empty()) Settle(active_.begin());
    Check();
    DISPATCH_CHECK(books_->position() == static_cast<int64_t>(durable_.log.size()));
    Save();
    Apply();
    DISPATCH_CHECK(durable_.rows.empty() && durable_.claim.checkpoint.partials.empty());
    std::map<Uuid, int64_t> wanted;
    for (const auto& event : durable_.events) {
      for (const auto& chunk : event.chunks) {
        for (int s : chunk) ++wanted[SubscriptionId(s)];
      }
    }
    for (const auto& [subscription, count] : wanted) {
      const auto& counters = books_->accounts()[subscription].counters;
      DISPATCH_CHECK(counters.received == count && counters.settled() == count);
    }
  }

  void Check() {
    if (!books_->reread()) return;  // what was pending before the crash is not all there yet
    auto pending = books_->CountPending();
    for (const auto& [subscription, account] : books_->accounts()) {
      DISPATCH_CHECK(account.counters.received ==
                     account.counters.settled() + pending[subscription].total());
    }
    DISPATCH_CHECK(books_->rows() >= static_cast<int64_t>(books_->rows_in_memory()));
  }

 private:
  using Active = std::map<schema::DeliveryId, DeliveryPtr>;

  Active::iterator Chosen() {
    auto place = input_.ConsumeIntegralInRange<size_t>(0, active_.size() - 1);
    return std::next(active_.begin(), static_cast<ptrdiff_t>(place));
  }

  void Take(const DeliveryPtr& delivery) {
    DISPATCH_CHECK(!settled_.contains(delivery->id));
    DISPATCH_CHECK(active_.emplace(delivery->id, delivery).second);
  }

  void TakeIn() {
    if (read_ == durable_.log.size()) return;
    auto [event, chunk] = durable_.log[read_];
    const auto& chunks = durable_.events[event].chunks;
    schema::Invocation invocation;
    invocation.source_offset = static_cast<int64_t>(event);
    invocation.source_timestamp_ms = static_cast<int64_t>(1000 * event);
    invocation.chunk = static_cast<int32_t>(chunk);
    invocation.chunks = static_cast<int32_t>(chunks.size());
    for (int s : chunks[chunk]) invocation.targets.push_back({SubscriptionId(s), 1, 1});
    broker::Record record;
    record.offset = static_cast<int64_t>(read_++);
    for (const auto& d : books_->TakeIn(record, std::move(invocation), 1)) Take(d);
  }

  void Settle(Active::iterator it) {
    DeliveryPtr delivery = it->second;
    active_.erase(it);
    settled_.insert(delivery->id);
    using Outcome = InvocationPartition::Outcome;
    books_->Settle(*delivery, input_.PickValueInArray({Outcome::kDelivered, Outcome::kDeadLettered,
                                                       Outcome::kCancelled}));
  }

  void Spill(Active::iterator it) {
    DeliveryPtr delivery = it->second;
    bool keep = input_.ConsumeBool();
    if (!keep) active_.erase(it);
    books_->Spill(*delivery, input_.ConsumeIntegralInRange<int64_t>(0, 9), keep);
    from_store_.erase(delivery->id);
  }

  // The rows that the load before found, and a new load.
  void TakeRows() {
    for (auto& row : std::exchange(loading_, {})) {
      schema::DeliveryId id = row.id;
      DeliveryPtr delivery = books_->TakeRow(std::move(row));
      if (delivery == nullptr) continue;
      Take(delivery);
      from_store_.insert(id);
    }
    books_->BeginLoad();
    for (const auto& [id, row] : durable_.rows) loading_.push_back(row);
  }

  // Only what the store has as it is.
  void Drop(Active::iterator it) {
    if (from_store_.erase(it->first) == 0) return;
    DeliveryPtr delivery = it->second;
    active_.erase(it);
    books_->Drop(*delivery);
  }

  void Save() {
    save_ = books_->Snapshot();
    saving_ = settled_;
  }

  void Apply() {
    for (auto& row : save_->upserts) {
      bool fresh = row.fresh;
      bool there = !durable_.rows.insert_or_assign(row.id, row).second;
      DISPATCH_CHECK(!(fresh && there));  // one stream: no other copy of it is anywhere
    }
    for (const auto& id : save_->deletes) durable_.rows.erase(id);
    auto stored = schema::Decode<schema::InvokeCheckpoint>(schema::Encode(save_->checkpoint));
    DISPATCH_CHECK(stored.ok());
    durable_.claim.position = save_->position;
    durable_.claim.checkpoint = std::move(*stored);
    durable_.settled = saving_;
  }

  void Saved() {
    books_->Saved();
    save_.reset();
  }

  void Answer() {
    int how = input_.ConsumeIntegralInRange<int>(0, 3);
    if (how != 1) Apply();
    if (how <= 1) {
      books_->SaveFailed();  // 0: it was saved all the same
      save_.reset();
    } else {
      Saved();
    }
  }

  FuzzedDataProvider& input_;
  Durable& durable_;
  std::shared_ptr<InvocationPartition> books_;
  size_t read_ = 0;
  Active active_;
  std::set<schema::DeliveryId> settled_;
  std::set<schema::DeliveryId> from_store_;  // active, and as the store has them
  std::vector<RetryRow> loading_;
  std::optional<InvokeSave> save_;  // on its way
  std::set<schema::DeliveryId> saving_;
};

// One chunk more, of the event that is next, or of one that was written before.
void Write(FuzzedDataProvider& input, Durable& durable) {
  auto& next = durable.next;
  if (input.ConsumeIntegralInRange<int>(0, 7) == 7) {  // event-manager was killed
    next = {next.event - std::min<size_t>(next.event, input.ConsumeIntegralInRange<size_t>(0, 3)),
            0};
  }
  if (next.event == durable.events.size()) {
    Durable::Event event;
    std::vector<int> all;
    for (int s = 0; s < kSubscriptions; ++s) {
      if (input.ConsumeBool()) all.push_back(s);
    }
    size_t first = input.ConsumeIntegralInRange<size_t>(0, all.size());
    if (first > 0) event.chunks.emplace_back(all.begin(), all.begin() + static_cast<int>(first));
    if (first < all.size()) {
      event.chunks.emplace_back(all.begin() + static_cast<int>(first), all.end());
    }
    if (event.chunks.empty()) event.chunks.push_back({0});
    durable.events.push_back(std::move(event));
  }
  durable.log.push_back(next);
  if (++next.chunk == durable.events[next.event].chunks.size()) next = {next.event + 1, 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  Durable durable;
  auto process = std::make_unique<Process>(input, durable);
  for (int i = 0; i < kMostSteps && input.remaining_bytes() > 0; ++i) {
    if (input.ConsumeIntegralInRange<int>(0, 4) == 0) {
      Write(input, durable);
    } else if (!process->Step()) {
      process = std::make_unique<Process>(input, durable);
      process->Check();
    }
  }
  while (durable.next.event < durable.events.size()) Write(input, durable);
  process->Finish();
  return 0;
}
