#include "api-gateway/src/domain/browse/reader_pool.h"

#include <fmt/format.h>

namespace dispatch::gateway {

/// A reader that serves one request after the other.
class ReaderPool::Slot : private broker::Reader::Listener {
 public:
  Slot(broker::Broker& broker, size_t prefetch_bytes) {
    broker::Reader::Listener& self = *this;
    reader_ = broker.NewReader("dispatch-browse", self, prefetch_bytes);
  }

  void Serve(broker::Reader::Listener* listener) { listener_ = listener; }
  // What was fetched for the request before must not reach the next one: a pause drops it at once.
  void Rest(SteadyTime now) {
    listener_ = nullptr;
    idle_since_ = now;
    for (const auto& partition : partitions_) {
      reader_->Pause(partition);
      reader_->Remove(partition);
    }
    partitions_.clear();
  }
  void Add(const broker::TopicPartition& partition, int64_t offset) {
    partitions_.insert(partition);
    reader_->Add(partition, offset);
  }
  void Remove(const broker::TopicPartition& partition) {
    if (partitions_.erase(partition) > 0) reader_->Remove(partition);
  }
  void SetPaused(bool paused) {
    for (const auto& partition : partitions_) {
      paused ? reader_->Pause(partition) : reader_->Resume(partition);
    }
  }
  SteadyTime idle_since() const { return idle_since_; }

 private:
  void OnRecords(std::vector<broker::Record> records) override {
    if (listener_ != nullptr) listener_->OnRecords(std::move(records));
  }
  void OnPartitionError(const broker::TopicPartition& partition, const Error& error) override {
    if (listener_ != nullptr) listener_->OnPartitionError(partition, error);
  }
  void OnEnd(const broker::TopicPartition& partition, int64_t next_offset) override {
    if (listener_ != nullptr) listener_->OnEnd(partition, next_offset);
  }

  broker::Reader::Listener* listener_ = nullptr;
  std::set<broker::TopicPartition> partitions_;
  SteadyTime idle_since_{};
  std::unique_ptr<broker::Reader> reader_;
};

ReaderPool::ReaderPool(Loop& loop, broker::Broker& broker, Options options)
    : loop_(loop),
      broker_(broker),
      options_(options),
      gauge_(metrics::GetGauge("dispatch_gateway_readers",
                               "Requests that read event topics just now.")) {}

ReaderPool::~ReaderPool() { loop_.Cancel(timer_); }

Result<std::unique_ptr<ReaderPool::Lease>> ReaderPool::Take(const std::string& org,
                                                            broker::Reader::Listener& listener) {
  size_t& taken = by_org_[org];
  if (taken >= options_.max_per_org || at_work_ >= options_.max) {
    bool own = taken >= options_.max_per_org;
    if (taken == 0) by_org_.erase(org);
    return Error{Code::kResourceExhausted,
                 own ? fmt::format("{} requests of organisation {} read topics already: end one of "
                                   "them, or try again",
                                   options_.max_per_org, org)
                     : fmt::format("{} requests read topics already, which is all that this "
                                   "gateway serves at once: try again",
                                   options_.max),
                 true};
  }
  ++taken;
  gauge_.Set(static_cast<double>(++at_work_));
  std::unique_ptr<Slot> slot;
  if (idle_.empty()) {
    slot = std::make_unique<Slot>(broker_, options_.prefetch_bytes);
  } else {
    slot = std::move(idle_.back());
    idle_.pop_back();
  }
  slot->Serve(&listener);
  return std::make_unique<Lease>(*this, org, std::move(slot));
}

void ReaderPool::GiveBack(const std::string& org, std::unique_ptr<Slot> slot) {
  gauge_.Set(static_cast<double>(--at_work_));
  auto taken = by_org_.find(org);
  if (--taken->second == 0) by_org_.erase(taken);
  slot->Rest(loop_.Steady());
  if (idle_.size() >= options_.kept) return;
  idle_.push_back(std::move(slot));
  if (timer_ == kNoTimer) timer_ = loop_.After(options_.keep_for, [this] { DropOld(); });
}

void ReaderPool::DropOld() {
  timer_ = kNoTimer;
  std::erase_if(idle_, [&](const auto& slot) {
    return loop_.Steady() - slot->idle_since() >= options_.keep_for;
  });
  if (!idle_.empty()) timer_ = loop_.After(options_.keep_for, [this] { DropOld(); });
}

ReaderPool::Lease::Lease(ReaderPool& pool, std::string org, std::unique_ptr<Slot> slot)
    : pool_(pool), org_(std::move(org)), slot_(std::move(slot)) {}
ReaderPool::Lease::~Lease() { pool_.GiveBack(org_, std::move(slot_)); }
void ReaderPool::Lease::Add(const broker::TopicPartition& partition, int64_t offset) {
  slot_->Add(partition, offset);
}
void ReaderPool::Lease::Remove(const broker::TopicPartition& partition) {
  slot_->Remove(partition);
}
void ReaderPool::Lease::Pause() { slot_->SetPaused(true); }
void ReaderPool::Lease::Resume() { slot_->SetPaused(false); }

}  // namespace dispatch::gateway
