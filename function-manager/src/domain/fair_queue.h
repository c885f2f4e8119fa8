#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "common/clock.h"

namespace dispatch {

/// Deficit round robin over organisations, and over the lanes of each. What is shared out is
/// slot-time: how long attempts occupy a place. A lane is charged an estimate when an attempt
/// starts and the difference when it ends, so one whose endpoint is slow waits longer for its next
/// turn. O(1) a pick, as a turn adds no less than a usual attempt costs. Pure; one owner.
class FairQueue {
 public:
  struct Options {
    Duration quantum = std::chrono::milliseconds(50);
    Duration most_debt = std::chrono::seconds(1);  // what is beyond is forgiven
  };
  struct Org;
  /// A lane's place in the round; part of the lane, which must not move meanwhile.
  class Member {
   public:
    bool in_round() const { return in_round_; }

   private:
    friend class FairQueue;
    Org* org_ = nullptr;
    int64_t credit_ = 0;
    bool in_round_ = false;
    std::list<Member*>::iterator place_;
  };
  struct Org {
    std::string name;
    int64_t credit = 0;
    size_t lanes = 0;  // joined, in the round or not
    std::list<Member*> round;
    bool in_round = false;
    std::list<Org*>::iterator place;
  };

  FairQueue() : FairQueue(Options{}) {}
  explicit FairQueue(Options options) : options_(options) {}

  void Join(Member& member, const std::string& org);
  /// Forgets the lane.
  void Part(Member& member);

  /// In: it has something to start.
  void Enter(Member& member);
  void Leave(Member& member);
  /// Whose turn it is; stays its turn until its credit is used. Null when nobody is in.
  Member* Next();
  /// Negative: gives back.
  void Charge(Member& member, Duration cost);

 private:
  int64_t Charged(int64_t credit, Duration cost) const;

  Options options_;
  std::unordered_map<std::string, Org> orgs_;
  std::list<Org*> round_;
};

}  // namespace dispatch
