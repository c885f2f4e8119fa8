#include "function-manager/src/domain/fair_queue.h"

#include <algorithm>

namespace dispatch {

void FairQueue::Join(Member& member, const std::string& org) {
  if (member.org_ != nullptr) return;
  Org& found = orgs_[org];
  found.name = org;
  ++found.lanes;
  member.org_ = &found;
}

void FairQueue::Part(Member& member) {
  if (member.org_ == nullptr) return;
  Leave(member);
  Org* org = member.org_;
  member.org_ = nullptr;
  if (--org->lanes == 0) orgs_.erase(std::string(org->name));
}

void FairQueue::Enter(Member& member) {
  if (member.in_round_) return;
  Org& org = *member.org_;
  member.place_ = org.round.insert(org.round.end(), &member);
  member.in_round_ = true;
  if (org.in_round) return;
  org.place = round_.insert(round_.end(), &org);
  org.in_round = true;
}

void FairQueue::Leave(Member& member) {
  if (!member.in_round_) return;
  Org& org = *member.org_;
  org.round.erase(member.place_);
  member.in_round_ = false;
  if (!org.round.empty()) return;
  round_.erase(org.place);
  org.in_round = false;
}

FairQueue::Member* FairQueue::Next() {
  while (!round_.empty()) {
    Org& org = *round_.front();
    if (org.credit <= 0) {
      org.credit += options_.quantum.count();
      round_.splice(round_.end(), round_, org.place);
      continue;
    }
    Member& member = *org.round.front();
    if (member.credit_ > 0) return &member;
    member.credit_ += options_.quantum.count();
    org.round.splice(org.round.end(), org.round, member.place_);
  }
  return nullptr;
}

int64_t FairQueue::Charged(int64_t credit, Duration cost) const {
  return std::clamp(credit - cost.count(), -options_.most_debt.count(), options_.quantum.count());
}

void FairQueue::Charge(Member& member, Duration cost) {
  if (member.org_ == nullptr) return;
  member.credit_ = Charged(member.credit_, cost);
  member.org_->credit = Charged(member.org_->credit, cost);
}

}  // namespace dispatch
