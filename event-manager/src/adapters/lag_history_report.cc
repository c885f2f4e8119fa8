#include "event-manager/src/adapters/lag_history_report.h"

#include <algorithm>
#include <cmath>

#include "schema/objects.h"

namespace dispatch {

namespace {

constexpr int64_t kMostCount = 2'000;
constexpr size_t kMostNames = 50;

struct Asked {
  std::vector<std::shared_ptr<const broker::Entity>> subscriptions;
  int64_t from_ms = 0;
  int64_t step_ms = 0;
  int64_t count = 0;
  bool partitions = false;
  int64_t to_ms() const { return from_ms + count * step_ms; }
};

template <typename Value>
json::array Form(const LagSeries::Values<Value>& values) {
  json::array form;
  for (const auto& value : values) {
    form.push_back(value ? json::value(*value) : json::value(nullptr));
  }
  return form;
}

json::object Form(const std::string& name, const LagSeries& series, bool partitions) {
  LagSeries::Values<double> rates = series.settled_rate;
  for (auto& rate : rates) {
    if (rate) rate = std::round(*rate * 100) / 100;
  }
  json::object form{{"name", name},
                    {"waiting", Form(series.waiting)},
                    {"oldestSeconds", Form(series.oldest_seconds)},
                    {"settledPerSecond", Form(rates)}};
  if (!partitions) return form;
  json::array unread;
  for (const auto& partition : series.unread) unread.push_back(Form(partition));
  form["unread"] = std::move(unread);
  return form;
}

Result<Asked> Read(const schema::Request& request, const broker::StateTable& state) {
  ASSIGN_OR_RETURN(auto body, json::ParseObject(request.body));
  Asked asked;
  asked.from_ms = json::GetInt(body, "from");
  asked.step_ms = json::GetInt(body, "step");
  asked.count = json::GetInt(body, "count");
  asked.partitions = json::GetBool(body, "partitions");
  const json::array* names = json::GetArray(body, "subscriptions");
  bool sound = names != nullptr && names->size() <= kMostNames && asked.from_ms >= 0 &&
               asked.step_ms >= 1'000 && asked.count > 0 && asked.count <= kMostCount;
  if (!sound) return Error{Code::kInvalidArgument, "lag.history: a field is missing or too large"};
  for (const json::value& name : *names) {
    if (!name.is_string()) continue;
    auto entity =
        state.Find(schema::kSubscriptionKind, request.org + "/" + std::string(name.get_string()));
    if (entity != nullptr) asked.subscriptions.push_back(std::move(entity));
  }
  return asked;
}

}  // namespace

void LagHistoryReport::Register(broker::RpcServer& server) {
  server.Handle(
      "lag.history", [this](const schema::Request& request, broker::RpcServer::Responder respond) {
        auto asked = Read(request, state_);
        if (!asked.ok()) return respond(asked.error());
        std::vector<Uuid> uuids;
        for (const auto& entity : asked->subscriptions) uuids.push_back(entity->uuid);
        // One step more, for the rate of the first.
        int64_t from_ms = asked->from_ms - std::max(asked->step_ms, kLagMinute);
        archive_.Read(std::move(uuids), from_ms, asked->to_ms(), asked->step_ms < kLagStep,
                      [asked = *asked, respond = std::move(respond)](Result<LagPoints> points) {
                        if (!points.ok()) return respond(points.error());
                        json::array all;
                        for (const auto& entity : asked.subscriptions) {
                          auto series = DrawLag((*points)[entity->uuid], asked.from_ms,
                                                asked.step_ms, static_cast<size_t>(asked.count));
                          all.push_back(Form(entity->name, series, asked.partitions));
                        }
                        broker::RpcReply reply;
                        reply.body = json::object{{"subscriptions", std::move(all)}};
                        respond(std::move(reply));
                      });
      });
}

}  // namespace dispatch
