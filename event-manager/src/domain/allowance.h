#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "common/clock.h"
#include "common/uuid.h"
#include "schema/messages.h"

namespace dispatch {

/// How much may be fed to each subscription (DESIGN section 4): a high mark less what was matched
/// and is not settled yet. What is settled comes from function-manager, late: that only slows. A
/// subscription without allowance is *exhausted* until an eighth of it is free again: it does not
/// go to and fro with each delivery, and yet function-manager, which tells what it settled up to
/// 0.2 s late, never runs dry. One that has half of it free has *plenty*: those that are exhausted
/// need not hold it back. What is scheduled for later takes no allowance, up to a high mark of its
/// own: more of it does, so that it is bounded, too. Pure; one owner.
class Allowance {
 public:
  struct Limits {
    int64_t deliveries = 10'000;       // matched and not settled, of a subscription; 0: no bounds
    int64_t bytes = 32 * 1024 * 1024;  // of them, from the mean size of its events
    int64_t organization = 1'000'000;  // deliveries of all its subscriptions
    int64_t total = 2'000'000;
    int64_t scheduled = 100'000;  // deliveries of a subscription that wait for their time
    int64_t scheduled_bytes = int64_t{1} << 30;
    int64_t scheduled_organization = 500'000;
    std::chrono::milliseconds patience{5'000};  // with a circuit that does not close
  };

  class Account;

  explicit Allowance(Limits limits) : limits_(limits) {}

  /// `changed` runs when a subscription becomes exhausted or gets allowance again, inside the call
  /// that made it so.
  void OnChanged(std::function<void()> changed) { changed_ = std::move(changed); }

  /// Made when it is new; stays where it is until Forget.
  Account& Open(const Uuid& subscription, const std::string& org);
  void Forget(const Uuid& subscription);

  /// One more delivery is on its way.
  void Charge(Account& account, size_t bytes);
  /// A partition with so many matched deliveries became ours, or another instance's.
  void Take(Account& account, int64_t matched);
  void Give(Account& account, int64_t matched);
  /// They do not count any more.
  void Refund(Account& account, int64_t matched);
  /// What other instances matched, of all subscriptions: those that are not in it have none.
  void SetOthers(const std::unordered_map<Uuid, int64_t>& matched);
  /// What function-manager says.
  void SetSettled(const Uuid& subscription, int64_t settled, int64_t scheduled,
                  const schema::Circuit& circuit);
  /// Looks again at circuits that are open, and at who may go on.
  void Tick(WallTime now);

  /// Rises when a subscription becomes exhausted or gets allowance again.
  uint64_t changes() const { return changes_; }
  bool any_exhausted() const { return !exhausted_.empty(); }
  bool exhausted(const Uuid& subscription) const { return exhausted_.contains(subscription); }
  const std::unordered_set<Uuid>& all_exhausted() const { return exhausted_; }
  /// Half of its allowance is free.
  bool plenty(const Uuid& subscription) const;
  /// The organisation, or the installation, is at its cap: nothing is fed.
  bool stopped(const std::string& org) const;
  /// Matched and not settled, as far as is known.
  int64_t outstanding(const Uuid& subscription) const;
  int64_t total_outstanding() const { return total_; }

 private:
  struct Told {
    int64_t settled = 0;
    int64_t scheduled = 0;
    schema::Circuit circuit;
  };
  struct Organization {
    int64_t outstanding = 0;
    int64_t scheduled = 0;  // that take no allowance
  };

  int64_t HighMark(const Account& account) const;
  int64_t FreeScheduled(const Account& account) const;
  void Hear(Account& account, const Told& told);
  void Changed(Account& account);
  void Judge(Account& account);
  void SetExhausted(const Uuid& subscription, bool exhausted);

  Limits limits_;
  std::function<void()> changed_;
  uint64_t changes_ = 0;
  int64_t now_ms_ = 0;
  std::unordered_map<Uuid, Account> accounts_;
  std::unordered_map<Uuid, Told> told_;  // also of those that are not open here yet
  std::unordered_map<std::string, Organization> orgs_;
  std::unordered_set<Uuid> exhausted_;
  std::unordered_set<Uuid> broken_;  // with an open circuit
  int64_t total_ = 0;
};

/// Of one subscription; a handle for those who charge it.
class Allowance::Account {
 public:
  const Uuid& subscription() const { return subscription_; }

 private:
  friend class Allowance;
  Uuid subscription_;
  Organization* org_ = nullptr;
  int64_t ours_ = 0;    // matched in partitions of this instance
  int64_t others_ = 0;  // and of the others, as last read
  int64_t settled_ = 0;
  int64_t scheduled_ = 0;
  int64_t outstanding_ = 0;     // as counted in the sums
  int64_t free_scheduled_ = 0;  // likewise
  double mean_bytes_ = 0;
  schema::Circuit circuit_;
};

}  // namespace dispatch
