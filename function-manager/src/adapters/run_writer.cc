#include "function-manager/src/adapters/run_writer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "function-manager/src/adapters/run_rows.h"

namespace dispatch {

namespace {

constexpr size_t kMostAtOnce = 500;

}  // namespace

void RunWriter::Write(Run run, std::function<void(Status)> done) {
  waiting_.push_back({std::move(run), std::move(done)});
  if (!writing_) Next();
}

void RunWriter::Flush(std::function<void()> done) {
  if (!writing_) return done();
  flushed_.push_back(std::move(done));
}

void RunWriter::Next() {
  writing_ = !waiting_.empty();
  if (!writing_) {
    for (auto& done : std::exchange(flushed_, {})) done();
    return;
  }
  auto end = waiting_.begin() + static_cast<ptrdiff_t>(std::min(waiting_.size(), kMostAtOnce));
  auto batch = std::make_shared<std::vector<Item>>(std::make_move_iterator(waiting_.begin()),
                                                   std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  WriteAll(batch);
}

void RunWriter::WriteAll(const Batch& batch) {
  pool_.Run(
      [batch](pg::Transaction& tx) {
        std::vector<const Run*> runs;
        for (const Item& item : *batch) runs.push_back(&item.run);
        return InsertRuns(tx, runs);
      },
      [this, alive = std::weak_ptr(alive_), batch](const Status& status) {
        if (alive.expired()) return;
        if (!status.ok() && !status.error().retryable && batch->size() > 1) {
          return WriteEach(batch, 0);
        }
        for (Item& item : *batch) {
          item.done(status);
          if (alive.expired()) return;
        }
        Next();
      });
}

void RunWriter::WriteEach(const Batch& batch, size_t index) {
  if (index == batch->size()) return Next();
  pool_.Run([batch, index](pg::Transaction& tx) { return InsertRuns(tx, {&(*batch)[index].run}); },
            [this, alive = std::weak_ptr(alive_), batch, index](const Status& status) {
              if (alive.expired()) return;
              (*batch)[index].done(status);
              if (!alive.expired()) WriteEach(batch, index + 1);
            });
}

}  // namespace dispatch
