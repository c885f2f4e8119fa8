#include "api-gateway/src/domain/lag_question.h"

#include <fmt/format.h>

#include <map>
#include <memory>

#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

constexpr int64_t kPage = 1'000;  // subscriptions: some 800 kB
constexpr char kOwner[] = "event-manager";
constexpr std::chrono::milliseconds kAgainAfter{400};
constexpr int kMostAsks = 6;
constexpr Duration kSilent = std::chrono::seconds(3);

struct Gathering {
  Loop& loop;
  ServiceClient& services;
  CallPtr call;
  std::chrono::milliseconds timeout;
  std::function<void(Result<LagAnswer>)> done;
  Duration took{};
  json::array subscriptions = {};
  std::map<std::string, json::value> topics = {};  // subscriptions of several pages may share one

  void Take(const json::object& page) {
    for (const json::value& row : Items(page, "subscriptions")) subscriptions.push_back(row);
    for (const json::value& topic : Items(page, "topics")) {
      if (topic.is_object()) topics[json::GetString(topic.get_object(), "name")] = topic;
    }
  }
  void Finish() {
    json::array all;
    for (auto& [name, topic] : topics) all.push_back(std::move(topic));
    json::object document{{"subscriptions", std::move(subscriptions)}, {"topics", std::move(all)}};
    done(LagAnswer{std::move(document), took});
  }
  static json::array Items(const json::object& page, const char* field) {
    const json::array* items = json::GetArray(page, field);
    return items != nullptr ? *items : json::array();
  }
};
using GatheringPtr = std::shared_ptr<Gathering>;

// One page, asked for until somebody answers: what is asked of an instance that has died stays
// unanswered until its group gives its share to another, which is longer than anybody waits here.
struct Page {
  GatheringPtr gathering;
  std::string after;
  SteadyTime until;
  int asks = 0;
  int open = 0;  // that may still be answered
  bool over = false;
};
using PagePtr = std::shared_ptr<Page>;

void AskForPage(const GatheringPtr& gathering, const std::string& after);

void Answered(const PagePtr& page, SteadyTime asked, const Result<broker::RpcReply>& reply) {
  --page->open;
  if (page->over || (!reply.ok() && page->open > 0)) return;
  page->over = true;
  Gathering& gathering = *page->gathering;
  if (!reply.ok()) return gathering.done(reply.error());
  gathering.took += gathering.loop.Steady() - asked;
  const json::object* body = reply->body.if_object();
  if (body == nullptr) return gathering.Finish();
  gathering.Take(*body);
  std::string next = json::GetString(*body, "next");
  next.empty() ? gathering.Finish() : AskForPage(page->gathering, next);
}

void Ask(const PagePtr& page) {
  Gathering& gathering = *page->gathering;
  auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(page->until - gathering.loop.Steady());
  if (page->over || left <= kAgainAfter / 2) return;
  ++page->asks;
  ++page->open;
  json::object question{{"limit", kPage}};
  if (!page->after.empty()) question["after"] = page->after;
  gathering.services.TryAsk(gathering.call, kOwner, "lag.get", std::move(question), left,
                            [page, asked = gathering.loop.Steady()](
                                Result<broker::RpcReply> reply) { Answered(page, asked, reply); });
  if (page->asks == kMostAsks) return;
  gathering.loop.After(kAgainAfter, [weak = std::weak_ptr(page)] {
    if (auto page = weak.lock()) Ask(page);
  });
}

void AskForPage(const GatheringPtr& gathering, const std::string& after) {
  Ask(std::make_shared<Page>(
      Page{gathering, after, gathering->loop.Steady() + gathering->timeout}));
}

}  // namespace

void AskForLag(Loop& loop, ServiceClient& services, const CallPtr& call,
               std::chrono::milliseconds timeout, std::function<void(Result<LagAnswer>)> done) {
  AskForPage(std::make_shared<Gathering>(Gathering{loop, services, call, timeout, std::move(done)}),
             "");
}

std::chrono::milliseconds LookTime(const broker::StateTable& events) {
  bool silent = events.ready() && events.age() >= kSilent;
  return silent ? std::chrono::milliseconds(2'000) : std::chrono::milliseconds(3'000);
}

std::optional<WallTime> SilentSince(const broker::StateTable& events, WallTime now) {
  Duration age = events.age();
  if (age < kSilent || age == Duration::max()) return std::nullopt;
  return now - age;
}

Error ExplainLag(const ServiceClient& services, const Call& call, const broker::StateTable& events,
                 WallTime now, Error error) {
  bool unanswered = error.code == Code::kDeadlineExceeded || error.code == Code::kUnavailable;
  auto since = SilentSince(events, now);
  if (!unanswered || !since) return services.Explain(call, kOwner, std::move(error));
  return {Code::kUnavailable,
          fmt::format("event-manager was not heard since {}: see whether it runs",
                      schema::FormatRfc3339(*since))};
}

}  // namespace dispatch::gateway
