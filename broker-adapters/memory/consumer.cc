#include <utility>

#include "broker-adapters/memory/fetcher.h"
#include "common/log.h"

namespace dispatch::broker::memory {

namespace {

constexpr Duration kReleaseTimeout{10'000'000};

/// The member's side of a group. It does one thing at a time, as Kafka's clients do: an assignment
/// ends when all of it was started, a revocation when it was released.
class Member : public Component, public std::enable_shared_from_this<Member>, public Fetcher::Sink {
 public:
  Member(ClusterPtr cluster, std::string client, GroupOptions options,
         GroupConsumer::Listener& listener)
      : cluster_(std::move(cluster)),
        client_(std::move(client)),
        options_(std::move(options)),
        listener_(&listener),
        group_(cluster_->GetGroup(options_.group)),
        fetcher_(std::make_shared<Fetcher>(cluster_, client_, *this, options_.max_prefetch_bytes,
                                           options_.group)),
        component_(cluster_->Register(this)) {}

  ~Member() override { cluster_->Unregister(component_); }

  /// The owner is gone: nothing is called back any more.
  void Abandon() {
    listener_ = nullptr;
    closed_ = nullptr;
    fetcher_->Close();
    cluster_->loop.Cancel(release_timer_);
    group_.Crash(id_);
  }

  void Subscribe(std::vector<std::string> topics) {
    topics_ = std::set<std::string>(topics.begin(), topics.end());
    subscribed_ = true;
    changed_ = true;
    Nudge();
  }

  void Start(const TopicPartition& tp, int64_t offset, uint64_t generation) {
    auto it = owned_.find(tp);
    if (it == owned_.end() || it->second.generation != generation || it->second.started) return;
    it->second.started = true;
    it->second.start_at = offset;
    if (state_ != State::kAssigning || --not_started_ > 0) return;
    // Fetching begins when the whole assignment was started.
    for (auto& [partition, part] : owned_) {
      if (!part.started || part.fetching) continue;
      part.fetching = true;
      fetcher_->Add(partition, part.start_at);
      if (part.paused) fetcher_->Pause(partition);
    }
    state_ = State::kIdle;
    Nudge();
  }

  void Seek(const TopicPartition& tp, int64_t offset) {
    auto it = owned_.find(tp);
    if (it == owned_.end() || !it->second.started) return;
    it->second.start_at = offset;
    if (it->second.fetching) fetcher_->Add(tp, offset);
  }

  void SetPaused(const TopicPartition& tp, bool paused) {
    auto it = owned_.find(tp);
    if (it == owned_.end()) return;
    it->second.paused = paused;
    if (paused) {
      fetcher_->Pause(tp);
    } else {
      fetcher_->Resume(tp);
    }
  }

  void Commit(const std::vector<std::pair<TopicPartition, int64_t>>& offsets) {
    cluster_->Later([weak = weak_from_this(), offsets] {
      auto self = weak.lock();
      if (!self || !self->Reachable()) return;
      for (auto& [tp, offset] : offsets) self->group_.Commit(self->id_, tp, offset);
    });
  }

  Duration Age() const {
    // A member that was thrown out does not know: its age just goes on.
    if (id_ == Group::kNone) return Duration::max();
    Duration age = group_.Age(id_);
    if (age != Duration::max()) {
      seen_ = cluster_->loop.Steady() - age;
      return age;
    }
    return cluster_->loop.Steady() - seen_;
  }

  void Close(std::function<void()> closed) {
    if (closing_) return;
    closing_ = true;
    closed_ = std::move(closed);
    if (state_ == State::kAssigning) state_ = State::kIdle;
    cluster_->Later([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->ContinueClose();
    });
  }

  void OnReachability() override { Nudge(); }

 private:
  enum class State { kIdle, kAssigning, kRevoking };
  struct Part {
    uint64_t generation = 0;
    bool started = false;
    bool fetching = false;
    bool paused = false;
    int64_t start_at = 0;
  };

  bool Reachable() const { return cluster_->Reachable(client_); }

  void Nudge() {
    if (nudged_ || listener_ == nullptr) return;
    nudged_ = true;
    cluster_->Later([weak = weak_from_this()] {
      auto self = weak.lock();
      if (!self) return;
      self->nudged_ = false;
      self->Sync();
    });
  }

  // Talks to the coordinator, as a heartbeat does.
  void Sync() {
    if (listener_ == nullptr || closing_ || !subscribed_ || !Reachable()) return;
    if (id_ != Group::kNone && !group_.Has(id_)) return Lose();
    if (id_ == Group::kNone) {
      id_ = group_.Join(client_, options_.instance_id, topics_, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->Nudge();
      });
    } else if (changed_) {
      group_.Subscribe(id_, topics_);
    }
    changed_ = false;
    if (state_ != State::kIdle) return;
    std::set<TopicPartition> owned;
    for (auto& [tp, part] : owned_) owned.insert(tp);
    Group::Partitions revoke;
    Group::Partitions assign;
    group_.Sync(id_, owned, revoke, assign);
    if (!revoke.empty()) {
      Revoke(std::move(revoke));
    } else if (!assign.empty()) {
      Assign(assign);
    }
  }

  void Assign(const Group::Partitions& partitions) {
    uint64_t generation = ++generation_;
    for (const TopicPartition& tp : partitions) owned_[tp] = Part{.generation = generation};
    state_ = State::kAssigning;
    not_started_ = partitions.size();
    listener_->OnAssigned(partitions, generation);
  }

