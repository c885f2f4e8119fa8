#include "broker-adapters/kafka/internal/reader_core.h"

#include <algorithm>

#include "broker-adapters/kafka/internal/errors.h"
#include "common/check.h"
#include "common/log.h"

namespace dispatch::broker::kafka {

namespace {

constexpr Duration kReopen{1'000'000};
constexpr int kAskMs = 3'000;
// So many answers in a row: first the partition is fetched anew, then all of the handle.
constexpr int kStandsStill = 2;
constexpr int kStillStands = 4;
// So many questions in a row: the handle may know no broker any more.
constexpr int kUnanswered = 6;

}  // namespace

ReaderCore::ReaderCore(ConnectionPtr connection, ReaderSettings settings)
    : Consumer(std::move(connection)),
      settings_(std::move(settings)),
      asked_at_(connection_->loop.Steady()) {}

void ReaderCore::Open() {
  Conf conf(connection_, settings_.client_id);
  // assign() wants a group's name, though nothing is ever joined or committed.
  const std::string& name = settings_.client_id;
  conf.Set("group.id", name.empty() ? connection_->options.client_id : name)
      .Set("enable.auto.commit", "false")
      .Set("enable.auto.offset.store", "false")
      .Set("auto.offset.reset", "error")
      .Set("enable.partition.eof", "true")
      .Set("fetch.queue.backoff.ms", 20)
      .Set("topic.metadata.refresh.interval.ms", 10'000)
      .Set("topic.metadata.propagation.max.ms", 5'000)
      .Set("queued.max.messages.kbytes",
           static_cast<int64_t>(std::max<size_t>(settings_.max_prefetch_bytes / 1024, 1)))
      .Events(RD_KAFKA_EVENT_FETCH);
  Status status = OpenHandle(conf);
  DISPATCH_CHECK(status.ok());
}

void ReaderCore::Add(const PortPtr& port, const TopicPartition& tp, int64_t offset) {
  asked_.erase(tp);  // another place than the one that it was asked for at
  auto [it, added] = parts_.try_emplace(tp);
  if (!added) return Move(tp, it->second, offset);
  owners_[tp] = port;
  it->second.next = offset;
  Assign({tp});
}

void ReaderCore::Remove(const TopicPartition& tp) {
  owners_.erase(tp);
  Unassign({tp});
}

void ReaderCore::Leave(const PortPtr& port) {
  std::vector<TopicPartition> left;
  for (auto& [tp, owner] : owners_) {
    if (owner == port) left.push_back(tp);
  }
  if (left.size() == owners_.size()) {
    closed_ = true;
    owners_.clear();
    return CloseHandle();
  }
  for (auto& tp : left) owners_.erase(tp);
  Unassign(left);
}

// ---- records

PortPtr ReaderCore::OwnerOf(const TopicPartition& tp) const {
  auto it = owners_.find(tp);
  return it == owners_.end() ? nullptr : it->second;
}

void ReaderCore::Deliver(std::vector<Record> records) {
  auto read = WithoutEnd(records);
  auto batches = ByOwner(std::move(records));
  for (auto& [port, batch] : batches) {
    // The listener before may have ended this one, or taken partitions from it.
    if (&batch != &batches.front().second) {
      std::erase_if(batch, [&, &port = port](const Record& record) {
        return OwnerOf({record.topic, record.partition}) != port;
      });
    }
    if (port->listener != nullptr && !batch.empty()) port->listener->OnRecords(std::move(batch));
  }
  for (const TopicPartition& tp : read) {
    Part* part = Find(tp);
    if (part != nullptr && IsAtEnd(tp, *part)) OnEof(tp, *part, part->next);
  }
}

ReaderCore::Batches ReaderCore::ByOwner(std::vector<Record> records) const {
  Batches batches;
  if (std::adjacent_find(owners_.begin(), owners_.end(), [](const auto& one, const auto& next) {
        return one.second != next.second;
      }) == owners_.end()) {
    if (!owners_.empty()) batches.emplace_back(owners_.begin()->second, std::move(records));
    return batches;
  }
  TopicPartition at;
  std::vector<Record>* batch = nullptr;
  for (Record& record : records) {
    if (batch == nullptr || record.partition != at.partition || record.topic != at.topic) {
      at = {record.topic, record.partition};
      batch = nullptr;
      PortPtr owner = OwnerOf(at);
      if (owner == nullptr) continue;
      auto of_owner = [&](const auto& one) { return one.first == owner; };
      auto it = std::find_if(batches.begin(), batches.end(), of_owner);
      if (it == batches.end()) it = batches.insert(it, {std::move(owner), {}});
      batch = &it->second;
    }
    batch->push_back(std::move(record));
  }
  return batches;
}

void ReaderCore::DeliverError(const TopicPartition& tp, const Error& error) {
  PortPtr port = OwnerOf(tp);
  if (port != nullptr) port->listener->OnPartitionError(tp, error);
}

// ---- the end of a log

// librdkafka tells the end only with the next fetch, which waits half a second for more. The
// answer that brought the records says where it is. Needed once: who waits for it, waits for the
// first.
bool ReaderCore::IsAtEnd(const TopicPartition& tp, const Part& part) const {
  if (!rk_ || part.told_end >= 0 || part.paused || part.moving) return false;
  int64_t low = 0;
  int64_t end = 0;
  return rd_kafka_get_watermark_offsets(rk_.get(), tp.topic.c_str(), tp.partition, &low, &end) ==
             RD_KAFKA_RESP_ERR_NO_ERROR &&
         end >= 0 && part.next >= end;
}

// Whose records these are, as long as their end was not told.
std::vector<TopicPartition> ReaderCore::WithoutEnd(const std::vector<Record>& records) {
  std::vector<TopicPartition> found;
  const Record* before = nullptr;
  for (const Record& record : records) {
    bool same =
        before != nullptr && before->partition == record.partition && before->topic == record.topic;
    before = &record;
    if (same) continue;
    TopicPartition tp{record.topic, record.partition};
    const Part* part = Find(tp);
    if (part != nullptr && part->told_end < 0) found.push_back(std::move(tp));
  }
  return found;
}

void ReaderCore::OnEof(const TopicPartition& tp, Part& part, int64_t offset) {
  if (offset < part.next || part.told_end == offset) return;
  part.next = offset;
  part.told_end = offset;
  PortPtr port = OwnerOf(tp);
  if (port != nullptr) port->listener->OnEnd(tp, offset);
}

// ---- a partition that stands still

// After brokers were away, librdkafka may fetch a partition no more and say nothing: the log's end
// tells.
void ReaderCore::OnTurn() {
  SteadyTime now = connection_->loop.Steady();
  if (now - asked_at_ < settings_.watch) return;
  asked_at_ = now;
  AskForEnds();
}

void ReaderCore::AskForEnds() {
  asked_.clear();
  for (const auto& [tp, part] : parts_) {
    if (part.assigned && !part.paused && !part.moving && !part.failed && part.next >= 0) {
      asked_.emplace(tp, part.next);
    }
  }
  if (asked_.empty()) return;
  ListPtr list(rd_kafka_topic_partition_list_new(static_cast<int>(asked_.size())));
  for (const auto& [tp, at] : asked_) {
    rd_kafka_topic_partition_list_add(list.get(), tp.topic.c_str(), tp.partition)->offset =
        RD_KAFKA_OFFSET_SPEC_LATEST;
  }
  AdminOptionsPtr options(rd_kafka_AdminOptions_new(rk_.get(), RD_KAFKA_ADMIN_OP_LISTOFFSETS));
  char text[128];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), kAskMs, text, sizeof text);
  // What is written in a transaction that is open is not there to read yet.
  ErrorPtr(rd_kafka_AdminOptions_set_isolation_level(options.get(),
                                                     RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED));
  rd_kafka_ListOffsets(rk_.get(), list.get(), options.get(), queue());
}

void ReaderCore::OnOther(EventPtr event) {
  if (rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_LISTOFFSETS_RESULT) OnEnds(event.get());
}

void ReaderCore::OnEnds(rd_kafka_event_t* event) {
  bool answered = false;
  size_t count = 0;
  auto** infos =
      rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
  if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) count = 0;
  std::map<TopicPartition, int> still;
  bool anew = false;
  for (size_t i = 0; i < count; ++i) {
    const auto& answer = *rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
    rd_kafka_resp_err_t err = ErrorOfListed(answer);
    answered = answered || err != RD_KAFKA_RESP_ERR__TRANSPORT;
    TopicPartition tp{answer.topic, answer.partition};
    Part* part = Find(tp);
    auto at = asked_.find(tp);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR || part == nullptr || at == asked_.end() ||
        part->paused || part->moving || part->failed || part->next != at->second ||
        answer.offset <= part->next) {
      continue;
    }
    auto before = still_.find(tp);
    int times = before == still_.end() ? 1 : before->second + 1;
    still[tp] = times;
    if (times != kStandsStill && times < kStillStands) continue;
    log::Warning(
        "reader stands still and fetches anew client={} topic={} partition={} at={} end={}",
        rd_kafka_name(rk_.get()), tp.topic, tp.partition, part->next, answer.offset);
    anew = anew || times >= kStillStands;
    if (times == kStandsStill) Move(tp, *part, part->next);
  }
  still_ = std::move(still);
  unanswered_ = answered ? 0 : unanswered_ + 1;
  if (unanswered_ >= kUnanswered) {
    log::Warning("reader gets no answers and is opened anew client={}", rd_kafka_name(rk_.get()));
    anew = true;
  }
  if (anew) OpenAnew();
}

// A reader is in no group, so this is a librdkafka of another mind: start over where we stood.
void ReaderCore::OnFatal() {
  log::Error("reader failed and is opened anew client={}", rd_kafka_name(rk_.get()));
  OpenAnew();
}

void ReaderCore::OpenAnew() {
  still_.clear();
  unanswered_ = 0;
  DropHandle();
  connection_->loop.After(kReopen, [weak = weak_from_this()] {
    auto self = std::static_pointer_cast<ReaderCore>(weak.lock());
    if (!self || self->closed_ || self->rk_) return;
    self->Open();
    std::vector<TopicPartition> all;
    for (auto& [tp, part] : self->parts_) all.push_back(tp);
    self->Assign(all);
  });
}

}  // namespace dispatch::broker::kafka
