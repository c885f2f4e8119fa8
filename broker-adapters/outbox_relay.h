#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "schema/messages.h"

namespace dispatch::broker {

/// One row of an outbox: a whole entity (or its deletion) to publish.
struct OutboxRow {
  int64_t xid = 0;
  int64_t seq = 0;
  schema::StateRecord record;
};

/// Where the relay reads rows and keeps its lease; over PostgreSQL in production
/// (outbox_store_pg.h), in memory in tests. Callbacks on the owner's loop.
class OutboxStore {
 public:
  struct Lease {
    bool held = false;
    int64_t epoch = 0;
    Duration valid_for{0};  // counted from when the call was made
  };
  virtual ~OutboxStore() = default;
  /// Takes or renews the relay's lease for `owner`. A new holder raises the epoch.
  virtual void AcquireLease(const std::string& owner, Duration ttl,
                            std::function<void(Result<Lease>)> done) = 0;
  virtual void ReleaseLease(const std::string& owner, int64_t epoch) = 0;
  /// Rows whose transactions are all visible (below pg_snapshot_xmin), in (xid, seq) order.
  virtual void Read(size_t limit, std::function<void(Result<std::vector<OutboxRow>>)> done) = 0;
  /// Removes rows that are in the log; conditional on the lease's epoch.
  virtual void Remove(std::vector<std::pair<int64_t, int64_t>> rows, int64_t epoch,
                      std::function<void(Status)> done) = 0;
  /// The present entity or tombstone of a key, to publish again when an older epoch overwrote it.
  virtual void Current(const std::string& kind, const std::string& key,
                       std::function<void(Result<schema::StateRecord>)> done) = 0;
};

/// Publishes an owner's entities to `dispatch.state.<service>`: one relay an owner at a time (lease
/// and epoch), whole entities in commit order, 1 s heartbeats. It tails its own topic, and
/// publishes again any key that an older epoch overwrote. One owner.
class OutboxRelay {
 public:
  struct Options {
    std::string service;
    std::string owner;  // this instance
    Duration poll{250'000};
    Duration lease_ttl{2'500'000};  // who dies is followed within it and a sixth
    Duration heartbeat{1'000'000};
    /// How long a deletion stays in the topic before its key goes altogether.
    Duration keep_deleted{86'400'000'000};
  };
  OutboxRelay(Broker& broker, Loop& loop, const RecordSigner& signer, OutboxStore& store,
              Options options);
  ~OutboxRelay();

  void Start();
  /// A mutation was committed: look now, do not wait for the poll.
  void Nudge();
  bool leading() const;
  void Stop(std::function<void()> stopped);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::broker
