#include "broker-adapters/kafka/internal/consumer.h"

#include "broker-adapters/kafka/internal/errors.h"
#include "common/log.h"

namespace dispatch::broker::kafka {

namespace {

std::optional<std::string> Bytes(const void* data, size_t size) {
  if (data == nullptr) return std::nullopt;
  return std::string(static_cast<const char*>(data), size);
}

void ReadHeaders(const rd_kafka_message_t& message, std::vector<Header>& out) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  size_t count = rd_kafka_header_cnt(headers);
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    if (rd_kafka_header_get_all(headers, i, &name, &value, &size) != 0) return;
    out.emplace_back(name, std::string(static_cast<const char*>(value), value ? size : 0));
  }
}

bool Check(ErrorPtr error, const char* what) {
  if (!error) return true;
  log::Warning("{} failed reason=\"{}\"", what, rd_kafka_error_string(error.get()));
  return false;
}

}  // namespace

ListPtr MakeList(const std::vector<TopicPartition>& partitions) {
  ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (auto& tp : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), tp.topic.c_str(), tp.partition);
  }
  return list;
}

std::vector<TopicPartition> FromList(const rd_kafka_topic_partition_list_t& list) {
  std::vector<TopicPartition> partitions;
  for (int i = 0; i < list.cnt; ++i) {
    partitions.push_back({list.elems[i].topic, list.elems[i].partition});
  }
  return partitions;
}

Status Consumer::OpenHandle(Conf& conf) {
  ASSIGN_OR_RETURN(rk_, conf.Open(RD_KAFKA_CONSUMER));
  rd_kafka_poll_set_consumer(rk_.get());
  events_ = EventQueue::Open(
      connection_->loop, rk_, QueuePtr(rd_kafka_queue_get_consumer(rk_.get())),
      [weak = weak_from_this()](EventPtr event) {
        if (auto self = weak.lock()) self->OnEvent(std::move(event));
      },
      [weak = weak_from_this()] {
        auto self = weak.lock();
        if (!self || !self->rk_) return;
        self->Flush();
        if (self->rk_) self->OnTurn();
      });
  return OkStatus();
}

void Consumer::DropHandle() {
  if (!rk_) return;
  events_->Close();
  records_.clear();
  cached_ = nullptr;
  cached_topic_ = nullptr;
  for (auto& [tp, part] : parts_) part.assigned = false;
  rk_.reset();
}

void Consumer::CloseHandle() {
  DropHandle();
  parts_.clear();
}

Consumer::Part* Consumer::Find(const TopicPartition& tp) {
  auto it = parts_.find(tp);
  return it == parts_.end() ? nullptr : &it->second;
}

void Consumer::Assign(const std::vector<TopicPartition>& partitions) {
  if (!rk_) return;
  ListPtr list = MakeList(partitions);
  for (int i = 0; i < list->cnt; ++i) {
    Part& part = parts_.at(partitions[static_cast<size_t>(i)]);
    part.assigned = true;
    list->elems[i].offset =
        part.next;  // kEarliest, kLatest and kCommitted have librdkafka's values
  }
  Check(ErrorPtr(rd_kafka_incremental_assign(rk_.get(), list.get())), "assign");
  for (auto& tp : partitions) {
    if (parts_.at(tp).paused) SetPaused(tp, true);
  }
}

bool Consumer::Unassign(const std::vector<TopicPartition>& partitions) {
  cached_ = nullptr;
  std::vector<TopicPartition> assigned;
  for (auto& tp : partitions) {
    auto it = parts_.find(tp);
    if (it == parts_.end()) continue;
    // librdkafka's own flag would outlive the assignment.
    if (it->second.paused) SetPaused(tp, false);
    if (it->second.assigned) assigned.push_back(tp);
    parts_.erase(it);
  }
  if (!rk_) return true;
  ListPtr list = MakeList(assigned);  // one that is not assigned would have all refused
  return Check(ErrorPtr(rd_kafka_incremental_unassign(rk_.get(), list.get())), "unassign");
}

// rd_kafka_seek is refused in some states (after an out-of-range error, before the first fetch),
// and says so to nobody. Taking the partition out and in again works in all. The pause drops at
// once what is queued.
void Consumer::Move(const TopicPartition& tp, Part& part, int64_t offset) {
  part.next = offset;
  part.dropped = false;
  part.failed = false;
  part.told_end = -1;
  if (!part.assigned) return;
  if (!MayMove()) {
    part.moving = true;
    return;
  }
  part.moving = false;
  SetPaused(tp, true);
  ListPtr list = MakeList({tp});
  Check(ErrorPtr(rd_kafka_incremental_unassign(rk_.get(), list.get())), "move");
  list->elems[0].offset = offset;
  Check(ErrorPtr(rd_kafka_incremental_assign(rk_.get(), list.get())), "move");
  if (!part.paused) SetPaused(tp, false);
}

