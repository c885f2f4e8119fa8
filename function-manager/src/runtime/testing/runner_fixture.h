#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "common/event_loop.h"
#include "function-manager/src/runtime/process_runner.h"

namespace dispatch::runtime {

using namespace std::chrono_literals;

/// A real runner with real workers in real sandboxes; sources are written to a directory of the
/// test.
class RunnerFixture : public testing::Test {
 protected:
  RunnerFixture();
  ~RunnerFixture() override {
    runner_.reset();
    std::filesystem::remove_all(directory_);
  }

  ProcessRunner& runner() {
    if (!runner_) {
      runner_ = std::make_unique<ProcessRunner>(loop_, options_);
      EXPECT_TRUE(runner_->Usable().ok()) << runner_->Usable().message();
    }
    return *runner_;
  }

  /// A version of one source file.
  std::shared_ptr<FunctionVersion> Make(const std::string& language, const std::string& file,
                                        const std::string& text, const std::string& handler = "") {
    auto version = std::make_shared<FunctionVersion>();
    version->id = Uuid::Random();
    version->org = "dispatch";
    version->name = "f";
    version->language = language;
    version->handler = handler;
    version->source = directory_ + "/" + version->id.ToString();
    std::filesystem::create_directory(version->source);
    Write(version->source + "/" + file, text);
    return version;
  }
  std::shared_ptr<FunctionVersion> Python(const std::string& text) {
    return Make("python3", "f.py", text, "f.handle");
  }
  std::shared_ptr<FunctionVersion> Node(const std::string& text) {
    return Make("nodejs", "f.js", text, "./f.js");
  }
  static void Write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
    std::filesystem::permissions(path, std::filesystem::perms(0755));
  }

  Status Prove(const Runner::VersionPtr& version) {
    std::optional<Status> result;
    runner().Prove(version, [&](Status status) { result = std::move(status); });
    EXPECT_FALSE(result.has_value()) << "called back inside the call";
    EXPECT_TRUE(loop_.RunUntil([&] { return result.has_value(); }, 40s));
    return result.value_or(Status(Code::kInternal, "no answer"));
  }
  /// A run whose outcome comes later.
  std::shared_ptr<std::optional<RunOutcome>> Begin(const Runner::VersionPtr& version,
                                                   json::value payload = nullptr,
                                                   std::chrono::milliseconds timeout = 30s) {
    auto outcome = std::make_shared<std::optional<RunOutcome>>();
    runner().Run(version, RunInput{{}, std::move(payload), timeout}, [outcome](RunOutcome o) {
      EXPECT_FALSE(outcome->has_value()) << "answered twice";
      *outcome = std::move(o);
    });
    EXPECT_FALSE(outcome->has_value()) << "called back inside the call";
    return outcome;
  }
  RunOutcome Await(const std::shared_ptr<std::optional<RunOutcome>>& outcome) {
    EXPECT_TRUE(loop_.RunUntil([&] { return outcome->has_value(); }, 60s));
    return outcome->value_or(RunOutcome{});
  }
  RunOutcome Run(const Runner::VersionPtr& version, json::value payload = nullptr,
                 std::chrono::milliseconds timeout = 30s) {
    return Await(Begin(version, std::move(payload), timeout));
  }
  /// "InputError: message", or "" for none.
  static std::string Failure(const RunOutcome& outcome) {
    return outcome.error ? outcome.error->type + ": " + outcome.error->message : "";
  }

  /// Processes of this test's sandboxes: inside as their user, outside as bwrap with its sources.
  int Processes() const {
    int count = 0;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      std::string path = entry.path();
      if (path.find_first_not_of("0123456789", 6) != std::string::npos) continue;
      std::stringstream text;
      text << std::ifstream(path + "/cmdline").rdbuf();
      struct stat status{};
      stat(path.c_str(), &status);
      count += Inside(path, status.st_uid) || text.str().find(directory_) != std::string::npos;
    }
    return count;
  }
  bool Inside(const std::string& process, uid_t user) const {
    if (geteuid() == 0) return user >= options_.first_uid && user < options_.first_uid + 64;
    // Then all have the same user, and are known by having another number inside.
    if (user != geteuid()) return false;
    std::ifstream file(process + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("NSpid:")) return std::count(line.begin(), line.end(), '\t') > 1;
    }
    return false;
  }
  static int OpenFiles() {
    auto files = std::filesystem::directory_iterator("/proc/self/fd");
    return static_cast<int>(std::distance(begin(files), end(files)));
  }
  /// Lets the loop run until `done` holds.
  bool Until(const std::function<bool()>& done) {
    for (int i = 0; i < 2000 && !done(); ++i) (void)loop_.RunUntil([] { return false; }, 5ms);
    return done();
  }

  EventLoop loop_;
  ProcessRunnerOptions options_;
  std::string directory_;
  std::unique_ptr<ProcessRunner> runner_;
};

}  // namespace dispatch::runtime
