// dispatch-load: makes load and takes it, for tests/bench/run. Each subcommand prints one JSON
// object.
//
//   publish   events over HTTP: closed loop (c connections) or open loop (--rate, from due time)
//   call      the same with one request again and again: --body, well answered when --expect is in
//   it sink      an endpoint that counts, and measures from the attribute `benchtime` produce   the
//   yardstick `bare`: the same events by librdkafka alone loop      the yardstick `loop`: a
//   straight consumer that posts each event, --parallel at once

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdio>
#include <deque>
#include <iostream>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "broker-adapters/kafka/kafka_broker.h"
#include "common/event_loop.h"
#include "common/http/client.h"
#include "common/http/server.h"
#include "common/log.h"
#include "tests/bench/histogram.h"

namespace dispatch::bench {
namespace {

namespace po = boost::program_options;

struct Options {
  std::string url;
  std::string key;
  std::string topic;
  std::string kafka;
  std::string listen = "127.0.0.1:0";
  std::string type = "bench";
  std::string body;
  std::string expect;
  int connections = 1;
  int parallel = 1;
  int batch = 0;
  double seconds = 5;
  double warmup = 1;
  double rate = 0;
  int64_t count = 0;
  int64_t delay_ms = 0;
  int64_t keys = 0;
  int64_t poison = -1;
  int status = 204;
  int size = 1024;
  bool by_key = false;
  double skip = 0;
};

int64_t NowMicros() { return SystemClock().Steady().time_since_epoch().count(); }

std::string Payload(int size) {
  std::string body = R"({"text":")";
  body.append(static_cast<size_t>(std::max(0, size - 11)), 'x');
  return body + "\"}";
}

void Print(const std::string& json) {
  std::cout << json << std::endl;  // the driver waits for the line
}

/// Publishes (or, with a body, calls) over `connections` keep-alive connections, one request under
/// way on each; with a rate, requests are due at fixed times and latency counts from there.
class Publisher {
 public:
  Publisher(EventLoop& loop, Options options)
      : loop_(loop), options_(std::move(options)), client_(loop, ClientOptionsOf(options_)) {
    payload_ = Payload(options_.size);
  }

  void Run() {
    begin_ = NowMicros();
    measure_from_ = begin_ + static_cast<int64_t>(options_.warmup * 1e6);
    end_ = measure_from_ + static_cast<int64_t>(options_.seconds * 1e6);
    if (options_.rate > 0) {
      Due();
    } else {
      for (int i = 0; i < options_.connections; ++i) Send(NowMicros());
    }
    loop_.OnTerminate([this](int) { end_ = NowMicros(); });
    loop_.Run();
    double span = static_cast<double>(last_ - measure_from_) / 1e6;
    Print(fmt::format(R"({{"events":{},"rate":{:.0f},"p50_ms":{:.3f},"p99_ms":{:.3f},)"
                      R"("failed":{},"accepted":{}}})",
                      events_, span > 0 ? static_cast<double>(events_) / span : 0,
                      latency_.QuantileMs(0.5), latency_.QuantileMs(0.99), failed_, accepted_));
  }

 private:
  static http::ClientOptions ClientOptionsOf(const Options& options) {
    http::ClientOptions out;
    out.allow_private_addresses = true;
    out.max_connections_per_host = static_cast<size_t>(std::max(options.connections, 64));
    out.max_idle_per_host = out.max_connections_per_host;
    return out;
  }

  int64_t DueAt(int64_t index) const {
    return begin_ + static_cast<int64_t>(static_cast<double>(index) * 1e6 / options_.rate);
  }

  void Due() {
    int64_t now = NowMicros();
    auto all = [this] { return options_.count > 0 && sent_ >= options_.count; };
    for (; DueAt(sent_) <= now && DueAt(sent_) < end_ && !all(); ++sent_) Send(DueAt(sent_));
    closing_ = now >= end_ || all();
    if (closing_ && under_way_ == 0) return loop_.Stop();
    if (closing_) return;
    int64_t next = std::min(DueAt(sent_), end_);
    loop_.After(std::chrono::microseconds(next - now), [this] { Due(); });
  }

