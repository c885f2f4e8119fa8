#include "common/container/engine.h"

#include <fmt/format.h>

#include "common/container/registry_auth.h"
#include "common/container/spec.h"

namespace dispatch::container {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kCall{30'000};
constexpr milliseconds kPull{300'000};  // from each sign of progress to the next
constexpr milliseconds kForever{std::chrono::hours(24)};
constexpr size_t kMostAnswerBytes = 8 * 1024 * 1024;
constexpr size_t kMostLine = 64 * 1024;

http::ClientOptions OptionsFor(const std::string& socket) {
  http::ClientOptions options;
  options.dial = [socket] { return http::DialUnix(socket); };
  return options;
}

std::string Escape(std::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return out;
}

Error ErrorOf(const http::ClientResponse& response) {
  auto body = json::ParseObject(response.body);
  std::string message = body.ok() ? json::GetString(*body, "message") : "";
  Code code = response.status == 404   ? Code::kNotFound
              : response.status == 400 ? Code::kUnprocessable
                                       : Code::kUnavailable;
  return {code, fmt::format("the container engine answered {}: {}", response.status,
                            message.empty() ? "no reason given" : message)};
}

struct AttachedOutput : Output {
  AttachedOutput(EventLoop& loop, const std::string& socket) : client(loop, OptionsFor(socket)) {}

  http::Client client;
};

Listed ReadListed(const json::object& one) {
  Listed listed{.id = json::GetString(one, "Id"), .labels = {}};
  if (const auto* labels = json::GetObject(one, "Labels")) {
    for (const auto& [name, value] : *labels) {
      if (value.is_string()) listed.labels[name] = value.as_string();
    }
  }
  return listed;
}

}  // namespace

Engine::Engine(EventLoop& loop, const std::string& socket, std::string registry_file)
    : loop_(loop),
      socket_(socket),
      registry_file_(std::move(registry_file)),
      client_(loop, OptionsFor(socket)) {}

void Engine::Call(const std::string& method, const std::string& path, const json::object* body,
                  milliseconds timeout, Done<json::value> done) {
  http::ClientRequest request;
  request.method = method;
  request.url = Url(path);
  request.timeout = timeout;
  request.max_response_bytes = kMostAnswerBytes;
  if (body != nullptr) {
    request.body = json::Serialize(*body);
    request.headers.Add("Content-Type", "application/json");
  }
  client_.Send(std::move(request), [this, done](const http::Client::Outcome& outcome) {
    if (outcome.failure != http::FailureKind::kNone) {
      return done(Error{Code::kUnavailable, fmt::format("the container engine at {} does not "
                                                        "answer: {}",
                                                        socket_, outcome.message)});
    }
    const http::ClientResponse& response = outcome.response;
    if (response.status >= 300 && response.status != 304) return done(ErrorOf(response));
    if (response.body.empty()) return done(json::value());
    auto parsed = json::Parse(response.body);
    if (!parsed.ok()) {
      return done(Error{Code::kUnavailable,
                        "the container engine's answer is no JSON: " + parsed.message()});
    }
    done(std::move(*parsed));
  });
}

void Engine::Connect(Done<std::string> done) {
  prefix_.clear();
  Call("GET", "/version", nullptr, kCall, [this, done](Result<json::value> answer) {
    if (!answer.ok()) return done(answer.error());
    const auto* version = answer->if_object();
    std::string api = version != nullptr ? json::GetString(*version, "ApiVersion") : "";
    if (api.empty() || api.find_first_not_of("0123456789.") != std::string::npos) {
      return done(Error{
          Code::kUnavailable,
          fmt::format("what answers at {} is no container engine with Docker's API", socket_)});
    }
    prefix_ = "/v" + api;
    done(fmt::format("{} API {}", json::GetString(*version, "Version"), api));
  });
}

void Engine::List(const std::string& label, Done<std::vector<Listed>> done) {
  std::string filters = json::Serialize(json::object{{"label", json::array{label}}});
  Call("GET", "/containers/json?all=true&filters=" + Escape(filters), nullptr, kCall,
       [done](Result<json::value> answer) {
         if (!answer.ok()) return done(answer.error());
         std::vector<Listed> found;
         const auto* list = answer->if_array();
         for (const auto& one : list != nullptr ? *list : json::array()) {
           if (one.is_object()) found.push_back(ReadListed(one.as_object()));
         }
         done(std::move(found));
       });
}

void Engine::Image(const std::string& reference, Done<std::string> done) {
  if (Status good = CheckImageReference(reference); !good.ok()) return done(good.error());
  Call("GET", "/images/" + reference + "/json", nullptr, kCall,
       [this, reference, done](Result<json::value> answer) {
         if (answer.code() == Code::kNotFound) return Pull(reference, done);
         if (!answer.ok()) return done(answer.error());
         const auto* image = answer->if_object();
         const auto* digests = image != nullptr ? json::GetArray(*image, "RepoDigests") : nullptr;
         std::string exact = image != nullptr ? json::GetString(*image, "Id") : "";
         if (digests != nullptr && !digests->empty() && digests->front().is_string()) {
           exact = std::string(digests->front().as_string());
         }
         if (!CheckImageReference(exact).ok()) {
           return done(Error{Code::kUnavailable, "the container engine names no image"});
         }
         done(std::move(exact));
       });
}

// The engine tells progress line by line, errors too: the status was 200 before it knew.
void Engine::Pull(const std::string& reference, Done<std::string> done) {
  struct Progress {
    std::string line;
    std::string error;
  };
  auto progress = std::make_shared<Progress>();
  auto read = [progress] {
    auto told = json::ParseObject(progress->line);
    if (told.ok() && told->contains("error")) progress->error = json::GetString(*told, "error");
    progress->line.clear();
  };
  std::string name = reference;
  bool tagged = reference.find('@') != std::string::npos ||
                reference.find(':', reference.rfind('/') + 1) != std::string::npos;
  if (!tagged) name += ":latest";  // without one, the engine would pull them all
  auto refused = [reference, done](const std::string& why) {
    done(Error{Code::kUnprocessable,
               fmt::format("the image {} cannot be pulled: {}", reference, why)});
  };
  auto credentials = RegistryAuthOfFile(registry_file_, reference);
  if (!credentials.ok()) return refused(credentials.message());
  http::ClientRequest request;
  if (!credentials->empty()) request.headers.Add("X-Registry-Auth", *credentials);
  request.url = Url("/images/create?fromImage=" + Escape(name));
  request.timeout = kPull;
  request.on_piece = [progress, read](std::string_view piece) {
    for (char c : piece) {
      if (c == '\n') {
        read();
      } else if (progress->line.size() < kMostLine) {
        progress->line += c;
      }
    }
    return true;
  };
  client_.Send(std::move(request), [this, reference, progress, read, refused,
                                    done](const http::Client::Outcome& outcome) {
    read();
    bool answered = outcome.failure == http::FailureKind::kNone;
    std::string why = !answered ? outcome.message : progress->error;
    if (answered && outcome.response.status != 200) why = ErrorOf(outcome.response).message;
    if (!why.empty()) return refused(why);
    Call("GET", "/images/" + reference + "/json", nullptr, kCall,
         [this, reference, done](const Result<json::value>& there) {
           if (!there.ok()) return done(there.error());
           Image(reference, done);
         });
  });
}

void Engine::Create(const json::object& spec, Done<std::string> done) {
  Call("POST", "/containers/create", &spec, kCall, [done](Result<json::value> answer) {
    if (!answer.ok()) return done(answer.error());
    std::string id = answer->is_object() ? json::GetString(answer->as_object(), "Id") : "";
    if (id.empty()) return done(Error{Code::kUnavailable, "the container engine gives no id"});
    done(std::move(id));
  });
}

void Engine::Start(const std::string& id, Told done) {
  Call("POST", "/containers/" + id + "/start", nullptr, kCall,
       [done](const Result<json::value>& answer) { done(answer.status()); });
}

void Engine::Inspect(const std::string& id, Done<State> done) {
  Call("GET", "/containers/" + id + "/json", nullptr, kCall, [done](Result<json::value> answer) {
    if (!answer.ok()) return done(answer.error());
    const auto* container = answer->if_object();
    const auto* state = container != nullptr ? json::GetObject(*container, "State") : nullptr;
    if (state == nullptr) {
      return done(Error{Code::kUnavailable, "the container engine tells no state"});
    }
    done(State{.running = json::GetBool(*state, "Running"),
               .out_of_memory = json::GetBool(*state, "OOMKilled"),
               .exit_code = json::GetInt(*state, "ExitCode"),
               .pid = static_cast<pid_t>(json::GetInt(*state, "Pid"))});
  });
}

void Engine::Wait(const std::string& id, Told done) {
  Call("POST", "/containers/" + id + "/wait", nullptr, kForever,
       [done](const Result<json::value>& answer) { done(answer.status()); });
}

std::unique_ptr<Output> Engine::Attach(const std::string& id,
                                       std::function<bool(std::string_view)> piece,
                                       std::function<void()> ended) {
  // With a client of its own: an engine may tell nothing of a container that never started and is
  // gone, and what is not read on any more must not stay open.
  auto output = std::make_unique<AttachedOutput>(loop_, socket_);
  http::ClientRequest request;
  request.url = Url("/containers/" + id + "/attach?stream=1&stdout=1&stderr=1");
  request.timeout = kForever;
  request.on_piece = std::move(piece);
  output->client.Send(std::move(request),
                      [ended = std::move(ended)](const http::Client::Outcome&) { ended(); });
  return output;
}

void Engine::Remove(const std::string& id, Told done) {
  Call("DELETE", "/containers/" + id + "?force=true&v=true", nullptr, kCall,
       [done](const Result<json::value>& answer) {
         bool gone = answer.ok() || answer.code() == Code::kNotFound;
         done(gone ? OkStatus() : answer.status());
       });
}

}  // namespace dispatch::container
