#include <fmt/format.h>

#include <ostream>

#include "cli/src/command.h"
#include "common/finding.h"
#include "common/version.h"

namespace dispatch::cli {

namespace {

using Level = Finding::Level;

constexpr char kSelf[] = "command line";
constexpr int kWarnings = 1;
constexpr int kFailures = 2;

int ExitCode(const json::array& findings) {
  int code = 0;
  for (const auto& element : findings) {
    const auto* finding = element.if_object();
    if (finding == nullptr) continue;
    std::string level = json::GetString(*finding, "level");
    code = std::max(code, level == "failure" ? kFailures : level == "warning" ? kWarnings : 0);
  }
  return code;
}

// The bad ones first, each with its remedy; good ones are counted, or with `all` shown.
std::string Text(const json::array& findings, bool all) {
  std::string text;
  size_t counts[3] = {0, 0, 0};
  const char* const levels[] = {"failure", "warning", "ok"};
  const char* const marks[] = {"FAILURE", "WARNING", "ok     "};
  for (size_t i = 0; i < std::size(levels); ++i) {
    for (const auto& element : findings) {
      const auto* finding = element.if_object();
      if (finding == nullptr || json::GetString(*finding, "level") != levels[i]) continue;
      ++counts[i];
      if (i == 2 && !all) continue;
      text +=
          fmt::format("{}  {}  {}: {}\n", marks[i], Printable(json::GetString(*finding, "service")),
                      Printable(json::GetString(*finding, "check")),
                      Printable(json::GetString(*finding, "text")));
      std::string remedy = json::GetString(*finding, "remedy");
      if (!remedy.empty()) text += fmt::format("         -> {}\n", Printable(remedy));
    }
  }
  return text + fmt::format("{} failures, {} warnings, {} checks are good\n", counts[0], counts[1],
                            counts[2]);
}

Finding JudgeVersion(const json::object& report) {
  std::string own = BuildText();
  const auto* services = json::GetArray(report, "services");
  for (const auto& element : services != nullptr ? *services : json::array()) {
    const auto* service = element.if_object();
    if (service == nullptr || json::GetString(*service, "name") != "api-gateway") continue;
    std::string theirs = json::GetString(*service, "version");
    if (theirs == own) break;
    return {Level::kWarning, "cli.version",
            fmt::format("this command is {}, the gateway {}", own, theirs),
            "install the same version: newer verbs may be missing on either side"};
  }
  return {Level::kOk, "cli.version", "that of the gateway", {}};
}

class DoctorCommand : public Command {
 public:
  DoctorCommand() {
    info_.name = "doctor";
    info_.usage = "[FLAGS]";
    info_.summary = "what is wrong or risky with the installation, and what to do";
    info_.text =
        "Asks each service by way of the gateway and Kafka, and each looks at itself: whether all\n"
        "answer, in the same version and at the same time; settings of Kafka that risk events\n"
        "(copies, min.insync.replicas, unclean elections, retention, sizes, auto-create) and "
        "those\n"
        "of PostgreSQL (durability, connections, migrations, old transactions); groups without\n"
        "members, partitions without leaders, subscriptions in need, certificates, disks.\n"
        "The key must be one that may act in every organization.\n\n"
        "Exit code: 0 all is well, 1 there are warnings, 2 there are failures, also when the\n"
        "gateway cannot be asked.\n";
    info_.flags = {{.name = "all", .help = "show also what is good"}};
    info_.examples = {"dispatch doctor", "dispatch doctor --all", "dispatch doctor -o json"};
  }

  const CommandInfo& info() const override { return info_; }

  Status Run(Invocation& invocation) const override {
    RETURN_IF_ERROR(CheckCount(invocation.arguments, 0, 0, ""));
    ASSIGN_OR_RETURN(Api * api, invocation.api());
    auto now = [] { return ToMillis(SystemClock().Now()); };
    int64_t before = now();
    auto answer = CallJson(*api, "GET", "/v1/doctor");
    int64_t after = now();
    json::object report;
    auto add = [&report](const Finding& finding) {
      report["findings"].as_array().push_back(FindingForm(finding, kSelf));
    };
    if (answer.ok() && answer->is_object() && answer->get_object().contains("findings")) {
      report = std::move(answer->get_object());
      add({Level::kOk, "gateway.reached", "answers", {}});
      add(JudgeClocks("cli.clock", "the clock of the gateway",
                      ClockSkew(json::GetInt(report, "timeMs"), before, after)));
      add(JudgeVersion(report));
    } else {
      report = {{"services", json::array()}, {"findings", json::array()}};
      add({Level::kFailure, "gateway.reached",
           answer.ok() ? "the gateway's answer is none" : answer.message(),
           "without the gateway nothing else can be asked"});
    }
    const json::array& findings = report["findings"].as_array();
    invocation.exit_code = ExitCode(findings);
    bool all = invocation.arguments.Has("all");
    invocation.Print(report, [&] { return Text(findings, all); });
    return OkStatus();
  }

 private:
  CommandInfo info_;
};

}  // namespace

CommandPtr MakeDoctor() { return std::make_unique<DoctorCommand>(); }

}  // namespace dispatch::cli
