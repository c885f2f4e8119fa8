#pragma once

#include <string>
#include <vector>

#include "broker-adapters/outbox_relay.h"
#include "common/pg/pool.h"

namespace dispatch::broker {

/// OutboxStore over the tables of schema/sql/common. Needs no thread of its own.
class PgOutboxStore : public OutboxStore {
 public:
  /// `lease`: the name of the relay's row in `leases`.
  PgOutboxStore(pg::Pool& pool, std::string lease) : pool_(pool), lease_(std::move(lease)) {}

  void AcquireLease(const std::string& owner, Duration ttl,
                    std::function<void(Result<Lease>)> done) override;
  void ReleaseLease(const std::string& owner, int64_t epoch) override;
  void Read(size_t limit, std::function<void(Result<std::vector<OutboxRow>>)> done) override;
  void Remove(std::vector<std::pair<int64_t, int64_t>> rows, int64_t epoch,
              std::function<void(Status)> done) override;
  void Current(const std::string& kind, const std::string& key,
               std::function<void(Result<schema::StateRecord>)> done) override;

 private:
  pg::Pool& pool_;
  std::string lease_;
};

}  // namespace dispatch::broker
