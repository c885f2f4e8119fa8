#include "broker-adapters/kafka/internal/connection.h"

#include <condition_variable>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "broker-adapters/kafka/internal/errors.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/thread_name.h"

namespace dispatch::broker::kafka {

namespace {

// At 0 from the start, so that the first one is an increase.
const metrics::Counter kErrors = metrics::GetCounter(
    "dispatch_kafka_errors_total", "Errors of connections to Kafka: brokers away, refusals");

// Drivers come and go, each with a name: of who has no handle nothing is told.
void CountOpen(const std::string& client, double more) {
  constexpr char kName[] = "dispatch_kafka_connections";
  const metrics::Labels labels = {{"client", client}};
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto open = metrics::GetGauge(kName, "Handles of librdkafka, by what they are for", labels);
  open.Add(more);
  if (open.Value() == 0) metrics::Remove(kName, labels);
}

// librdkafka 2.12 never ends a member that waits for the answer to a rebalance event; nothing added
// and nothing removed is an answer, and none when it does not wait.
void Destroy(rd_kafka_t* rk) {
  if (rd_kafka_type(rk) == RD_KAFKA_CONSUMER) {
    ListPtr none(rd_kafka_topic_partition_list_new(0));
    ErrorPtr assigned(rd_kafka_incremental_assign(rk, none.get()));
    ErrorPtr unassigned(rd_kafka_incremental_unassign(rk, none.get()));
  }
  rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

// Which of our settings librdkafka speaks of.
const char* SettingIn(std::string_view text) {
  constexpr std::pair<std::string_view, const char*> kNames[] = {
      {"bootstrap.servers", "kafka-brokers"},
      {"security.protocol", "kafka-security-protocol"},
      {"sasl.mechanism", "kafka-sasl-mechanism"},
      {"sasl.username", "kafka-sasl-username and kafka-sasl-password"},
      {"ssl.ca.location", "kafka-ssl-ca"},
      {"ssl.certificate.location", "kafka-ssl-certificate"},
      {"ssl.key.location", "kafka-ssl-key"},
  };
  for (const auto& [theirs, ours] : kNames) {
    if (text.find(theirs) != std::string_view::npos) return ours;
  }
  return "kafka-*";
}

Error Refused(const std::string& text) {
  return {Code::kInvalidArgument, "librdkafka refused its configuration: " + text +
                                      ": check the setting " + SettingIn(text)};
}

}  // namespace

struct Worker::State {
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::function<void()>> tasks;
  bool stop = false;
};

Worker::Worker() : state_(std::make_shared<State>()) {
  thread_ = std::thread([state = state_] {
    NameThread("kafka-worker");
    std::unique_lock lock(state->mutex);
    while (true) {
      state->wake.wait(lock, [&] { return state->stop || !state->tasks.empty(); });
      if (state->tasks.empty()) return;
      auto tasks = std::exchange(state->tasks, {});
      lock.unlock();
      for (auto& task : tasks) task();
      tasks.clear();
      lock.lock();
    }
  });
}

Worker::~Worker() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_one();
  if (thread_.get_id() == std::this_thread::get_id()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Worker::Run(std::function<void()> task) {
  {
    std::lock_guard lock(state_->mutex);
    state_->tasks.push_back(std::move(task));
  }
  state_->wake.notify_one();
}

Conf::Conf(ConnectionPtr connection, const std::string& client_id)
    : connection_(std::move(connection)),
      conf_(rd_kafka_conf_new()),
      client_(client_id.empty() ? connection_->options.client_id : client_id) {
  const KafkaOptions& o = connection_->options;
  Set("bootstrap.servers", o.brokers);
  Set("client.id", client_);
  Set("security.protocol", o.security_protocol);
  if (o.security_protocol.starts_with("sasl")) {
    Set("sasl.mechanism", o.sasl_mechanism);
    Set("sasl.username", o.sasl_username);
    Set("sasl.password", o.sasl_password);
  }
  if (!o.ssl_ca.empty()) Set("ssl.ca.location", o.ssl_ca);
  if (!o.ssl_certificate.empty()) Set("ssl.certificate.location", o.ssl_certificate);
  if (!o.ssl_key.empty()) Set("ssl.key.location", o.ssl_key);
  Set("log.queue", "true");
  Set("socket.keepalive.enable", "true");
  // Nobody asked for KIP-714's telemetry; its averages cost each handle a megabyte.
  Set("enable.metrics.push", "false");
  // A broker that comes back is found within a second, not ten.
  Set("reconnect.backoff.max.ms", "1000");
}

Conf& Conf::Set(const char* name, const std::string& value) {
  char text[256];
  if (rd_kafka_conf_set(conf_.get(), name, value.c_str(), text, sizeof text) != RD_KAFKA_CONF_OK &&
      error_.empty()) {
    error_ = text;
  }
  return *this;
}

Conf& Conf::Events(int events) {
  rd_kafka_conf_set_events(conf_.get(), events | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
  return *this;
}

Result<RkPtr> Conf::Open(rd_kafka_type_t type) {
  if (!error_.empty()) return Refused(error_);
  char text[256];
  rd_kafka_t* rk = rd_kafka_new(type, conf_.get(), text, sizeof text);
  if (rk == nullptr) return Refused(text);
  (void)conf_.release();  // it belongs to the handle now
  rd_kafka_set_log_queue(rk, nullptr);
  CountOpen(client_, 1);
  return RkPtr(rk, [connection = connection_, client = client_](rd_kafka_t* handle) {
    connection->worker.Run([handle, client] {
      Destroy(handle);
      CountOpen(client, -1);
    });
  });
}

void LogEvent(rd_kafka_t* rk, rd_kafka_event_t* event) {
  if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_LOG) {
    const char* facility = nullptr;
    const char* text = nullptr;
    int level = 0;
    if (rd_kafka_event_log(event, &facility, &text, &level) != 0) return;
    // CONFWARN is said of every gapless producer; FAIL comes as an error event too, with a remedy.
    std::string_view about(facility);
    if (about == "CONFWARN" || about == "FAIL") return;
    if (level > 4 || !log::Sometimes("kafka.log", 2)) return;
    log::Warning("librdkafka handle={} facility={} text=\"{}\"", rd_kafka_name(rk), facility, text);
    return;
  }
  rd_kafka_resp_err_t err = rd_kafka_event_error(event);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  kErrors.Add();
  if (!log::Sometimes("kafka.error")) return;
  Error error = MakeError(err, "kafka", rd_kafka_event_error_string(event));
  log::Warning("kafka error handle={} reason=\"{}\"", rd_kafka_name(rk), error.message);
}

}  // namespace dispatch::broker::kafka
