#include "function-manager/src/adapters/attempt_rows.h"

#include <algorithm>
#include <tuple>

#include "function-manager/src/adapters/columns.h"

namespace dispatch {

namespace {

constexpr size_t kMostAtPosition = 10'000;
constexpr size_t kFirstBlocks = 32;  // read at once for a page; four times as many when too few

constexpr char kInsert[] = R"(
  insert into attempts (slice, topic, source_partition, source_offset, subscription, generation,
    replay, number, at_ms, latency_us, status, outcome, message, answer_head, next_attempt_ms, org,
    subscription_name)
  select $17::bigint, * from unnest($1::uuid[], $2::int[], $3::bigint[], $4::uuid[], $5::int[],
    $6::uuid[], $7::int[], $8::bigint[], $9::bigint[], $10::int[], $11::text[], $12::text[],
    $13::text[], $14::bigint[], $15::text[], $16::text[]))";

constexpr char kInsertBlocks[] = R"(
  insert into attempt_blocks (slice, subscription, topic, source_partition, first_offset,
    last_offset, first_ms, last_ms, org, subscription_name, attempts)
  select * from unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::int[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::bytea[]))";

#define DISPATCH_ATTEMPT_COLUMNS                                                             \
  "topic, source_partition, source_offset, subscription, generation, replay, number, at_ms," \
  " latency_us, status, outcome, message, answer_head, next_attempt_ms, org, subscription_name"
#define DISPATCH_BLOCK_COLUMNS                                                                \
  "subscription, topic, source_partition, first_offset, last_offset, first_ms, last_ms, org," \
  " subscription_name, attempts"

constexpr char kRowsAt[] = "select " DISPATCH_ATTEMPT_COLUMNS R"(
  from attempts where topic = $1::uuid and source_partition = $2::int and source_offset = $3::bigint
    and org = $4 limit $5::int)";

// A block has 10,000 offsets at most.
constexpr char kBlocksAt[] = "select " DISPATCH_BLOCK_COLUMNS R"(
  from attempt_blocks where topic = $1::uuid and source_partition = $2::int
    and last_offset >= $3::bigint and last_offset < $3::bigint + $6::bigint
    and first_offset <= $3::bigint and org = $4 limit $5::int)";

constexpr char kRowsOf[] = "select " DISPATCH_ATTEMPT_COLUMNS R"(
  from attempts where subscription = $1::uuid and org = $2 and at_ms >= $3::bigint
    and at_ms <= $4::bigint
    and (at_ms, source_partition, source_offset, number) < ($4::bigint, $5::int, $6::bigint, $7::int)
    and ($8 = '' or outcome = $8)
  order by at_ms desc, source_partition desc, source_offset desc, number desc limit $9::int)";

// And a minute.
constexpr char kBlocksOf[] = "select " DISPATCH_BLOCK_COLUMNS R"(
  from attempt_blocks where subscription = $1::uuid and org = $2 and last_ms >= $3::bigint
    and first_ms <= $4::bigint and last_ms <= $5::bigint
  order by last_ms desc limit $6::int)";

std::vector<Attempt> ReadRows(const pg::Rows& rows) {
  std::vector<Attempt> attempts;
  attempts.reserve(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    auto row = rows[i];
    Attempt a;
    a.id = ReadId(row, 0);
    a.number = static_cast<int32_t>(row.Int(6));
    a.at_ms = row.Int(7);
    a.latency_us = row.Int(8);
    a.status = static_cast<int32_t>(row.Int(9));
    a.outcome = row.Text(10);
    a.message = row.Text(11);
    a.answer_head = row.Text(12);
    a.next_attempt_ms = row.Int(13);
    a.org = row.Text(14);
    a.subscription = row.Text(15);
    attempts.push_back(std::move(a));
  }
  return attempts;
}

// Adds the attempts of a block that `wanted` wants.
template <typename Wanted>
Status ReadBlock(const pg::Row& row, const Wanted& wanted, std::vector<Attempt>& out) {
  AttemptBlock block;
  block.subscription = ReadUuid(row, 0);
  block.topic = ReadUuid(row, 1);
  block.source_partition = static_cast<int32_t>(row.Int(2));
  block.first_offset = row.Int(3);
  block.last_offset = row.Int(4);
  block.first_ms = row.Int(5);
  block.last_ms = row.Int(6);
  block.org = row.Text(7);
  block.subscription_name = row.Text(8);
  block.attempts = row.Bytes(9);
  ASSIGN_OR_RETURN(auto attempts, UnpackAttempts(block));
  for (auto& attempt : attempts) {
    if (wanted(attempt)) out.push_back(std::move(attempt));
  }
  return {};
}

}  // namespace

