#include <fmt/format.h>

#include <algorithm>

#include "broker-adapters/topics.h"
#include "event-manager/src/adapters/lag_monitor.h"

namespace dispatch {

namespace {

using metrics::Labels;
using metrics::SampleFamily;
using Kind = SampleFamily::Kind;

constexpr char kCluster[] = "dispatch";
constexpr char kMatchingGroup[] = "dispatch.event-manager";
constexpr char kDeliveringGroup[] = "dispatch.function-manager";

class Families {
 public:
  void Add(const char* name, const char* help, Kind kind, Labels labels, double value) {
    auto [it, made] = index_.try_emplace(name, all_.size());
    if (made) all_.push_back({name, help, kind, {}});
    all_[it->second].samples.emplace_back(std::move(labels), value);
  }
  void Gauge(const char* name, const char* help, Labels labels, double value) {
    Add(name, help, Kind::kGauge, std::move(labels), value);
  }
  std::vector<SampleFamily> Take() { return std::move(all_); }

 private:
  std::vector<SampleFamily> all_;
  std::map<std::string, size_t> index_;
};

// A subscription is a consumer group to boards that know groups only.
std::string GroupOf(const broker::Entity& subscription) {
  return subscription.org + "." + subscription.name;
}

int BurrowStatus(LagState state) {
  if (state == LagState::kOk || state == LagState::kPaused || state == LagState::kDisabled)
    return 1;
  bool warning =
      state == LagState::kBusy || state == LagState::kSlow || state == LagState::kFailing;
  return warning ? 2 : 3;
}

double AgeSeconds(int64_t since_ms, int64_t now_ms) {
  return since_ms > 0 ? std::max(0.0, static_cast<double>(now_ms - since_ms) / 1000) : 0;
}

void OwnNames(Families& out, const LagBoard::Subscription& row, int64_t now_ms) {
  const LagFigures& figures = row.figures;
  Labels labels{{"org", row.entity->org}, {"subscription", row.entity->name}, {"topic", row.topic}};
  auto count = [&](const char* name, const char* help, int64_t value) {
    out.Add(name, help, Kind::kCounter, labels, static_cast<double>(value));
  };
  auto gauge = [&](const char* name, const char* help, double value) {
    out.Gauge(name, help, labels, value);
  };
  count("dispatch_subscription_matched_total", "Events that matched", figures.matched);
  count("dispatch_subscription_delivered_total", "Events that got 2xx", figures.delivered);
  count("dispatch_subscription_dead_lettered_total", "Events in the dead letters",
        figures.dead_lettered);
  count("dispatch_subscription_cancelled_total", "Events that were not to be delivered any more",
        figures.cancelled);
  count("dispatch_subscription_lost_total", "Events that retention took before they were read",
        figures.lost);
  count("dispatch_subscription_filter_errors_total",
        "Events for which the evaluation of the filters ended with an error",
        figures.filter_errors.events);
  auto pending = [&](const char* state, int64_t value) {
    Labels with = labels;
    with["state"] = state;
    out.Gauge("dispatch_subscription_pending", "Events that matched and are not settled",
              std::move(with), static_cast<double>(value));
  };
  pending("queued", figures.queued);
  pending("in_flight", figures.in_flight);
  pending("retrying", figures.retrying);
  pending("scheduled", figures.scheduled);
  gauge("dispatch_subscription_unread", "Offsets that are not matched yet",
        static_cast<double>(figures.unread));
  gauge("dispatch_subscription_oldest_undelivered_seconds",
        "Age of the oldest event that is unread or pending", AgeSeconds(figures.oldest_ms, now_ms));
  gauge(
      "dispatch_subscription_conservation_error",
      "matched - delivered - dead-lettered - cancelled - pending by an independent count; always 0",
      static_cast<double>(figures.conservation_error));
  gauge("dispatch_subscription_drain_seconds", "Until nothing is left, as things go; -1: never",
        row.verdict.drain_seconds.value_or(-1));
  gauge("dispatch_subscription_retention_seconds",
        "Until retention passes what is unread, at the soonest; -1: nothing is, or unknown",
        row.verdict.retention_seconds.value_or(-1));
  gauge("dispatch_subscription_verdict_severity", "0 is fine, 7 is losing events",
        LagSeverity(row.verdict.state));
}

// As kafka_exporter, kminion, kafka-lag-exporter and Burrow name them.
void OtherNames(Families& out, const std::string& group, const std::string& topic,
                const LagFigures& figures, int64_t now_ms) {
  const auto& partitions = figures.partitions;
  int64_t sum = figures.under_way();
  int64_t most = 0;
  for (size_t p = 0; p < partitions.size(); ++p) {
    std::string number = std::to_string(p);
    auto lag = static_cast<double>(partitions[p].unread());
    Labels exporter{{"consumergroup", group}, {"topic", topic}, {"partition", number}};
    out.Gauge("kafka_consumergroup_lag", "Offsets that are not read yet", exporter, lag);
    out.Gauge("kafka_consumergroup_current_offset", "The next offset to read", exporter,
              static_cast<double>(partitions[p].next));
    out.Gauge("kminion_kafka_consumer_group_topic_partition_lag", "Offsets that are not read yet",
              {{"group_id", group}, {"topic_name", topic}, {"partition_id", number}}, lag);
    Labels lag_exporter{
        {"cluster_name", kCluster}, {"group", group}, {"topic", topic}, {"partition", number}};
    out.Gauge("kafka_consumergroup_group_lag", "Offsets that are not read yet", lag_exporter, lag);
    // None where the age of what is unread cannot be told.
    if (partitions[p].unread() == 0 || partitions[p].next_ms > 0) {
      out.Gauge("kafka_consumergroup_group_lag_seconds", "Age of the oldest unread event",
                lag_exporter, AgeSeconds(partitions[p].next_ms, now_ms));
    }
    out.Gauge(
        "burrow_kafka_consumer_partition_lag", "Offsets that are not read yet",
        {{"cluster", kCluster}, {"consumer_group", group}, {"topic", topic}, {"partition", number}},
        lag);
    sum += partitions[p].unread();
    most = std::max(most, partitions[p].unread());
  }
  auto total = static_cast<double>(sum);
  const char* kSum = "Events that are unread or pending";
  out.Gauge("kafka_consumergroup_lag_sum", kSum, {{"consumergroup", group}, {"topic", topic}},
            total);
  out.Gauge("kminion_kafka_consumer_group_topic_lag", kSum,
            {{"group_id", group}, {"topic_name", topic}}, total);
  Labels of_group{{"cluster_name", kCluster}, {"group", group}};
  Labels of_topic = of_group;
  of_topic["topic"] = topic;
  out.Gauge("kafka_consumergroup_group_topic_sum_lag", kSum, of_topic, total);
  out.Gauge("kafka_consumergroup_group_sum_lag", kSum, of_group, total);
  out.Gauge("kafka_consumergroup_group_max_lag", "The largest lag of a partition", of_group,
            static_cast<double>(most));
  out.Gauge("kafka_consumergroup_group_max_lag_seconds", "Age of the oldest undelivered event",
            of_group, AgeSeconds(figures.oldest_ms, now_ms));
}

void Burrow(Families& out, const std::string& group, const LagBoard::Subscription& row) {
  Labels labels{{"cluster", kCluster}, {"consumer_group", group}};
  out.Gauge("burrow_kafka_consumer_lag_total", "Events that are unread or pending", labels,
            static_cast<double>(row.figures.outstanding()));
  out.Gauge("burrow_kafka_consumer_status", "1 OK, 2 WARN, 3 ERR", labels,
            BurrowStatus(row.verdict.state));
}

void Topics(Families& out, const LagBoard& board) {
  for (const auto& topic : board.topics) {
    std::string name = broker::EventTopic(topic.entity->org, topic.entity->name);
    for (size_t p = 0; p < topic.partitions.size(); ++p) {
      const auto& partition = topic.partitions[p];
      Labels labels{{"topic", name}, {"partition", std::to_string(p)}};
      out.Gauge("kafka_topic_partition_current_offset", "The end of the log", labels,
                static_cast<double>(partition.end));
      out.Gauge("kafka_topic_partition_oldest_offset", "The first offset that the log still has",
                labels, static_cast<double>(partition.earliest));
      labels["consumergroup"] = kMatchingGroup;
      out.Gauge("kafka_consumergroup_lag", "Offsets that are not read yet", labels,
                static_cast<double>(partition.unread()));
      out.Gauge("kafka_consumergroup_current_offset", "The next offset to read", labels,
                static_cast<double>(partition.next));
    }
  }
  auto members = [&](const char* group, std::optional<size_t> count) {
    if (!count) return;
    out.Gauge("kafka_consumergroup_members", "Members of the group", {{"consumergroup", group}},
              static_cast<double>(*count));
  };
  members(kMatchingGroup, board.matching_members);
  members(kDeliveringGroup, board.delivering_members);
}

}  // namespace

std::vector<SampleFamily> LagMetrics(const LagBoard& board, int64_t now_ms, size_t left_out) {
  Families out;
  for (const auto& row : board.subscriptions) {
    OwnNames(out, row, now_ms);
    std::string group = GroupOf(*row.entity);
    OtherNames(out, group, broker::EventTopic(row.entity->org, row.topic), row.figures, now_ms);
    Burrow(out, group, row);
  }
  Topics(out, board);
  out.Gauge("dispatch_subscription_metrics_left_out",
            "Subscriptions beyond max-subscription-metrics, which have no metrics of their own", {},
            static_cast<double>(left_out));
  return out.Take();
}

}  // namespace dispatch
