#include "api-gateway/src/domain/lag_question.h"

#include <map>
#include <memory>

namespace dispatch::gateway {

namespace {

constexpr int64_t kPage = 1'000;  // subscriptions: some 800 kB
constexpr char kOwner[] = "event-manager";

struct Gathering {
  ServiceClient& services;
  CallPtr call;
  std::chrono::milliseconds timeout;
  std::function<void(Result<json::object>)> done;
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
    done(json::object{{"subscriptions", std::move(subscriptions)}, {"topics", std::move(all)}});
  }
  static json::array Items(const json::object& page, const char* field) {
    const json::array* items = json::GetArray(page, field);
    return items != nullptr ? *items : json::array();
  }
};

void AskForPage(const std::shared_ptr<Gathering>& gathering, const std::string& after) {
  json::object question{{"limit", kPage}};
  if (!after.empty()) question["after"] = after;
  gathering->services.TryAsk(gathering->call, kOwner, "lag.get", std::move(question),
                             gathering->timeout, [gathering](Result<broker::RpcReply> reply) {
                               if (!reply.ok()) return gathering->done(reply.error());
                               const json::object* page = reply->body.if_object();
                               if (page == nullptr) return gathering->Finish();
                               gathering->Take(*page);
                               std::string next = json::GetString(*page, "next");
                               next.empty() ? gathering->Finish() : AskForPage(gathering, next);
                             });
}

}  // namespace

void AskForLag(ServiceClient& services, const CallPtr& call, std::chrono::milliseconds timeout,
               std::function<void(Result<json::object>)> done) {
  auto gathering = std::make_shared<Gathering>(Gathering{services, call, timeout, std::move(done)});
  AskForPage(gathering, "");
}

}  // namespace dispatch::gateway
