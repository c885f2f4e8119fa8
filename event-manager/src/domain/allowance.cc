#include "event-manager/src/domain/allowance.h"

#include <algorithm>

namespace dispatch {

namespace {
constexpr double kMeanWeight = 1.0 / 64;
}

Allowance::Account& Allowance::Open(const Uuid& subscription, const std::string& org) {
  auto [it, fresh] = accounts_.try_emplace(subscription);
  Account& account = it->second;
  if (!fresh) return account;
  account.subscription_ = subscription;
  account.org_ = &orgs_[org];
  if (auto told = told_.find(subscription); told != told_.end()) Hear(account, told->second);
  return account;
}

void Allowance::Forget(const Uuid& subscription) {
  auto it = accounts_.find(subscription);
  if (it == accounts_.end()) return;
  it->second.org_->outstanding -= it->second.outstanding_;
  it->second.org_->scheduled -= it->second.free_scheduled_;
  total_ -= it->second.outstanding_;
  SetExhausted(subscription, false);
  broken_.erase(subscription);
  told_.erase(subscription);
  accounts_.erase(it);
}

void Allowance::Charge(Account& account, size_t bytes) {
  ++account.ours_;
  auto size = static_cast<double>(bytes);
  account.mean_bytes_ +=
      (size - account.mean_bytes_) * (account.mean_bytes_ == 0 ? 1 : kMeanWeight);
  Changed(account);
}

void Allowance::Take(Account& account, int64_t matched) {
  account.ours_ += matched;
  account.others_ = std::max<int64_t>(0, account.others_ - matched);
  Changed(account);
}

void Allowance::Give(Account& account, int64_t matched) {
  account.ours_ -= matched;
  account.others_ += matched;
  Changed(account);
}

void Allowance::Refund(Account& account, int64_t matched) {
  account.ours_ -= matched;
  Changed(account);
}

void Allowance::SetOthers(const std::unordered_map<Uuid, int64_t>& matched) {
  for (auto& [id, account] : accounts_) {
    auto it = matched.find(id);
    int64_t others = it == matched.end() ? 0 : it->second;
    if (others == account.others_) continue;
    account.others_ = others;
    Changed(account);
  }
}

void Allowance::SetSettled(const Uuid& subscription, int64_t settled, int64_t scheduled,
                           const schema::Circuit& circuit) {
  Told& told = told_[subscription];
  told = {settled, scheduled, circuit};
  auto it = accounts_.find(subscription);
  if (it == accounts_.end()) return;
  Hear(it->second, told);
  Changed(it->second);
}

void Allowance::Hear(Account& account, const Told& told) {
  account.settled_ = told.settled;
  account.scheduled_ = told.scheduled;
  account.circuit_ = told.circuit;
  if (told.circuit.state == schema::CircuitState::kClosed) {
    broken_.erase(account.subscription_);
  } else {
    broken_.insert(account.subscription_);
  }
}

void Allowance::Tick(WallTime now) {
  now_ms_ = ToMillis(now);
  for (const auto& id : broken_) Judge(accounts_.at(id));
}

int64_t Allowance::HighMark(const Account& account) const {
  if (account.mean_bytes_ < 1) return limits_.deliveries;
  auto by_size = static_cast<int64_t>(static_cast<double>(limits_.bytes) / account.mean_bytes_);
  return std::max<int64_t>(1, std::min(limits_.deliveries, by_size));
}

// How much of what is scheduled takes no allowance.
int64_t Allowance::FreeScheduled(const Account& account) const {
  int64_t most = limits_.scheduled;
  if (account.mean_bytes_ >= 1) {
    auto by_size =
        static_cast<int64_t>(static_cast<double>(limits_.scheduled_bytes) / account.mean_bytes_);
    most = std::min(most, by_size);
  }
  int64_t others = account.org_->scheduled - account.free_scheduled_;
  most = std::min(most, limits_.scheduled_organization - others);
  return std::max<int64_t>(0, std::min(account.scheduled_, most));
}

void Allowance::Changed(Account& account) {
  int64_t free = FreeScheduled(account);
  account.org_->scheduled += free - account.free_scheduled_;
  account.free_scheduled_ = free;
  int64_t now = std::max<int64_t>(0, account.ours_ + account.others_ - account.settled_ - free);
  account.org_->outstanding += now - account.outstanding_;
  total_ += now - account.outstanding_;
  account.outstanding_ = now;
  Judge(account);
}

void Allowance::Judge(Account& account) {
  if (limits_.deliveries == 0) return;
  int64_t high = HighMark(account);
  // A circuit is tried with what is pending: when nothing is, it cannot close by itself.
  bool broken = account.circuit_.state != schema::CircuitState::kClosed &&
                account.outstanding_ > 0 &&
                now_ms_ - account.circuit_.since_ms > limits_.patience.count();
  if (broken || account.outstanding_ >= high) {
    SetExhausted(account.subscription_, true);
  } else if (account.outstanding_ <= high - high / 8) {
    SetExhausted(account.subscription_, false);
  }
}

void Allowance::SetExhausted(const Uuid& subscription, bool exhausted) {
  bool moved =
      exhausted ? exhausted_.insert(subscription).second : exhausted_.erase(subscription) > 0;
  if (!moved) return;
  ++changes_;
  if (changed_) changed_();
}

bool Allowance::plenty(const Uuid& subscription) const {
  if (exhausted_.contains(subscription)) return false;
  auto it = accounts_.find(subscription);
  return it == accounts_.end() || it->second.outstanding_ <= HighMark(it->second) / 2;
}

bool Allowance::stopped(const std::string& org) const {
  if (limits_.deliveries == 0) return false;
  if (total_ >= limits_.total) return true;
  auto it = orgs_.find(org);
  return it != orgs_.end() && it->second.outstanding >= limits_.organization;
}

int64_t Allowance::outstanding(const Uuid& subscription) const {
  auto it = accounts_.find(subscription);
  return it == accounts_.end() ? 0 : it->second.outstanding_;
}

}  // namespace dispatch
