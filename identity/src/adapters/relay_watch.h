#pragma once

#include <string>

#include "broker-adapters/entities/outbox_store_pg.h"

namespace dispatch::identity {

/// The outbox store, which also remembers whether somebody relays: this instance, or another one
/// that holds the lease. One owner.
class RelayWatch : public broker::PgOutboxStore {
 public:
  RelayWatch(pg::Pool& pool, const Clock& clock, std::string lease)
      : PgOutboxStore(pool, std::move(lease)), clock_(clock) {}

  void AcquireLease(const std::string& owner, Duration ttl,
                    std::function<void(Result<Lease>)> done) override {
    PgOutboxStore::AcquireLease(owner, ttl,
                                [this, ttl, done = std::move(done)](Result<Lease> lease) {
                                  if (lease.ok()) known_until_ = clock_.Steady() + 2 * ttl;
                                  done(std::move(lease));
                                });
  }

  /// The database said not long ago who has the lease.
  bool somebody_leads() const { return clock_.Steady() < known_until_; }

 private:
  const Clock& clock_;
  SteadyTime known_until_{};
};

}  // namespace dispatch::identity