  http::ClientRequest Request(int64_t due) {
    http::ClientRequest request;
    if (!options_.key.empty()) request.headers.Add("authorization", "Bearer " + options_.key);
    if (!options_.body.empty()) {
      request.url = options_.url;
      request.headers.Add("content-type", "application/json");
      request.body = options_.body;
      return request;
    }
    request.url = options_.url + "/v1/topics/" + options_.topic + "/events";
    if (options_.batch > 0) {
      request.headers.Add("content-type", "application/cloudevents-batch+json");
      request.body = "[";
      for (int i = 0; i < options_.batch; ++i) {
        if (i > 0) request.body += ',';
        request.body += fmt::format(
            R"({{"specversion":"1.0","id":"{}","source":"/bench","type":"{}","benchtime":"{}",)"
            R"("datacontenttype":"application/json","data":{}}})",
            ++id_, options_.type, due, payload_);
      }
      request.body += ']';
      return request;
    }
    request.headers.Add("content-type", "application/json");
    request.headers.Add("ce-specversion", "1.0");
    request.headers.Add("ce-id", std::to_string(++id_));
    request.headers.Add("ce-source", "/bench");
    request.headers.Add("ce-type", options_.type);
    request.headers.Add("ce-benchtime", std::to_string(due));
    request.body = payload_;
    return request;
  }

  bool Good(const http::ClientResponse& response) const {
    if (options_.body.empty()) return response.status == 202;
    return response.status == 200 && response.body.find(options_.expect) != std::string::npos;
  }

  void Send(int64_t due) {
    ++under_way_;
    client_.Send(Request(due), [this, due](http::Client::Outcome outcome) {
      --under_way_;
      int64_t now = NowMicros();
      bool ok = Good(outcome.response);
      int64_t events = options_.batch > 0 ? options_.batch : 1;
      if (ok) accepted_ += events;
      if (!ok) ++failed_;
      if (ok && due >= measure_from_) {
        events_ += events;
        last_ = now;
        latency_.Add(now - due);
      }
      if (options_.rate > 0) {
        if (closing_ && under_way_ == 0) loop_.Stop();
        return;
      }
      bool enough = options_.count > 0 && accepted_ >= options_.count;
      bool over = now >= end_ && options_.count == 0;
      if (!over && !enough && (ok || failed_ < 1000)) return Send(NowMicros());
      if (under_way_ == 0) loop_.Stop();
    });
  }

  EventLoop& loop_;
  Options options_;
  http::Client client_;
  std::string payload_;
  int64_t begin_ = 0;
  int64_t measure_from_ = 0;
  int64_t end_ = 0;
  int64_t last_ = 0;
  int64_t id_ = 0;
  int64_t sent_ = 0;
  int64_t under_way_ = 0;
  int64_t events_ = 0;
  int64_t accepted_ = 0;
  int64_t failed_ = 0;
  bool closing_ = false;
  Histogram latency_;
};

/// Counts what arrives; latency is from the event's `benchtime`. Prints its port at once, and the
/// figures when it has `count` requests or is told to end.
class Sink {
 public:
  Sink(EventLoop& loop, Options options)
      : loop_(loop),
        options_(std::move(options)),
        server_(loop, {}, [this](http::Request request, std::shared_ptr<http::ResponseWriter> w) {
          Take(std::move(request), std::move(w));
        }) {}

  int Run() {
    auto port = server_.Listen(options_.listen);
    if (!port.ok()) {
      std::cerr << port.message() << "\n";
      return 1;
    }
    Print(fmt::format(R"({{"port":{}}})", *port));
    loop_.OnTerminate([this](int) { loop_.Stop(); });
    loop_.Run();
    double span = static_cast<double>(last_ - first_) / 1e6;
    Print(fmt::format(
        R"({{"received":{},"rate":{:.0f},"p50_ms":{:.3f},"p99_ms":{:.3f},"seconds":{:.3f},)"
        R"("out_of_order":{},"repeated":{},"poisoned":{}}})",
        received_, span > 0 ? static_cast<double>(received_ - 1) / span : 0,
        latency_.QuantileMs(0.5), latency_.QuantileMs(0.99), span, out_of_order_, repeated_,
        poisoned_));
    return 0;
  }

 private:
  void Take(http::Request request, std::shared_ptr<http::ResponseWriter> writer) {
    int64_t now = NowMicros();
    if (options_.keys > 0 && !TakeInOrder(request, *writer)) return;
    if (received_ == 0) first_ = now;
    last_ = now;
    ++received_;
    if (auto at = request.headers.Get("ce-benchtime")) {
      int64_t due = std::strtoll(std::string(*at).c_str(), nullptr, 10);
      bool counts = now - first_ >= static_cast<int64_t>(options_.skip * 1e6);
      if (due > 0 && counts) latency_.Add(now - due);
    }
    auto answer = [writer, status = options_.status] {
      writer->Send(http::Response{status, {}, {}});
    };
    if (options_.delay_ms > 0) {
      loop_.After(std::chrono::milliseconds(options_.delay_ms), answer);
    } else {
      answer();
    }
    if (options_.count > 0 && received_ == options_.count) {
      loop_.After(std::chrono::milliseconds(100), [this] { loop_.Stop(); });
    }
  }

