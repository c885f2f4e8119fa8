#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "broker-adapters/broker.h"

namespace dispatch {

/// Looks from where on a partition holds a record, from an offset on: offsets below the log's end
/// may hold none (marks of transactions, compaction), and a consumer that waits for them tells
/// nobody whether it is at the end or cut off from its broker. One use. Lives on the loop.
class GapProbe : private broker::Reader::Listener {
 public:
  /// Calls `found` once it knows, not inside the constructor.
  GapProbe(broker::Broker& broker, Loop& loop, const broker::TopicPartition& partition,
           int64_t from, std::function<void()> found)
      : loop_(loop),
        from_(from),
        empty_until_(from),
        found_(std::move(found)),
        reader_(broker.NewReader("dispatch-gap-probe", *this, 64 * 1024)) {
    reader_->Add(partition, from);
  }

  /// Nothing is in the log at these offsets, for ever, except that it may go on beyond them.
  bool Proves(int64_t first, int64_t last) const { return first >= from_ && last <= empty_until_; }
  bool found() const { return found_ == nullptr; }

 private:
  void OnRecords(std::vector<broker::Record> records) override {
    if (!records.empty()) Found(records.front().offset);
  }
  void OnEnd(const broker::TopicPartition&, int64_t next_offset) override { Found(next_offset); }
  void OnPartitionError(const broker::TopicPartition&, const Error&) override { Found(from_); }

  void Found(int64_t until) {
    if (!found_) return;
    empty_until_ = std::max(from_, until);
    // Not at once: we are inside the reader.
    loop_.Post([alive = std::weak_ptr(alive_), this, found = std::exchange(found_, nullptr)] {
      if (alive.expired()) return;
      reader_.reset();
      found();
    });
  }

  Loop& loop_;
  const int64_t from_;
  int64_t empty_until_;
  std::function<void()> found_;
  std::unique_ptr<broker::Reader> reader_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace dispatch
