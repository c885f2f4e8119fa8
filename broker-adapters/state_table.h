#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "broker-adapters/broker.h"
#include "broker-adapters/mac.h"
#include "common/clock.h"
#include "common/json.h"
#include "schema/messages.h"

namespace dispatch::broker {

/// One entity of a state topic as the reader has it.
struct Entity {
  std::string kind;
  std::string org;
  std::string name;
  Uuid uuid;
  int64_t version = 0;
  json::object document;
};

/// Follows `dispatch.state.<service>`: reads it from the beginning to its end before it is ready,
/// then on. Applies only newer versions of an incarnation, refuses older relay epochs and records
/// without a valid MAC, knows its age by the owner's 1 s heartbeats. One owner.
class StateTable {
 public:
  /// `entity` is null for a delete; `before` is null for what was not there, also for the deletion
  /// of an entity that this reader never saw.
  using OnChange = std::function<void(const std::string& kind, const std::string& key,
                                      const std::shared_ptr<const Entity>& before,
                                      const std::shared_ptr<const Entity>& entity)>;

  StateTable(Broker& broker, Loop& loop, const RecordSigner& signer, std::string service);
  ~StateTable();

  /// Called for every change, also while bootstrapping. Set before Start.
  void OnChanged(OnChange on_change);
  void Start();

  /// The bootstrap reached the end that the topic had when it began.
  bool ready() const;
  /// Since the last heartbeat or record; Duration::max() before the first.
  Duration age() const;

  /// `key` is "org/name".
  std::shared_ptr<const Entity> Find(const std::string& kind, const std::string& key) const;
  void ForEach(const std::string& kind,
               const std::function<void(const std::shared_ptr<const Entity>&)>& visit) const;
  size_t size() const;

  /// Runs `done` when the table has kind/key at `version` or newer (or its deletion), true, or
  /// after `timeout`, false.
  void WaitFor(const std::string& kind, const std::string& key, int64_t version, Duration timeout,
               std::function<void(bool)> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace dispatch::broker