  void Revoke(Group::Partitions partitions) {
    state_ = State::kRevoking;
    for (const TopicPartition& tp : partitions) fetcher_->Remove(tp);
    uint64_t ticket = ++release_ticket_;
    release_timer_ = cluster_->loop.After(kReleaseTimeout, [weak = weak_from_this(), ticket] {
      if (auto self = weak.lock()) {
        log::Warning("revoked partitions were not released in time group={}", self->options_.group);
        self->Release(ticket);
      }
    });
    releasing_ = partitions;
    listener_->OnRevoked(partitions, [weak = weak_from_this(), ticket] {
      if (auto self = weak.lock()) self->Release(ticket);
    });
  }

  void Release(uint64_t ticket) {
    if (ticket != release_ticket_ || state_ != State::kRevoking || listener_ == nullptr) return;
    ++release_ticket_;
    cluster_->loop.Cancel(release_timer_);
    for (const TopicPartition& tp : releasing_) owned_.erase(tp);
    releasing_.clear();
    state_ = State::kIdle;
    if (closing_) {
      ContinueClose();
    } else {
      Nudge();
    }
  }

  // The coordinator threw us out while we were not heard of.
  void Lose() {
    Group::Partitions lost;
    for (auto& [tp, part] : owned_) {
      lost.push_back(tp);
      fetcher_->Remove(tp);
    }
    owned_.clear();
    releasing_.clear();
    ++release_ticket_;
    cluster_->loop.Cancel(release_timer_);
    state_ = State::kIdle;
    id_ = Group::kNone;
    if (!options_.instance_id.empty() && group_.HasInstance(options_.instance_id)) OnFenced();
    Nudge();
    if (!lost.empty()) listener_->OnLost(lost);
  }

  void OnFenced() {
    SteadyTime now = cluster_->loop.Steady();
    if (fenced_ && now - *fenced_ < kNameContested) options_.instance_id.clear();
    fenced_ = now;
  }

  void ContinueClose() {
    if (listener_ == nullptr || state_ == State::kRevoking) return;
    if (id_ != Group::kNone && !group_.Has(id_)) Lose();
    if (listener_ == nullptr) return;
    if (!owned_.empty()) {
      Group::Partitions all;
      for (auto& [tp, part] : owned_) all.push_back(tp);
      return Revoke(std::move(all));
    }
    if (Reachable()) {
      group_.Leave(id_);
    } else {
      group_.Crash(id_);
    }
    id_ = Group::kNone;
    cluster_->Later([weak = weak_from_this()] {
      auto self = weak.lock();
      if (self && self->closed_) std::exchange(self->closed_, nullptr)();
    });
  }

  void OnFetched(std::vector<Record> records) override { listener_->OnRecords(std::move(records)); }
  void OnFetchError(const TopicPartition& tp, const Error& error) override {
    listener_->OnPartitionError(tp, error);
  }
  void OnFetchedAll(const TopicPartition&, int64_t) override {}

  ClusterPtr cluster_;
  std::string client_;
  GroupOptions options_;
  GroupConsumer::Listener* listener_;
  Group& group_;
  std::shared_ptr<Fetcher> fetcher_;
  uint64_t component_;
  std::set<std::string> topics_;
  bool subscribed_ = false;
  bool changed_ = false;
  bool nudged_ = false;
  bool closing_ = false;
  std::function<void()> closed_;
  std::optional<SteadyTime> fenced_;
  Group::MemberId id_ = Group::kNone;
  mutable SteadyTime seen_;
  State state_ = State::kIdle;
  uint64_t generation_ = 0;
  size_t not_started_ = 0;
  std::map<TopicPartition, Part> owned_;
  Group::Partitions releasing_;
  uint64_t release_ticket_ = 0;
  TimerId release_timer_ = kNoTimer;
};

class MemoryConsumer : public GroupConsumer {
 public:
  explicit MemoryConsumer(std::shared_ptr<Member> member) : member_(std::move(member)) {}
  ~MemoryConsumer() override { member_->Abandon(); }

  void Subscribe(std::vector<std::string> topics) override {
    member_->Subscribe(std::move(topics));
  }
  void Start(const TopicPartition& tp, int64_t offset, uint64_t generation) override {
    member_->Start(tp, offset, generation);
  }
  void Seek(const TopicPartition& tp, int64_t offset) override { member_->Seek(tp, offset); }
  void Pause(const TopicPartition& tp) override { member_->SetPaused(tp, true); }
  void Resume(const TopicPartition& tp) override { member_->SetPaused(tp, false); }
  void Commit(const std::vector<std::pair<TopicPartition, int64_t>>& offsets) override {
    member_->Commit(offsets);
  }
  Duration membership_age() const override { return member_->Age(); }
  void Close(std::function<void()> closed) override { member_->Close(std::move(closed)); }

 private:
  std::shared_ptr<Member> member_;
};

}  // namespace

std::unique_ptr<GroupConsumer> NewConsumer(ClusterPtr cluster, std::string client,
                                           GroupOptions options,
                                           GroupConsumer::Listener& listener) {
  return std::make_unique<MemoryConsumer>(std::make_shared<Member>(
      std::move(cluster), std::move(client), std::move(options), listener));
}

}  // namespace dispatch::broker::memory
