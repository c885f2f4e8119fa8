#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/pg/pool.h"
#include "function-manager/src/domain/run.h"

namespace dispatch {

/// Writes new rows of `runs`. While one write is under way the next ones gather, so that a
/// transaction is shared by as many as come in its time. One owner.
class RunWriter {
 public:
  explicit RunWriter(pg::Pool& pool) : pool_(pool) {}

  /// `done` tells whether it is stored; never inside the call, and not at all once this is gone.
  /// What PostgreSQL refuses of one run fails that one alone.
  void Write(Run run, std::function<void(Status)> done);
  /// Calls back when nothing is waiting any more; may be inside the call.
  void Flush(std::function<void()> done);

  size_t waiting() const { return waiting_.size(); }

 private:
  struct Item {
    Run run;
    std::function<void(Status)> done;
  };
  using Batch = std::shared_ptr<std::vector<Item>>;

  void Next();
  void WriteAll(const Batch& batch);
  void WriteEach(const Batch& batch, size_t index);

  pg::Pool& pool_;
  std::vector<Item> waiting_;
  std::vector<std::function<void()>> flushed_;
  bool writing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace dispatch
