#include "broker-adapters/memory/memory_broker.h"

#include <algorithm>

#include "broker-adapters/memory/cluster.h"
#include "broker-adapters/memory/fetcher.h"

namespace dispatch::broker {

namespace {

constexpr int64_t kDeleteRetentionMs = 24 * 3600 * 1000;  // of tombstones: Kafka's default

class MemoryBroker : public Broker {
 public:
  MemoryBroker(memory::ClusterPtr cluster, std::string client)
      : cluster_(std::move(cluster)),
        client_(std::move(client)),
        admin_(memory::NewAdmin(cluster_, client_)) {}

  std::unique_ptr<Producer> NewProducer(ProducerOptions options) override {
    return memory::NewProducer(cluster_, client_, std::move(options));
  }
  std::unique_ptr<GroupConsumer> NewGroupConsumer(GroupOptions options,
                                                  GroupConsumer::Listener& listener) override {
    return memory::NewConsumer(cluster_, client_, std::move(options), listener);
  }
  std::unique_ptr<Reader> NewReader(std::string, Reader::Listener& listener,
                                    size_t max_prefetch_bytes) override {
    return memory::NewReader(cluster_, client_, listener, max_prefetch_bytes);
  }
  std::unique_ptr<Reader> NewSharedReader(Reader::Listener& listener) override {
    return NewReader("", listener, 4 * 1024 * 1024);
  }
  Admin& admin() override { return *admin_; }

 private:
  memory::ClusterPtr cluster_;
  std::string client_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace

// SplitMix64: a few instructions, good enough to spread faults.
uint64_t MemoryCluster::Impl::Random() {
  uint64_t z = (random_state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

bool MemoryCluster::Impl::Chance(double probability) {
  if (probability <= 0) return false;
  return static_cast<double>(Random() >> 11) * 0x1p-53 < probability;
}

Duration MemoryCluster::Impl::Latency() {
  if (faults.max_latency <= faults.min_latency) return faults.min_latency;
  auto range = static_cast<uint64_t>((faults.max_latency - faults.min_latency).count()) + 1;
  return faults.min_latency + Duration(static_cast<int64_t>(Random() % range));
}

void MemoryCluster::Impl::After(Duration delay, std::function<void()> task) {
  if (delay <= Duration::zero()) {
    loop.Post(std::move(task));
  } else {
    loop.After(delay, std::move(task));
  }
}

void MemoryCluster::Impl::ReachabilityChanged() {
  for (auto& [name, group] : groups) group->ReachabilityChanged();
  for (auto& [id, component] : components) component->OnReachability();
}

uint64_t MemoryCluster::Impl::Register(memory::Component* component) {
  uint64_t id = next_id++;
  components.emplace(id, component);
  return id;
}

memory::Topic* MemoryCluster::Impl::FindTopic(const std::string& name) {
  auto it = topics.find(name);
  return it == topics.end() ? nullptr : &it->second;
}

memory::Partition* MemoryCluster::Impl::FindPartition(const TopicPartition& tp) {
  memory::Topic* topic = FindTopic(tp.topic);
  if (topic == nullptr || tp.partition < 0 ||
      static_cast<size_t>(tp.partition) >= topic->partitions.size()) {
    return nullptr;
  }
  return topic->partitions[static_cast<size_t>(tp.partition)].get();
}

int64_t MemoryCluster::Impl::Append(memory::Partition& partition, Record record) {
  int64_t gap = Chance(faults.offset_gap) ? 1 + static_cast<int64_t>(Random() % 3) : 0;
  int64_t offset = partition.log.Append(std::move(record), gap);
  for (memory::Fetcher* fetcher : partition.watchers) fetcher->Wake();
  return offset;
}

void MemoryCluster::Impl::TopicsChanged() {
  for (auto& [name, group] : groups) group->TopicsChanged();
  for (auto& [id, component] : components) component->OnReachability();
}

memory::Group& MemoryCluster::Impl::GetGroup(const std::string& name) {
  auto& group = groups[name];
  if (!group) group = std::make_unique<memory::Group>(*this);
  return *group;
}

MemoryCluster::MemoryCluster(Loop& loop, uint64_t seed)
    : impl_(std::make_shared<Impl>(loop, seed)) {}
MemoryCluster::~MemoryCluster() = default;

std::unique_ptr<Broker> MemoryCluster::Connect(std::string client_id) {
  return std::make_unique<MemoryBroker>(impl_, std::move(client_id));
}

void MemoryCluster::set_faults(Faults faults) { impl_->faults = faults; }
void MemoryCluster::set_session_timeout(Duration timeout) { impl_->session_timeout = timeout; }

void MemoryCluster::set_down(bool down) {
  if (impl_->down == down) return;
  impl_->down = down;
  impl_->ReachabilityChanged();
}

void MemoryCluster::set_partitioned(const std::string& client_id, bool partitioned) {
  bool changed = partitioned ? impl_->partitioned.insert(client_id).second
                             : impl_->partitioned.erase(client_id) > 0;
  if (changed) impl_->ReachabilityChanged();
}

void MemoryCluster::Truncate(const TopicPartition& partition, int64_t offset) {
  memory::Partition* found = impl_->FindPartition(partition);
  if (found == nullptr) return;
  found->log.Truncate(offset);
  for (memory::Fetcher* fetcher : found->watchers) fetcher->Wake();
}

void MemoryCluster::Compact(const std::string& topic) {
  memory::Topic* found = impl_->FindTopic(topic);
  if (found == nullptr) return;
  int64_t expired = ToMillis(impl_->loop.Now()) - kDeleteRetentionMs;
  for (auto& partition : found->partitions) partition->log.Compact(expired);
}

void MemoryCluster::Rebalance(const std::string& group) { impl_->GetGroup(group).Rebalance(); }

std::vector<Record> MemoryCluster::Log(const TopicPartition& partition) const {
  const memory::Partition* found = impl_->FindPartition(partition);
  if (found == nullptr) return {};
  return {found->log.records().begin(), found->log.records().end()};
}

int32_t MemoryCluster::Partitions(const std::string& topic) const {
  const memory::Topic* found = impl_->FindTopic(topic);
  return found == nullptr ? 0 : static_cast<int32_t>(found->partitions.size());
}

int64_t MemoryCluster::Committed(const std::string& group, const TopicPartition& partition) const {
  return impl_->GetGroup(group).Committed(partition);
}

}  // namespace dispatch::broker
