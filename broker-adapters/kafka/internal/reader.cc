#include <algorithm>

#include "broker-adapters/kafka/internal/adapters.h"
#include "broker-adapters/kafka/internal/reader_core.h"

namespace dispatch::broker::kafka {

namespace {

constexpr size_t kSharedPrefetch = 4 * 1024 * 1024;

CorePtr OpenCore(ConnectionPtr connection, std::string client_id, size_t max_prefetch_bytes) {
  ReaderSettings settings{.client_id = std::move(client_id),
                          .max_prefetch_bytes = max_prefetch_bytes};
  auto core = std::make_shared<ReaderCore>(std::move(connection), std::move(settings));
  core->Open();
  return core;
}

/// By a core of its own, or each partition by the first of the shared ones that reads it for nobody
/// else.
class KafkaReader : public Reader {
 public:
  KafkaReader(ConnectionPtr connection, Reader::Listener& listener, CorePtr own)
      : connection_(std::move(connection)),
        port_(std::make_shared<Port>(&listener)),
        own_(std::move(own)) {
    if (own_ != nullptr) cores_.push_back(own_);
  }
  ~KafkaReader() override {
    port_->listener = nullptr;
    for (const CorePtr& core : cores_) {
      if (!core->closed()) core->Leave(port_);
    }
  }
  void Add(const TopicPartition& tp, int64_t offset) override {
    CorePtr core = own_ != nullptr ? own_ : Find(tp);
    if (core == nullptr) core = Choose(tp);
    core->Add(port_, tp, offset);
  }
  void Remove(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Remove(tp);
  }
  void Pause(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Pause(tp);
  }
  void Resume(const TopicPartition& tp) override {
    if (CorePtr core = Find(tp)) core->Resume(tp);
  }

 private:
  CorePtr Find(const TopicPartition& tp) const {
    for (const CorePtr& core : cores_) {
      if (core->ReadsFor(tp, port_)) return core;
    }
    return nullptr;
  }
  CorePtr Choose(const TopicPartition& tp) {
    CorePtr chosen;
    auto& shared = connection_->shared_readers;
    std::erase_if(shared, [](const auto& weak) { return weak.expired(); });
    for (const auto& weak : shared) {
      auto core = std::static_pointer_cast<ReaderCore>(weak.lock());
      if (chosen == nullptr && !core->closed() && !core->Reads(tp)) chosen = std::move(core);
    }
    if (chosen == nullptr) {
      chosen = OpenCore(connection_, "", kSharedPrefetch);
      shared.push_back(chosen);
    }
    if (std::find(cores_.begin(), cores_.end(), chosen) == cores_.end()) cores_.push_back(chosen);
    return chosen;
  }

  ConnectionPtr connection_;
  PortPtr port_;
  CorePtr own_;  // none: it shares
  std::vector<CorePtr> cores_;
};

}  // namespace

std::unique_ptr<Reader> NewReader(ConnectionPtr connection, std::string client_id,
                                  Reader::Listener& listener, size_t max_prefetch_bytes) {
  auto own = OpenCore(connection, std::move(client_id), max_prefetch_bytes);
  return std::make_unique<KafkaReader>(std::move(connection), listener, std::move(own));
}

std::unique_ptr<Reader> NewSharedReader(ConnectionPtr connection, Reader::Listener& listener) {
  return std::make_unique<KafkaReader>(std::move(connection), listener, nullptr);
}

}  // namespace dispatch::broker::kafka
