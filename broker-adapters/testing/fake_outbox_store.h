#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker-adapters/outbox_relay.h"
#include "common/clock.h"

namespace dispatch::broker::testing {

/// A database's outbox and lease in memory, for any number of relays. It outlives them. Hooks: fail
/// the next calls, hold answers back.
class FakeOutboxStore : public OutboxStore {
 public:
  explicit FakeOutboxStore(Loop& loop) : loop_(loop) {}

  /// Commits a change of an entity: what the owner's transaction would do.
  int64_t Put(const std::string& kind, const std::string& org, const std::string& name,
              const std::string& document, bool deleted = false) {
    schema::StateRecord record;
    record.kind = kind;
    record.org = org;
    record.name = name;
    record.uuid = uuids_.try_emplace(record.Key(), Uuid::Random()).first->second;
    record.version = ++version_;
    record.deleted = deleted;
    record.document = deleted ? "{}" : document;
    if (deleted) uuids_.erase(record.Key());
    current_[record.kind + "/" + record.org + "/" + record.name] = record;
    rows_.push_back({version_, version_, record});
    return version_;
  }
  int64_t Delete(const std::string& kind, const std::string& org, const std::string& name) {
    return Put(kind, org, name, "{}", true);
  }

  const std::vector<OutboxRow>& rows() const { return rows_; }
  const std::map<std::string, schema::StateRecord>& current() const { return current_; }
  const std::string& holder() const { return holder_; }
  int64_t epoch() const { return epoch_; }
  /// While set every call fails with kUnavailable.
  bool down = false;

  void AcquireLease(const std::string& owner, Duration ttl,
                    std::function<void(Result<Lease>)> done) override {
    if (down) return Answer<Lease>(Down(), std::move(done));
    bool over = loop_.Steady() >= expires_;
    if (!over && owner != holder_) return Answer<Lease>(Lease{}, std::move(done));
    if (over || owner != holder_) ++epoch_;
    holder_ = owner;
    expires_ = loop_.Steady() + ttl;
    Answer<Lease>(Lease{true, epoch_, ttl}, std::move(done));
  }
  void ReleaseLease(const std::string& owner, int64_t epoch) override {
    if (owner == holder_ && epoch == epoch_) expires_ = loop_.Steady();
  }
  void Read(size_t limit, std::function<void(Result<std::vector<OutboxRow>>)> done) override {
    if (down) return Answer<std::vector<OutboxRow>>(Down(), std::move(done));
    std::vector<OutboxRow> rows(
        rows_.begin(), rows_.begin() + static_cast<ptrdiff_t>(std::min(limit, rows_.size())));
    Answer<std::vector<OutboxRow>>(std::move(rows), std::move(done));
  }
  void Remove(std::vector<std::pair<int64_t, int64_t>> rows, int64_t epoch,
              std::function<void(Status)> done) override {
    if (!down && epoch == epoch_) {
      std::erase_if(rows_, [&](const OutboxRow& row) {
        return std::find(rows.begin(), rows.end(), std::pair(row.xid, row.seq)) != rows.end();
      });
    }
    Status status = down ? Status(Down()) : OkStatus();
    loop_.Post([done = std::move(done), status] { done(status); });
  }
  void Current(const std::string& kind, const std::string& key,
               std::function<void(Result<schema::StateRecord>)> done) override {
    if (down) return Answer<schema::StateRecord>(Down(), std::move(done));
    auto it = current_.find(kind + "/" + key);
    if (it == current_.end()) {
      return Answer<schema::StateRecord>(Error{Code::kNotFound, "no " + key}, std::move(done));
    }
    Answer<schema::StateRecord>(it->second, std::move(done));
  }

 private:
  static Error Down() { return Error{Code::kUnavailable, "the database is away", true}; }
  template <typename T>
  void Answer(Result<T> result, std::function<void(Result<T>)> done) {
    loop_.Post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }

  Loop& loop_;
  int64_t version_ = 0;
  std::vector<OutboxRow> rows_;
  std::map<std::string, schema::StateRecord> current_;
  std::map<std::string, Uuid> uuids_;
  std::string holder_;
  int64_t epoch_ = 0;
  SteadyTime expires_;
};

}  // namespace dispatch::broker::testing
