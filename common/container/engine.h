#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "common/json.h"
#include "common/result.h"

namespace dispatch::container {

/// How a container stands.
struct State {
  bool running = false;
  bool out_of_memory = false;  // the kernel ended a process of it because the memory was used up
  int64_t exit_code = 0;
  pid_t pid = 0;  // of its first process, as this machine numbers it
};

/// A container of a list.
struct Listed {
  std::string id;
  std::map<std::string, std::string> labels;
};

/// A container's output that is being read. Not to be destroyed inside its own callbacks.
class Output {
 public:
  virtual ~Output() = default;
};

/// An OCI engine (docker, podman) by Docker's API on a socket of this machine; any version that
/// says which it speaks. Errors: kNotFound, kUnprocessable for what the engine calls a bad request,
/// else kUnavailable, with the engine's words. Lives on the loop; after its end nothing is called
/// back.
class Engine {
 public:
  template <typename T>
  using Done = std::function<void(Result<T>)>;
  using Told = std::function<void(Status)>;

  /// `registry_file` has the credentials of registries that images are pulled from, as
  /// RegistryAuthOfFile reads it at each pull.
  Engine(EventLoop& loop, const std::string& socket, std::string registry_file);

  /// Says what it is ("docker 20.10.24, API 1.41"); before anything else.
  void Connect(Done<std::string> done);
  /// The containers that have a label (`name=value`, or `name` whatever its value), whatever they
  /// do.
  void List(const std::string& label, Done<std::vector<Listed>> done);
  /// Pulls an image that is not there, and says what names exactly this one: name@sha256:... for
  /// what came from a registry, else its id.
  void Image(const std::string& reference, Done<std::string> done);
  /// Its id.
  void Create(const json::object& spec, Done<std::string> done);
  void Start(const std::string& id, Told done);
  void Inspect(const std::string& id, Done<State> done);
  /// When it ended.
  void Wait(const std::string& id, Told done);
  /// Its output from now on, in the form that LogFrames reads, until `piece` says false, it ends,
  /// or the object does.
  std::unique_ptr<Output> Attach(const std::string& id, std::function<bool(std::string_view)> piece,
                                 std::function<void()> ended);
  /// Ends it and takes it away; one that is not there is OK.
  void Remove(const std::string& id, Told done);

 private:
  void Call(const std::string& method, const std::string& path, const json::object* body,
            std::chrono::milliseconds timeout, Done<json::value> done);
  void Pull(const std::string& reference, Done<std::string> done);
  std::string Url(const std::string& path) const { return "http://engine" + prefix_ + path; }

  EventLoop& loop_;
  const std::string socket_;
  const std::string registry_file_;
  std::string prefix_;
  http::Client client_;
};

}  // namespace dispatch::container
