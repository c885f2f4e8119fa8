#include <fmt/format.h>

#include "api-gateway/src/domain/routes.h"
#include "schema/objects.h"

namespace dispatch::gateway {

namespace {

// Whether there is the topic in the call's organisation; answers the call itself when there is not.
bool HasTopic(Call& call, Backend& backend, const std::string& topic) {
  if (!backend.tables.events.ready()) {
    call.Fail({Code::kUnavailable, "the gateway is still reading topics: try again"});
    return false;
  }
  auto entity = backend.tables.events.Find(schema::kTopicKind, call.org + "/" + topic);
  if (entity == nullptr || json::GetString(entity->document, "status") == "DELETING") {
    call.Fail(
        {Code::kNotFound, fmt::format("topic {} does not exist in organisation {}: create it with "
                                      "POST /v1/topics",
                                      topic, call.org)});
    return false;
  }
  return true;
}

void Publish(CallPtr call, Backend& backend) {
  std::string topic = call->request.Param("name");
  if (!HasTopic(*call, backend, topic)) return;
  auto intake =
      ReadEvents(call->request, fmt::format("/{}/{}", call->org, topic), backend.loop.Now());
  if (!intake.ok()) return call->Fail(intake.error());
  backend.publisher.Publish(std::move(call), topic, std::move(*intake));
}

// VMware's answer in the place of ours: what was sent comes back, 200.
class Echo : public http::ResponseWriter {
 public:
  Echo(CallPtr call, std::string body) : call_(std::move(call)), body_(std::move(body)) {}

  void Send(http::Response response) override {
    if (response.status == 202) return call_->SendJson(200, std::move(body_));
    response.headers.Remove("X-Request-Id");  // comes from the call again
    call_->Send(std::move(response));
  }
  // Nothing is streamed to a publisher.
  void Start(int, http::Headers) override {}
  bool Write(std::string) override { return false; }
  void End() override {}
  void OnDrain(std::function<void()>) override {}
  void OnClosed(std::function<void()>) override {}
  bool closed() const override { return false; }

 private:
  CallPtr call_;
  std::string body_;
};

// VMware's emit: one event of CloudEvents 0.1, into topic `default` unless ?topic= says another.
void Emit(const CallPtr& call, Backend& backend) {
  std::string topic = call->request.Query("topic").value_or("default");
  if (!call->Require({auth::kPublish}, fmt::format("{}/{}", schema::kTopicKind, topic))) return;
  if (!HasTopic(*call, backend, topic)) return;
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  auto event = cloudevents::UpgradeFrom01(call->request.body);
  if (event.ok()) {
    Status valid = cloudevents::Validate(*event);
    if (!valid.ok()) event = valid.error();
  }
  if (!event.ok()) return call->Fail(event.error());
  auto inner =
      std::make_shared<Call>(call->request, std::make_shared<Echo>(call, json::Serialize(*body)));
  inner->org = call->org;
  inner->principal = call->principal;
  Intake intake;
  intake.events.push_back(std::move(*event));
  backend.publisher.Publish(std::move(inner), topic, std::move(intake));
}

}  // namespace

void AddEventRoutes(Gateway& gateway, Backend& backend) {
  // With a slash at its end too: the router does not care.
  // The topic is in the query: the handler looks whether its caller may publish there.
  gateway.Add(
      {"POST", "/v1/event", {Access::Check::kKey, {auth::kPublish}}, [&backend](CallPtr call) {
         Emit(call, backend);
       }});
  gateway.Add({"POST",
               "/v1/topics/{name}/events",
               {Access::Check::kObject, {auth::kPublish}, schema::kTopicKind},
               [&backend](CallPtr call) { Publish(std::move(call), backend); }});
}

}  // namespace dispatch::gateway
