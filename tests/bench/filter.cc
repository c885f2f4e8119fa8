// usage: dispatch-filter-bench [RUNS]
//
// Holds one event against 10, 1,000 and 10,000 filters on one core, and prints one JSON object a
// line: the median of RUNS (3). "evaluate": filters one by one, `rate` in evaluations a second;
// "index": a topic's index of as many subscriptions, `rate` in events a second, `looked_at` and
// `matched` filters of each event, `ratio` to holding every filter.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "event-manager/src/domain/match_index.h"

namespace dispatch {
namespace {

using Clock = std::chrono::steady_clock;

int runs = 3;

cloudevents::Event Order() {
  cloudevents::Event event;
  event.Set("specversion", "1.0");
  event.Set("id", "4f3c6f0e-2f4e-4f0b-9f77-0d6b6b1d2c11");
  event.Set("source", "/shops/berlin/17");
  event.Set("type", "com.example.order.created");
  event.Set("subject", "customer-17");
  event.Set("time", "2026-01-31T12:00:00Z");
  event.Set("priority", "7");
  event.Set("datacontenttype", "application/json");
  event.data = R"({"order":{"id":17,"country":"DE","total":99.5,"items":[{"sku":"a","n":1}]}})";
  return event;
}

/// Filter number `i` of a kind; every hundredth or so of the mixed ones holds for Order().
std::string FilterText(const std::string& kind, int i) {
  std::string n = std::to_string(i);
  if (kind == "exact type") return R"({"exact":{"type":"com.example.kind)" + n + R"("}})";
  if (kind == "prefix") return R"({"prefix":{"source":"/shops/berlin/)" + n + R"("}})";
  if (kind == "suffix") return R"({"suffix":{"subject":"-)" + n + R"("}})";
  if (kind == "sql =") return R"({"sql":"subject = 'customer-)" + n + R"('"})";
  if (kind == "sql LIKE") return R"({"sql":"source LIKE '/shops/%/)" + n + R"('"})";
  if (kind == "sql <") return R"({"sql":"priority < )" + std::to_string(i % 8) + R"("})";
  if (kind == "sql AND") {
    return R"({"sql":"type = 'com.example.order.created' AND subject = 'customer-)" + n +
           R"(' AND priority > 3"})";
  }
  if (kind == "any") {
    return R"({"any":[{"exact":{"subject":"customer-)" + n + R"("}},{"exact":{"id":")" + n +
           R"("}}]})";
  }
  if (kind == "data") return R"({"data":{"/order/id":{"exact":)" + n + "}}}";
  return R"({"all":[{"exact":{"type":"com.example.order.created"}},{"prefix":{"source":"/shops/x)" +
         n + R"("}}]})";
}

const std::vector<std::string> kSimple = {"exact type", "prefix",   "suffix",
                                          "sql =",      "sql LIKE", "sql <"};
const std::vector<std::string> kMixed = {"exact type", "prefix", "suffix", "sql =", "sql LIKE",
                                         "sql AND",    "any",    "data",   "all"};

std::vector<MatchIndex::Entry> Subscriptions(const std::vector<std::string>& kinds, int count) {
  std::vector<MatchIndex::Entry> entries;
  for (int i = 0; i < count; ++i) {
    schema::Subscription s;
    for (int byte = 0; byte < 4; ++byte) s.uuid.bytes[byte] = static_cast<uint8_t>(i >> byte * 8);
    auto kind = kinds[static_cast<size_t>(i) % kinds.size()];
    s.filters.push_back(*json::Parse(FilterText(kind, i)));
    auto entry = CompiledSubscription::Compile(s);
    if (!entry.ok()) {
      fmt::print(stderr, "{}\n", entry.message());
      std::exit(1);
    }
    entries.push_back(*entry);
  }
  return entries;
}

/// How often a second `once` runs: the median.
template <typename Once>
double Rate(const Once& once) {
  std::vector<double> rates;
  for (int run = 0; run < runs; ++run) {
    auto start = Clock::now();
    size_t times = 0;
    double seconds = 0;
    for (size_t step = 1; seconds < 0.4; step = std::min<size_t>(step * 2, 4096)) {
      for (size_t i = 0; i < step; ++i) once();
      times += step;
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
    rates.push_back(static_cast<double>(times) / seconds);
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

double EvaluationRate(const std::vector<MatchIndex::Entry>& entries) {
  auto event = Order();
  size_t holding = 0;
  double rate = Rate([&] {
    EventView view(event);
    for (const auto& entry : entries) holding += entry->Matches(view) ? 1 : 0;
  });
  if (holding == SIZE_MAX) fmt::print("impossible\n");  // keeps the loop
  return rate * static_cast<double>(entries.size());
}

void Evaluate(const std::string& name, const std::vector<std::string>& kinds, int count) {
  double rate = EvaluationRate(Subscriptions(kinds, count));
  fmt::print("{{\"bench\": \"filter\", \"case\": \"evaluate {} {}\", \"rate\": {:.0f}}}\n", name,
             count, rate);
  std::fflush(stdout);
}

void Index(const std::string& name, const std::vector<std::string>& kinds, int count) {
  auto entries = Subscriptions(kinds, count);
  MatchIndex index;
  for (const auto& entry : entries) index.Put(entry);
  auto event = Order();
  if (kinds.size() == 1) event.Set("type", "com.example.kind7");
  std::vector<const CompiledSubscription*> hits;
  std::vector<MatchIndex::Fault> faults;
  size_t looked_at = index.Match(event, &hits, &faults);
  size_t matched = hits.size();
  double rate = Rate([&] {
    hits.clear();
    faults.clear();
    index.Match(event, &hits, &faults);
  });
  double each = EvaluationRate(entries) / count;
  fmt::print(
      "{{\"bench\": \"filter\", \"case\": \"index {} {}\", \"rate\": {:.0f}, "
      "\"looked_at\": {}, \"matched\": {}, \"yardstick\": {{\"name\": \"every filter\", "
      "\"rate\": {:.0f}}}, \"ratio\": {:.1f}}}\n",
      name, count, rate, looked_at, matched, each, rate / each);
  std::fflush(stdout);
}

void Run() {
  for (const auto& kind : kSimple) Evaluate(kind, {kind}, 1000);
  Evaluate("sql AND", {"sql AND"}, 1000);
  Evaluate("data", {"data"}, 1000);
  for (int count : {10, 1000, 10'000}) Evaluate("simple", kSimple, count);
  for (int count : {10, 1000, 10'000}) Index("exact types", {"exact type"}, count);
  for (int count : {10, 1000, 10'000}) Index("mixed", kMixed, count);
}

}  // namespace
}  // namespace dispatch

int main(int argc, char** argv) {
  if (argc > 1) dispatch::runs = std::max(1, std::atoi(argv[1]));
  dispatch::Run();
  return 0;
}
