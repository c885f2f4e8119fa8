#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "cli/src/program.h"

namespace dispatch::cli::testing {

/// A directory of its own, made-up variables, and an API that answers what it was told to.
class FakeMachine {
 public:
  FakeMachine() {
    std::string name = ::testing::TempDir() + "cli-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    directory = name;
    variables["HOME"] = directory / "home";
    std::filesystem::create_directories(directory / "home");
    std::filesystem::create_directories(directory / "work" / "deep");
  }
  ~FakeMachine() { std::filesystem::remove_all(directory); }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  Environment environment() const {
    Environment environment;
    environment.get = [this](const std::string& name) -> std::optional<std::string> {
      auto it = variables.find(name);
      return it == variables.end() ? std::nullopt : std::optional(it->second);
    };
    environment.directory = directory / "work" / "deep";
    environment.executable = directory / "bin" / "dispatch";
    environment.now = FromMillis(1'800'000'000'000);
    environment.terminal = terminal;
    environment.piped = [this] { return piped; };
    environment.edit = [this](const std::string& editor, const std::filesystem::path& file) {
      editors.push_back(editor);
      return edit ? edit(file) : 0;
    };
    environment.fetch = [this](const std::string& url) -> Result<std::string> {
      auto it = pages.find(url);
      if (it != pages.end()) return it->second;
      return Error{Code::kNotFound, "cannot read " + url};
    };
    environment.sleep = [this](Duration time) { slept.push_back(time); };
    return environment;
  }

  void Write(const std::filesystem::path& relative, std::string_view text) const {
    std::filesystem::create_directories((directory / relative).parent_path());
    std::ofstream(directory / relative) << text;
  }

  /// What the API answers to the next requests, in order; 200 {} when there is none left.
  void Answer(int status, std::string body) { answers.push_back({status, {}, std::move(body)}); }

  /// What a stream brings, in pieces, and how it ends; answered in their order to those who follow.
  /// None left: a 404.
  struct StreamPart {
    std::vector<std::string> pieces;
    Status end;
  };

  /// Runs the program; its output is in `out` and `err` after it.
  int Run(std::vector<std::string> words) {
    std::ostringstream o, e;
    int code = Main(std::move(words), environment(), o, e, [this](const Connection& c) {
      connection = c;
      return std::make_unique<Fake>(*this);
    });
    out = o.str();
    err = e.str();
    return code;
  }

  std::filesystem::path directory;
  std::map<std::string, std::string> variables;
  std::map<std::string, std::string> pages;  // by URL
  std::vector<ApiAnswer> answers;
  std::vector<StreamPart> streams;
  mutable std::vector<Duration> slept;
  bool terminal = false;
  std::optional<std::string> piped;  // on standard input
  std::function<int(const std::filesystem::path&)> edit;
  mutable std::vector<std::string> editors;
  std::vector<ApiRequest> requests;
  Connection connection;  // that was connected to last
  std::string out;
  std::string err;

 private:
  struct Fake : Api {
    explicit Fake(FakeMachine& m) : machine(m) {}
    Result<ApiAnswer> Send(const ApiRequest& request) override {
      machine.requests.push_back(request);
      if (machine.answers.empty()) return ApiAnswer{200, {}, "{}"};
      ApiAnswer answer = machine.answers.front();
      machine.answers.erase(machine.answers.begin());
      if (answer.status >= 300) return ErrorOf(answer);
      return answer;
    }
    Status Follow(const ApiRequest& request,
                  const std::function<bool(std::string_view)>& take) override {
      machine.requests.push_back(request);
      if (machine.streams.empty()) return ErrorOf({404, {}, R"({"message": "no such topic"})"});
      StreamPart part = machine.streams.front();
      machine.streams.erase(machine.streams.begin());
      for (const auto& piece : part.pieces) {
        if (!take(piece)) return {};
      }
      return part.end;
    }
    FakeMachine& machine;
  };
};

}  // namespace dispatch::cli::testing
