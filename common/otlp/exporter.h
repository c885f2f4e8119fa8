#pragma once

#include <memory>
#include <string>

#include "common/event_loop.h"
#include "common/otlp/encoding.h"
#include "common/result.h"
#include "common/span.h"

namespace dispatch::otlp {

/// Exports the spans of a service to a collector by OTLP over HTTP, in JSON: a tracer, the queue
/// behind it and the client that posts. Lives on one loop.
class Exporter {
 public:
  struct Options {
    std::string endpoint;      // http:// or https://; /v1/traces is added
    std::string headers_file;  // empty: none
    Resource resource;
    std::string version;
  };

  /// kInvalidArgument, naming the setting, for an endpoint that is no URL and a file that is none
  /// of header fields, or that others may read.
  static Result<std::unique_ptr<Exporter>> Make(EventLoop& loop, const Options& options);
  ~Exporter();

  const Tracer& tracer() const;
  /// Sends what there is, until the deadline at most. The last that is asked of it.
  void Flush(SteadyTime deadline, std::function<void()> done);

 private:
  struct Impl;
  explicit Exporter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dispatch::otlp
