#include "api-gateway/src/domain/doctor.h"

#include <fmt/format.h>

#include <memory>
#include <set>

#include "common/finding.h"
#include "common/metrics.h"

namespace dispatch::gateway {

namespace {

using Level = Finding::Level;

constexpr char kSelf[] = "api-gateway";
constexpr std::chrono::milliseconds kReportTime{8'000};
constexpr int64_t kDay = 86'400;
constexpr int64_t kCertificateNear = 14 * kDay;  // s
constexpr int64_t kCertificateEnds = 2 * kDay;

// What the services answered, until all did.
struct Visit {
  CallPtr call;
  int64_t began_ms = 0;
  size_t waiting = 0;
  json::array services;
  json::array findings;
  std::set<std::string> versions;

  void Add(const Finding& finding, const std::string& service) {
    findings.push_back(FindingForm(finding, service));
  }
};

std::string VersionText(const std::string& number, const std::string& commit) {
  return commit.empty() ? number : fmt::format("{} ({})", number, commit);
}

void TakeReport(Visit& visit, const std::string& service, int64_t now_ms,
                const Result<broker::RpcReply>& reply) {
  const auto* report = reply.ok() ? reply->body.if_object() : nullptr;
  if (report == nullptr) {
    visit.services.push_back(json::object{{"name", service}, {"reached", false}});
    visit.Add({Level::kFailure, "service.reached",
               fmt::format("{} does not answer by way of Kafka", service),
               "see whether it runs and what /readyz on its admin port says"},
              service);
    return;
  }
  std::string version =
      VersionText(json::GetString(*report, "version"), json::GetString(*report, "commit"));
  visit.versions.insert(version);
  visit.services.push_back(
      json::object{{"name", service}, {"reached", true}, {"version", version}});
  visit.Add({Level::kOk, "service.reached", "answers", {}}, service);
  visit.Add(JudgeClocks("service.clock", "the clock of " + service,
                        ClockSkew(json::GetInt(*report, "timeMs"), visit.began_ms, now_ms)),
            service);
  const auto* findings = json::GetArray(*report, "findings");
  for (const auto& finding : findings != nullptr ? *findings : json::array()) {
    visit.findings.push_back(finding);
  }
}

Finding JudgeVersions(const std::set<std::string>& versions) {
  if (versions.size() == 1) {
    return {Level::kOk, "service.versions", "all are " + *versions.begin(), {}};
  }
  return {Level::kWarning, "service.versions",
          fmt::format("{} run side by side", fmt::join(versions, " and ")),
          "finish the upgrade or go back: docs/upgrade.md"};
}

// The certificates that the gateway serves endpoints with, by the metric that tells their end.
void JudgeCertificate(Visit& visit, const std::string& file, int64_t now_s) {
  if (file.empty()) return;
  auto end = static_cast<int64_t>(
      metrics::GetGauge("dispatch_http_server_certificate_end_seconds", "", {{"file", file}})
          .Value());
  int64_t left = end - now_s;
  std::string text = fmt::format("{} ends in {:.1f} days", file,
                                 static_cast<double>(left) / static_cast<double>(kDay));
  if (left >= kCertificateNear) {
    return visit.Add({Level::kOk, "tls.certificate", std::move(text), {}}, kSelf);
  }
  visit.Add({left < kCertificateEnds ? Level::kFailure : Level::kWarning, "tls.certificate",
             std::move(text), "replace the file: it is read again when it changes"},
            kSelf);
}

void Answer(Visit& visit, const Backend& backend, const std::string& certificate_file) {
  visit.Add(JudgeVersions(visit.versions), kSelf);
  JudgeCertificate(visit, certificate_file, ToMillis(backend.loop.Now()) / 1000);
  visit.call->SendJson(200, json::object{{"timeMs", ToMillis(backend.loop.Now())},
                                         {"services", std::move(visit.services)},
                                         {"findings", std::move(visit.findings)}});
}

void SendDoctor(const CallPtr& call, Backend& backend, const Version& version,
                const std::string& certificate_file) {
  if (!call->principal->global) {
    return call->Fail({Code::kPermissionDenied,
                       "this tells of the whole installation: use a key that may act in every "
                       "organisation, such as the first one"});
  }
  auto visit = std::make_shared<Visit>();
  visit->call = call;
  visit->began_ms = ToMillis(backend.loop.Now());
  std::string own = VersionText(version.number, version.commit);
  visit->versions.insert(own);
  visit->services.push_back(json::object{{"name", kSelf}, {"reached", true}, {"version", own}});
  const std::string services[] = {kIdentity, kEventManager, kFunctionManager};
  visit->waiting = std::size(services);
  for (const std::string& service : services) {
    backend.services.TryAsk(
        call, service, "doctor.report", json::object(), kReportTime,
        [visit, service, certificate_file, &backend](const Result<broker::RpcReply>& reply) {
          TakeReport(*visit, service, ToMillis(backend.loop.Now()), reply);
          if (--visit->waiting == 0) Answer(*visit, backend, certificate_file);
        });
  }
}

}  // namespace

void AddDoctorRoutes(Gateway& gateway, Backend& backend, const Version& version) {
  gateway.Add({"GET", "/v1/doctor", {Access::Check::kKey}, [&backend, version](CallPtr call) {
                 SendDoctor(call, backend, version, backend.endpoints_certificate);
               }});
}

}  // namespace dispatch::gateway
