#include "function-manager/src/domain/intake.h"

namespace dispatch {

std::vector<bool> Intake::Accept(const schema::Invocation& invocation, int64_t now_ms) {
  Key key{invocation.stream, invocation.topic_uuid, invocation.source_partition};
  auto [it, fresh] = marks_.try_emplace(key);
  auto& [mark, seen] = it->second;
  if (fresh || invocation.source_offset > mark.offset) {
    mark.stream = invocation.stream;
    mark.topic = invocation.topic_uuid;
    mark.source_partition = invocation.source_partition;
    mark.offset = invocation.source_offset;
    mark.whole = false;
    seen.clear();
  } else if (invocation.source_offset < mark.offset) {
    return std::vector<bool>(invocation.targets.size(), false);
  }
  mark.seen_ms = now_ms;
  mark.whole = mark.whole || invocation.chunk + 1 == invocation.chunks;
  std::vector<bool> news(invocation.targets.size());
  for (size_t i = 0; i < news.size(); ++i) {
    news[i] = seen.insert(invocation.targets[i].subscription).second;
  }
  return news;
}

void Intake::Expire(int64_t before_ms) {
  std::erase_if(marks_, [before_ms](const auto& item) {
    const Mark& mark = item.second.mark;
    return !mark.stream.is_nil() && mark.seen_ms < before_ms;
  });
}

std::vector<Intake::Mark> Intake::Snapshot() const {
  std::vector<Mark> marks;
  marks.reserve(marks_.size());
  for (const auto& [key, entry] : marks_) {
    marks.push_back(entry.mark);
    marks.back().targets.assign(entry.targets.begin(), entry.targets.end());
  }
  return marks;
}

void Intake::Restore(std::vector<Mark> marks) {
  marks_.clear();
  for (auto& mark : marks) {
    Key key{mark.stream, mark.topic, mark.source_partition};
    Entry& entry = marks_[key];
    entry.targets.insert(mark.targets.begin(), mark.targets.end());
    mark.targets.clear();
    entry.mark = std::move(mark);
  }
}

}  // namespace dispatch