void Consumer::MoveWaiting() {
  for (auto& [tp, part] : parts_) {
    if (part.moving) Move(tp, part, part.next);
  }
}

void Consumer::SetPaused(const TopicPartition& tp, bool paused) {
  if (!rk_) return;
  ListPtr list = MakeList({tp});
  if (paused) {
    rd_kafka_pause_partitions(rk_.get(), list.get());
  } else {
    rd_kafka_resume_partitions(rk_.get(), list.get());
  }
}

void Consumer::Pause(const TopicPartition& tp) {
  Part* part = Find(tp);
  if (part == nullptr || part->paused) return;
  part->paused = true;
  if (part->assigned) SetPaused(tp, true);
}

void Consumer::Resume(const TopicPartition& tp) {
  Part* part = Find(tp);
  if (part == nullptr || !part->paused) return;
  part->paused = false;
  if (!part->assigned) return;
  if (part->dropped) {
    Move(tp, *part, part->next);
  } else {
    SetPaused(tp, false);
  }
}

void Consumer::OnEvent(EventPtr event) {
  switch (rd_kafka_event_type(event.get())) {
    case RD_KAFKA_EVENT_FETCH:
      while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event.get())) {
        OnMessage(*message);
      }
      return;
    case RD_KAFKA_EVENT_ERROR:
      Flush();  // what came before it is told before it
      if (!rk_) return;
      // A fatal error of a commit comes under its own code.
      if (rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR__FATAL ||
          rd_kafka_fatal_error(rk_.get(), nullptr, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return OnFatal();
      }
      return OnPartitionError(event.get());
    case RD_KAFKA_EVENT_LOG:
      return LogEvent(rk_.get(), event.get());
    default:
      Flush();
      if (rk_) OnOther(std::move(event));
  }
}

Consumer::Part* Consumer::FindCached(const rd_kafka_message_t& message) {
  if (cached_ != nullptr && cached_topic_ == message.rkt &&
      cached_partition_ == message.partition) {
    return &cached_->second;
  }
  auto it = parts_.find({rd_kafka_topic_name(message.rkt), message.partition});
  if (it == parts_.end()) return nullptr;
  cached_topic_ = message.rkt;
  cached_partition_ = message.partition;
  cached_ = &*it;
  return &it->second;
}

void Consumer::OnMessage(const rd_kafka_message_t& message) {
  Part* part = FindCached(message);
  if (part == nullptr || part->moving || part->muted || !part->assigned) return;
  if (part->paused) {
    part->dropped = true;
    return;
  }
  if (message.offset < part->next) return;
  part->next = message.offset + 1;
  Record& record = records_.emplace_back();
  record.topic = cached_->first.topic;
  record.partition = message.partition;
  record.offset = message.offset;
  record.timestamp_ms = rd_kafka_message_timestamp(&message, nullptr);
  record.key = Bytes(message.key, message.key_len);
  record.value = Bytes(message.payload, message.len);
  ReadHeaders(message, record.headers);
}

void Consumer::Flush() {
  if (records_.empty()) return;
  size_t count = records_.size();
  Deliver(std::move(records_));
  records_ = {};
  if (rk_) records_.reserve(count);
}

void Consumer::OnPartitionError(rd_kafka_event_t* event) {
  PartitionPtr where(rd_kafka_event_topic_partition(event));
  rd_kafka_resp_err_t err = rd_kafka_event_error(event);
  TopicPartition tp;
  if (where) tp = {where->topic, where->partition};
  Part* part = where ? Find(tp) : nullptr;
  if (err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    if (part != nullptr && !part->paused && !part->moving && !part->muted)
      OnEof(tp, *part, where->offset);
    return;
  }
  Code code = CodeOf(err);
  bool told =
      code == Code::kOutOfRange || code == Code::kNotFound || code == Code::kPermissionDenied;
  if (part == nullptr || part->muted || !told) return LogEvent(rk_.get(), event);
  if (code == Code::kOutOfRange) {
    if (part->moving || part->failed) return;
    // The group has no commit: the earliest is what kCommitted stands for then.
    if (part->next == kCommitted) return Move(tp, *part, kEarliest);
    part->failed = true;
  }
  DeliverError(tp, MakeError(err, fmt::format("{}/{} at {}", tp.topic, tp.partition, part->next),
                             rd_kafka_event_error_string(event)));
}

}  // namespace dispatch::broker::kafka