  // Ids are numbers, and those of a key are its own modulo the number of keys. False: answered, and
  // not to be counted.
  bool TakeInOrder(const http::Request& request, http::ResponseWriter& writer) {
    auto text = request.headers.Get("ce-id");
    int64_t id = text ? std::strtoll(std::string(*text).c_str(), nullptr, 10) : 0;
    if (id == options_.poison) {
      ++poisoned_;
      writer.Send(http::Response{500, {}, {}});
      return false;
    }
    last_of_key_.resize(static_cast<size_t>(options_.keys), -1);
    int64_t& last = last_of_key_[static_cast<size_t>(id % options_.keys)];
    if (last == id || !seen_.insert(id).second) {
      ++repeated_;
      writer.Send(http::Response{204, {}, {}});
      return false;
    }
    if (id < last) ++out_of_order_;
    last = std::max(last, id);
    return true;
  }

  EventLoop& loop_;
  Options options_;
  http::Server server_;
  std::vector<int64_t> last_of_key_;
  std::unordered_set<int64_t> seen_;
  int64_t out_of_order_ = 0;
  int64_t repeated_ = 0;
  int64_t poisoned_ = 0;
  int64_t received_ = 0;
  int64_t first_ = 0;
  int64_t last_ = 0;
  Histogram latency_;
};

/// librdkafka alone, producing the same events.
void Produce(EventLoop& loop, broker::Broker& broker, const Options& options) {
  broker::ProducerOptions settings;
  settings.linger = std::chrono::milliseconds(options.parallel > 1 ? 1 : 0);
  auto producer = broker.NewProducer(settings);
  std::string payload = Payload(options.size);
  int64_t sent = 0;
  int64_t acked = 0;
  int64_t first = NowMicros();
  Histogram latency;
  std::function<void()> fill = [&] {
    while (sent < options.count && sent - acked < options.parallel) {
      broker::ProduceRecord record;
      record.topic = options.topic;
      record.headers = {{"ce_specversion", "1.0"},
                        {"ce_id", std::to_string(sent)},
                        {"ce_source", "/bench"},
                        {"ce_type", options.type},
                        {"content-type", "application/json"}};
      if (options.keys > 0) {
        record.key = fmt::format("k{}", sent % options.keys);
        record.headers.emplace_back("ce_partitionkey", *record.key);
      }
      record.value = payload;
      int64_t at = NowMicros();
      auto status = producer->Produce(std::move(record), [&, at](Result<broker::Position>) {
        ++acked;
        latency.Add(NowMicros() - at);
        if (acked == options.count) return loop.Stop();
        fill();
      });
      if (!status.ok()) break;
      ++sent;
    }
  };
  loop.Post(fill);
  loop.Run();
  double span = static_cast<double>(NowMicros() - first) / 1e6;
  Print(fmt::format(R"({{"events":{},"rate":{:.0f},"p50_ms":{:.3f},"p99_ms":{:.3f}}})", acked,
                    static_cast<double>(acked) / span, latency.QuantileMs(0.5),
                    latency.QuantileMs(0.99)));
}

/// A straight consumer: reads the topic from its beginning and posts each event; `parallel` posts
/// under way in all, with --by-key one of each key. What sixty lines of a user's own code would do:
/// no retries, no bookkeeping.
class Loop : public broker::Reader::Listener {
 public:
  Loop(EventLoop& loop, broker::Broker& broker, Options options)
      : loop_(loop), options_(std::move(options)), client_(loop, ClientOptionsOf()) {
    reader_ = broker.NewReader("bench-loop", *this);
    for (int32_t p = 0; p < 4; ++p) reader_->Add({options_.topic, p}, broker::kEarliest);
  }

  void Run() {
    loop_.OnTerminate([this](int) { loop_.Stop(); });
    loop_.Run();
    double span = static_cast<double>(NowMicros() - first_) / 1e6;
    Print(
        fmt::format(R"({{"events":{},"rate":{:.0f}}})", done_, static_cast<double>(done_) / span));
  }

 private:
  static http::ClientOptions ClientOptionsOf() {
    http::ClientOptions options;
    options.allow_private_addresses = true;
    return options;
  }

  void OnRecords(std::vector<broker::Record> records) override {
    for (auto& record : records) Wait(std::move(record));
    Pump();
    Pace();
  }
  void OnPartitionError(const broker::TopicPartition&, const Error& error) override {
    std::cerr << error.message << "\n";
  }

  void Wait(broker::Record record) {
    ++count_;
    if (options_.by_key && record.key) {
      auto [it, idle] = behind_.try_emplace(*record.key);
      if (!idle) return it->second.push_back(std::move(record));
    }
    waiting_.push_back(std::move(record));
  }

