#include "broker-adapters/memory/fetcher.h"

namespace dispatch::broker::memory {

namespace {

class MemoryReader : public Reader, public Fetcher::Sink {
 public:
  MemoryReader(ClusterPtr cluster, std::string client, Listener& listener, size_t max_bytes)
      : listener_(listener),
        fetcher_(std::make_shared<Fetcher>(std::move(cluster), std::move(client), *this, max_bytes,
                                           std::string())) {}
  ~MemoryReader() override { fetcher_->Close(); }

  void Add(const TopicPartition& tp, int64_t offset) override { fetcher_->Add(tp, offset); }
  void Remove(const TopicPartition& tp) override { fetcher_->Remove(tp); }
  void Pause(const TopicPartition& tp) override { fetcher_->Pause(tp); }
  void Resume(const TopicPartition& tp) override { fetcher_->Resume(tp); }

 private:
  void OnFetched(std::vector<Record> records) override { listener_.OnRecords(std::move(records)); }
  void OnFetchError(const TopicPartition& tp, const Error& error) override {
    listener_.OnPartitionError(tp, error);
  }
  void OnFetchedAll(const TopicPartition& tp, int64_t next_offset) override {
    listener_.OnEnd(tp, next_offset);
  }

  Listener& listener_;
  std::shared_ptr<Fetcher> fetcher_;
};

}  // namespace

std::unique_ptr<Reader> NewReader(ClusterPtr cluster, std::string client,
                                  Reader::Listener& listener, size_t max_bytes) {
  return std::make_unique<MemoryReader>(std::move(cluster), std::move(client), listener, max_bytes);
}

}  // namespace dispatch::broker::memory
