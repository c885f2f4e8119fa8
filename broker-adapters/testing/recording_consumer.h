#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker-adapters/broker.h"

namespace dispatch::broker::testing {

/// A member of a group that does nothing, and tells what was asked of it.
class RecordingConsumer : public GroupConsumer {
 public:
  using Commits = std::vector<std::pair<TopicPartition, int64_t>>;

  void Subscribe(std::vector<std::string> /*topics*/) override {}
  void Start(const TopicPartition& partition, int64_t offset, uint64_t generation) override {
    Note("start", partition, offset);
    generations_.push_back(generation);
  }
  void Seek(const TopicPartition& partition, int64_t offset) override {
    Note("seek", partition, offset);
  }
  void Pause(const TopicPartition& /*partition*/) override {}
  void Resume(const TopicPartition& partition) override { resumed_.insert(partition); }
  void Commit(const Commits& offsets) override { commits_.push_back(offsets); }
  Duration membership_age() const override { return membership_age_; }
  void Close(std::function<void()> closed) override { closed(); }

  void set_membership_age(Duration age) { membership_age_ = age; }
  /// "start t/0@5" and "seek t/0@5", in order, since the last call.
  std::vector<std::string> TakeMoves() { return std::exchange(moves_, {}); }
  std::vector<Commits> TakeCommits() { return std::exchange(commits_, {}); }
  const std::set<TopicPartition>& resumed() const { return resumed_; }
  const std::vector<uint64_t>& generations() const { return generations_; }

 private:
  void Note(const char* what, const TopicPartition& partition, int64_t offset) {
    moves_.push_back(std::string(what) + " " + partition.topic + "/" +
                     std::to_string(partition.partition) + "@" + std::to_string(offset));
  }

  Duration membership_age_{0};
  std::vector<std::string> moves_;
  std::vector<Commits> commits_;
  std::vector<uint64_t> generations_;
  std::set<TopicPartition> resumed_;
};

}  // namespace dispatch::broker::testing