  void Done(const std::optional<std::string>& key) {
    --under_way_;
    --count_;
    if (!options_.by_key || !key) return;
    auto it = behind_.find(*key);
    if (it->second.empty()) {
      behind_.erase(it);
    } else {
      waiting_.push_back(std::move(it->second.front()));
      it->second.pop_front();
    }
  }

  void Pump() {
    while (under_way_ < options_.parallel && !waiting_.empty()) {
      if (first_ == 0) first_ = NowMicros();
      broker::Record record = std::move(waiting_.front());
      waiting_.pop_front();
      http::ClientRequest request;
      request.url = options_.url;
      for (auto& [name, value] : record.headers) {
        request.headers.Add(name.starts_with("ce_") ? "ce-" + name.substr(3) : name, value);
      }
      request.body = std::move(*record.value);
      ++under_way_;
      client_.Send(std::move(request), [this, key = record.key](http::Client::Outcome) {
        Done(key);
        if (++done_ == options_.count) return loop_.Stop();
        Pump();
        Pace();
      });
    }
  }

  void Pace() {
    bool pause = count_ > (paused_ ? 5'000 : 20'000);
    if (pause == paused_) return;
    paused_ = pause;
    for (int32_t p = 0; p < 4; ++p) {
      pause ? reader_->Pause({options_.topic, p}) : reader_->Resume({options_.topic, p});
    }
  }

  EventLoop& loop_;
  Options options_;
  http::Client client_;
  std::unique_ptr<broker::Reader> reader_;
  std::deque<broker::Record> waiting_;
  std::unordered_map<std::string, std::deque<broker::Record>> behind_;  // one of their key
  int64_t count_ = 0;                                                   // taken, and not done
  bool paused_ = false;
  int under_way_ = 0;
  int64_t done_ = 0;
  int64_t first_ = 0;
};

int Main(int argc, char** argv) {
  Options o;
  std::string command;
  po::options_description flags("flags");
  auto add = flags.add_options();
  add("command", po::value(&command));
  add("url", po::value(&o.url), "API address, or where to post");
  add("key", po::value(&o.key), "API key");
  add("topic", po::value(&o.topic), "topic (for produce and loop: Kafka's name)");
  add("kafka", po::value(&o.kafka), "brokers, for produce and loop");
  add("listen", po::value(&o.listen), "the sink's address");
  add("type", po::value(&o.type), "event type");
  add("body", po::value(&o.body), "call: what is posted");
  add("expect", po::value(&o.expect), "call: text of a good answer");
  add("connections", po::value(&o.connections), "publish, call: connections");
  add("parallel", po::value(&o.parallel), "produce, loop: under way at once");
  add("batch", po::value(&o.batch), "publish: events a request");
  add("seconds", po::value(&o.seconds), "publish, call: measured time");
  add("warmup", po::value(&o.warmup), "publish, call: time before that");
  add("rate", po::value(&o.rate), "publish, call: requests a second, open loop");
  add("count", po::value(&o.count), "end after so many");
  add("keys", po::value(&o.keys), "produce: partition keys; sink: ids of each are to rise");
  add("status", po::value(&o.status), "sink: of its answers");
  add("poison", po::value(&o.poison), "sink: answers this id with 500");
  add("delay-ms", po::value(&o.delay_ms), "sink: answer after");
  add("size", po::value(&o.size), "bytes of data");
  add("skip", po::value(&o.skip), "sink: seconds from its first request on without latencies");
  add("by-key", po::value(&o.by_key), "loop: 1: one of each key at a time");
  po::positional_options_description positional;
  positional.add("command", 1);
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv).options(flags).positional(positional).run(),
              values);
    po::notify(values);
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n" << flags;
    return 2;
  }
  log::Init("load", log::Format::kText);
  EventLoop loop;
  if (command == "publish" || command == "call") {
    Publisher(loop, o).Run();
  } else if (command == "sink") {
    return Sink(loop, o).Run();
  } else if (command == "produce" || command == "loop") {
    broker::KafkaOptions kafka;
    kafka.brokers = o.kafka;
    kafka.client_id = "dispatch-load";
    auto broker = broker::ConnectKafka(loop, kafka);
    if (!broker.ok()) {
      std::cerr << broker.message() << "\n";
      return 1;
    }
    if (command == "produce") {
      Produce(loop, **broker, o);
    } else {
      Loop(loop, **broker, o).Run();
    }
  } else {
    std::cerr << "publish, call, sink, produce or loop\n" << flags;
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace dispatch::bench

int main(int argc, char** argv) { return dispatch::bench::Main(argc, argv); }
