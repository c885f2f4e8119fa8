#include "function-manager/src/domain/attempt_block.h"

#include <algorithm>
#include <span>
#include <tuple>

namespace dispatch {

namespace {

auto GroupOf(const Attempt& a) {
  return std::tie(a.keep, a.id.subscription, a.id.topic, a.id.partition);
}

// Whether an attempt may be in one block with those before it, which are of its group and, by
// offset, not after it.
class Filling {
 public:
  void Begin(const Attempt& a) {
    first_offset_ = a.id.offset;
    first_ms_ = last_ms_ = a.at_ms;
    count_ = bytes_ = 0;
    Add(a);
  }
  bool Fits(const Attempt& a) const {
    return count_ < AttemptBlock::kMostAttempts && bytes_ < AttemptBlock::kMostBytes &&
           a.id.offset - first_offset_ < AttemptBlock::kMostOffsets &&
           std::max(last_ms_, a.at_ms) - std::min(first_ms_, a.at_ms) < AttemptBlock::kMostMillis;
  }
  void Add(const Attempt& a) {
    first_ms_ = std::min(first_ms_, a.at_ms);
    last_ms_ = std::max(last_ms_, a.at_ms);
    ++count_;
    bytes_ += a.answer_head.size();
  }
  int64_t first_ms() const { return first_ms_; }
  int64_t last_ms() const { return last_ms_; }

 private:
  int64_t first_offset_ = 0;
  int64_t first_ms_ = 0;
  int64_t last_ms_ = 0;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

AttemptBlock Pack(std::span<const Attempt* const> attempts, const Filling& filling) {
  const Attempt* first = attempts.front();
  AttemptBlock block;
  block.keep = first->keep;
  block.subscription = first->id.subscription;
  block.topic = first->id.topic;
  block.source_partition = first->id.partition;
  block.org = first->org;
  block.subscription_name = first->subscription;
  block.first_offset = first->id.offset;
  block.last_offset = attempts.back()->id.offset;
  block.first_ms = filling.first_ms();
  block.last_ms = filling.last_ms();
  schema::PackedAttempts packed;
  packed.attempts.reserve(attempts.size());
  for (const Attempt* a : attempts) {
    packed.attempts.push_back({a->id.offset - block.first_offset, a->at_ms - block.first_ms,
                               a->number, a->latency_us, a->status, a->id.generation, a->id.replay,
                               a->answer_head});
  }
  block.attempts = schema::Encode(packed);
  return block;
}

}  // namespace

std::vector<AttemptBlock> PackAttempts(const std::vector<Attempt>& attempts) {
  std::vector<const Attempt*> sorted;
  sorted.reserve(attempts.size());
  for (const Attempt& a : attempts) sorted.push_back(&a);
  std::sort(sorted.begin(), sorted.end(), [](const Attempt* a, const Attempt* b) {
    if (GroupOf(*a) != GroupOf(*b)) return GroupOf(*a) < GroupOf(*b);
    return std::tie(a->id.offset, a->at_ms) < std::tie(b->id.offset, b->at_ms);
  });
  std::vector<AttemptBlock> blocks;
  for (std::span<const Attempt* const> rest = sorted; !rest.empty();) {
    Filling filling;
    filling.Begin(*rest.front());
    size_t count = 1;
    for (; count < rest.size() && GroupOf(*rest[count]) == GroupOf(*rest.front()) &&
           filling.Fits(*rest[count]);
         ++count) {
      filling.Add(*rest[count]);
    }
    blocks.push_back(Pack(rest.first(count), filling));
    rest = rest.subspan(count);
  }
  return blocks;
}

Result<std::vector<Attempt>> UnpackAttempts(const AttemptBlock& block) {
  ASSIGN_OR_RETURN(auto packed, schema::Decode<schema::PackedAttempts>(block.attempts));
  std::vector<Attempt> attempts;
  attempts.reserve(packed.attempts.size());
  for (auto& p : packed.attempts) {
    Attempt a;
    a.id = {block.topic,        block.source_partition, block.first_offset + p.offset,
            block.subscription, p.generation,           p.replay};
    a.keep = block.keep;
    a.org = block.org;
    a.subscription = block.subscription_name;
    a.number = p.number;
    a.at_ms = block.first_ms + p.at_ms;
    a.latency_us = p.latency_us;
    a.status = p.status;
    a.outcome = kDelivered;
    a.answer_head = std::move(p.answer_head);
    attempts.push_back(std::move(a));
  }
  return attempts;
}

}  // namespace dispatch