Status WriteAttempts(pg::Transaction& tx, const OpenSlices& slices,
                     const std::vector<Attempt>& failures,
                     const std::vector<AttemptBlock>& blocks) {
  Columns columns(16);
  for (const auto& a : failures) {
    columns.Id(a.id)
        .Int(a.number)
        .Int(a.at_ms)
        .Int(a.latency_us)
        .Int(a.status)
        .Text(a.outcome)
        .Text(CleanText(a.message))
        .Text(CleanText(a.answer_head))
        .Int(a.next_attempt_ms)
        .Text(a.org)
        .Text(a.subscription);
  }
  if (!failures.empty()) {
    auto values = columns.Arrays();
    values.emplace_back(std::to_string(slices.kept));
    RETURN_IF_ERROR(tx.Exec(kInsert, values));
  }
  Columns packed(11);
  for (const auto& b : blocks) {
    packed.Int(b.keep ? slices.kept : slices.window)
        .Text(b.subscription.ToString())
        .Text(b.topic.ToString())
        .Int(b.source_partition)
        .Int(b.first_offset)
        .Int(b.last_offset)
        .Int(b.first_ms)
        .Int(b.last_ms)
        .Text(b.org)
        .Text(b.subscription_name)
        .Bytes(b.attempts);
  }
  if (!blocks.empty()) RETURN_IF_ERROR(tx.Exec(kInsertBlocks, packed.Arrays()));
  return {};
}

Result<std::vector<Attempt>> ReadAttemptsAt(pg::Transaction& tx, const std::string& org,
                                            const Uuid& topic, int32_t partition, int64_t offset) {
  std::vector<pg::Value> where{topic.ToString(), std::to_string(partition), std::to_string(offset),
                               org, std::to_string(kMostAtPosition)};
  ASSIGN_OR_RETURN(auto rows, tx.Exec(kRowsAt, where));
  auto found = ReadRows(rows);
  where.emplace_back(std::to_string(AttemptBlock::kMostOffsets));
  ASSIGN_OR_RETURN(auto blocks, tx.Exec(kBlocksAt, where));
  for (size_t i = 0; i < blocks.size(); ++i) {
    auto there = [offset](const Attempt& a) { return a.id.offset == offset; };
    RETURN_IF_ERROR(ReadBlock(blocks[i], there, found));
  }
  std::sort(found.begin(), found.end(), [](const Attempt& a, const Attempt& b) {
    return std::tie(a.subscription, a.at_ms, a.number) <
           std::tie(b.subscription, b.at_ms, b.number);
  });
  if (found.size() > kMostAtPosition) found.resize(kMostAtPosition);
  return found;
}

Result<AttemptPage> ReadAttemptsOf(pg::Transaction& tx, const std::string& org,
                                   const Uuid& subscription, const AttemptQuery& query) {
  const AttemptCursor& before = query.before;
  std::string most = std::to_string(query.limit + 1);
  ASSIGN_OR_RETURN(auto rows,
                   tx.Exec(kRowsOf, {subscription.ToString(), org, std::to_string(query.since_ms),
                                     std::to_string(before.at_ms), std::to_string(before.partition),
                                     std::to_string(before.offset), std::to_string(before.number),
                                     query.outcome, most}));
  auto failures = ReadRows(rows);
  if (!query.outcome.empty() && query.outcome != kDelivered) {
    return PageOf(std::move(failures), query);
  }
  bool begins = before.at_ms > std::numeric_limits<int64_t>::max() - AttemptBlock::kMostMillis;
  int64_t latest = begins ? before.at_ms : before.at_ms + AttemptBlock::kMostMillis;
  for (size_t limit = kFirstBlocks;; limit *= 4) {
    ASSIGN_OR_RETURN(
        auto blocks,
        tx.Exec(kBlocksOf,
                {subscription.ToString(), org, std::to_string(query.since_ms),
                 std::to_string(before.at_ms), std::to_string(latest), std::to_string(limit)}));
    auto found = failures;
    auto listed = [&](const Attempt& a) { return AttemptCursor::Of(a) < before; };
    for (size_t i = 0; i < blocks.size(); ++i) {
      RETURN_IF_ERROR(ReadBlock(blocks[i], listed, found));
    }
    auto page = PageOf(std::move(found), query);
    // What was not read is not newer than the last block.
    bool all = blocks.size() < limit;
    if (all || (page.next && page.next->at_ms > blocks[blocks.size() - 1].Int(6))) return page;
  }
}

}  // namespace dispatch
