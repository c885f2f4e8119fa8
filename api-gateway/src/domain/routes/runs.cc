#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>

#include "api-gateway/src/domain/knative_run.h"
#include "api-gateway/src/domain/resource.h"
#include "api-gateway/src/domain/routes.h"
#include "api-gateway/src/domain/run_answer.h"
#include "api-gateway/src/domain/views.h"
#include "schema/objects.h"
#include "schema/rfc3339.h"

namespace dispatch::gateway {

namespace {

// Function-manager ends a blocking run after five minutes; a moment longer for its answer.
constexpr std::chrono::milliseconds kBlocking = std::chrono::seconds(310);
// A function that this instance lacks is unpacked before its first run.
constexpr std::chrono::milliseconds kQueueing = std::chrono::seconds(60);
constexpr int64_t kMaxPage = 1000;
constexpr int kMostReplies = 6;  // of at most 1.8 MB each
constexpr char kRuns[] = "/v1/runs";

bool MayDo(Call& call, std::string_view action, const std::string& function) {
  return call.Require(
      {action}, fmt::format("{}/{}", schema::kFunctionKind, function.empty() ? "*" : function));
}

// "Prefer: run-status" (RFC 7240).
bool WantsRunStatus(const http::Request& request) {
  for (const auto& [name, value] : request.headers) {
    if (http::EqualsIgnoreCase(name, "Prefer") && value.find("run-status") != std::string::npos) {
      return true;
    }
  }
  return false;
}

void SendRun(const CallPtr& call, int status, const json::value& run) {
  if (const auto* form = run.if_object(); form != nullptr && status != 200) {
    call->AddHeader("Location", fmt::format("{}/{}", kRuns, json::GetString(*form, "name")));
  }
  call->SendJson(status, run);
}

void Create(const CallPtr& call, Backend& backend) {
  auto body = call->Body();
  if (!body.ok()) return call->Fail(body.error());
  std::string function =
      call->request.Query("functionName").value_or(json::GetString(*body, "functionName"));
  if (function.empty()) {
    return call->Fail({Code::kInvalidArgument,
                       "say which function: POST /v1/runs?functionName=NAME",
                       false,
                       {{"functionName", "is required"}}});
  }
  if (!MayDo(*call, auth::kInvoke, function)) return;
  auto bytes = TakeInputBytes(*body);
  if (!bytes.ok()) return call->Fail(bytes.error());
  bool blocking = json::GetBool(*body, "blocking");
  bool tells = WantsRunStatus(call->request);
  if (tells) call->AddHeader("Preference-Applied", "run-status");
  backend.services.Make(call, kFunctionManager, "run.create",
                        json::object{{"functionName", function}, {"run", std::move(*body)}},
                        blocking ? kBlocking : kQueueing,
                        [call, blocking, tells, knative = *bytes](const broker::RpcReply& reply) {
                          if (!blocking) return SendRun(call, 202, reply.body);
                          const auto* run = reply.body.if_object();
                          int status = tells && run != nullptr ? RunStatusOf(*run) : 200;
                          if (knative && run != nullptr)
                            return call->SendJson(status, KnativeRunForm(*run));
                          call->SendJson(status, reply.body);
                        });
}

// ?since= in unix seconds, as VMware's CLI sends it, or RFC 3339.
Result<int64_t> SinceUs(const std::string& text) {
  int64_t seconds = 0;
  auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  constexpr int64_t kMost = int64_t{1} << 40;
  if (bad == std::errc() && end == text.data() + text.size()) {
    return seconds <= 0 ? 0 : std::min(seconds, kMost) * 1'000'000;
  }
  auto time = schema::ParseRfc3339(text);
  if (time.ok()) return ToMicros(*time);
  return Error{Code::kInvalidArgument, "since: give unix seconds, or a time of RFC 3339"};
}

// As they are in a run, where VMware's command writes the application as Application.
Result<json::array> RunTags(const http::Request& request) {
  ASSIGN_OR_RETURN(auto asked, AskedTags(request));
  json::array tags;
  for (auto& [key, value] : asked) {
    tags.push_back({{"key", IsApplicationTag(key) ? "Application" : key}, {"value", value}});
  }
  return tags;
}

void Follow(const CallPtr& call, Backend& backend, std::string function, json::object query) {
  backend.run_streams.Follow(
      call, std::move(query), [&backend, function = std::move(function)](const Call& during) {
        auto principal =
            backend.directory.Authenticate(during.request.headers.Get("Authorization"));
        return principal.ok() &&
               (*principal)
                   ->permissions.Allows(auth::kReadRuns,
                                        fmt::format("{}/{}", schema::kFunctionKind,
                                                    function.empty() ? "*" : function));
      });
}

// A page of the caller's is put together of as many as function-manager's replies hold.
struct Page {
  json::object query;
  size_t limit = 0;
  json::array items;
  int replies = 0;
};

void Gather(const CallPtr& call, Backend& backend, const std::shared_ptr<Page>& page) {
  page->query["limit"] = page->limit - page->items.size();
  backend.services.Ask(
      call, kFunctionManager, "run.list", page->query,
      [call, &backend, page](broker::RpcReply reply) {
        auto* answer = reply.body.if_object();
        auto* items = answer != nullptr ? answer->if_contains("items") : nullptr;
        bool some = items != nullptr && items->is_array() && !items->get_array().empty();
        if (some) {
          for (auto& item : items->get_array()) page->items.push_back(std::move(item));
        }
        std::string next = some ? json::GetString(*answer, "next") : "";
        bool more = page->items.size() < page->limit && ++page->replies < kMostReplies;
        if (!next.empty() && more) {
          page->query["cursor"] = next;
          return Gather(call, backend, page);
        }
        if (!next.empty()) LinkNext(*call, next);
        call->SendJson(200, json::value(std::move(page->items)));
      });
}

void List(const CallPtr& call, Backend& backend) {
  std::string function = call->request.Query("functionName").value_or("");
  if (!MayDo(*call, auth::kReadRuns, function)) return;
  auto since = SinceUs(call->request.Query("since").value_or("0"));
  if (!since.ok()) return call->Fail(since.error());
  auto tags = RunTags(call->request);
  if (!tags.ok()) return call->Fail(tags.error());
  json::object body{{"functionName", function}, {"sinceUs", *since}};
  if (!tags->empty()) body["tags"] = std::move(*tags);
  if (auto status = call->request.Query("status")) body["status"] = *status;
  if (call->request.Query("follow") == "true") {
    return Follow(call, backend, std::move(function), std::move(body));
  }
  auto limit = ReadLimit(call->request, kMaxPage);
  if (!limit.ok()) return call->Fail(limit.error());
  if (auto cursor = call->request.Query("cursor")) body["cursor"] = *cursor;
  auto page = std::make_shared<Page>();
  page->query = std::move(body);
  page->limit = static_cast<size_t>(limit->value_or(kMaxPage));
  Gather(call, backend, page);
}

// What is asked about one run, of whatever function: the key must have the action on that one.
void AskAboutRun(const CallPtr& call, Backend& backend, std::string method, std::string_view action,
                 int status) {
  json::object body{{"id", call->request.Param("id")},
                    {"functionName", call->request.Query("functionName").value_or("")}};
  backend.services.Ask(
      call, kFunctionManager, "run.get", body,
      [call, &backend, method = std::move(method), action, status,
       body](const broker::RpcReply& found) {
        const auto* run = found.body.if_object();
        if (!MayDo(*call, action, run != nullptr ? json::GetString(*run, "functionName") : "")) {
          return;
        }
        if (method.empty()) return call->SendJson(status, found.body);
        backend.services.Make(
            call, kFunctionManager, method, body, kQueueing,
            [call, status](const broker::RpcReply& reply) { SendRun(call, status, reply.body); });
      });
}

}  // namespace

void AddRunRoutes(Gateway& gateway, Backend& backend) {
  using Check = Access::Check;
  const Access some{Check::kSome, {auth::kReadRuns}, schema::kFunctionKind};
  gateway.Add({"POST", kRuns, {Check::kKey}, [&backend](CallPtr call) { Create(call, backend); }});
  gateway.Add({"GET", kRuns, some, [&backend](CallPtr call) { List(call, backend); }});
  gateway.Add({"GET", "/v1/runs/{id}", some,
               [&backend](CallPtr call) { AskAboutRun(call, backend, "", auth::kReadRuns, 200); }});
  gateway.Add({"POST", "/v1/runs/{id}/cancel", {Check::kKey}, [&backend](CallPtr call) {
                 AskAboutRun(call, backend, "run.cancel", auth::kInvoke, 200);
               }});
  gateway.Add({"POST", "/v1/runs/{id}/rerun", {Check::kKey}, [&backend](CallPtr call) {
                 AskAboutRun(call, backend, "run.rerun", auth::kInvoke, 202);
               }});
}

}  // namespace dispatch::gateway
