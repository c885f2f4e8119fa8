#include "common/otlp/exporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/crypto.h"
#include "common/http/client.h"
#include "common/http/internal/url.h"
#include "common/http/retry_after.h"
#include "common/otlp/span_queue.h"
#include "common/private_file.h"

namespace dispatch::otlp {

namespace {

constexpr size_t kMostHeaderBytes = 16 * 1024;
constexpr std::chrono::milliseconds kTimeout{10'000};

Error Fault(std::string_view setting, std::string message) {
  return {Code::kInvalidArgument, fmt::format("{}: {}", setting, message)};
}

Result<std::string> UrlOf(std::string endpoint) {
  auto parsed = http::internal::ParseUrl(endpoint);
  if (!parsed.ok()) return Fault("otlp-endpoint", parsed.message());
  if (parsed->target.find('?') != std::string::npos) {
    return Fault("otlp-endpoint", "it must have no query: fields go into otlp-headers-file");
  }
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint + "/v1/traces";
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

bool IsFieldName(std::string_view name) {  // RFC 9110, section 5.6.2
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

Result<http::Headers> HeadersOf(const std::string& path) {
  http::Headers headers;
  headers.Add("Content-Type", "application/json");
  if (path.empty()) return headers;
  auto text = ReadPrivateFile(path, kMostHeaderBytes);
  if (!text.ok()) return Fault("otlp-headers-file", text.message());
  std::string_view rest = *text;
  for (int number = 1; !rest.empty(); ++number) {
    size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = Trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty() || line[0] == '#') continue;
    size_t colon = std::min(line.find(':'), line.size());
    std::string_view name = Trimmed(line.substr(0, colon));
    bool printable = std::all_of(line.begin(), line.end(),
                                 [](unsigned char c) { return c >= ' ' || c == '\t'; });
    // Never the line itself: it is a secret.
    if (colon == line.size() || !IsFieldName(name) || !printable) {
      return Fault("otlp-headers-file",
                   fmt::format("line {} of {} must be `name: value`", number, path));
    }
    headers.Set(std::string(name), std::string(Trimmed(line.substr(colon + 1))));
  }
  return headers;
}

http::ClientOptions ClientOptionsOf(const std::string& version) {
  http::ClientOptions options;
  options.max_connections_per_host = 1;
  options.allow_private_addresses = true;  // the operator names it
  options.user_agent = "Dispatch-OTLP-Exporter/" + version;
  return options;
}

double Random() { return static_cast<double>(crypto::RandomU64() >> 11) * 0x1.0p-53; }

}  // namespace

struct Exporter::Impl {
  Impl(EventLoop& the_loop, std::string the_url, http::Headers the_headers, const Options& options)
      : loop(the_loop),
        url(std::move(the_url)),
        headers(std::move(the_headers)),
        client(loop, ClientOptionsOf(options.version)),
        queue(loop, EnvelopeOf(options.resource, options.version),
              [this](std::string body, auto done) { Post(std::move(body), std::move(done)); },
              Random, {}),
        tracer(loop, queue) {}

  void Post(std::string body, std::function<void(SpanQueue::Answer)> done) {
    http::ClientRequest request;
    request.url = url;
    request.headers = headers;
    request.body = std::move(body);
    request.timeout = kTimeout;
    client.Send(std::move(request), [this, done = std::move(done)](http::Client::Outcome outcome) {
      SpanQueue::Answer answer;
      answer.status = outcome.response.status;
      answer.failure = std::move(outcome.message);
      answer.body = std::move(outcome.response.body);
      if (outcome.failure != http::FailureKind::kNone) answer.status = 0;
      if (auto field = outcome.response.headers.Get("Retry-After")) {
        answer.retry_after = http::ParseRetryAfter(*field, ToMillis(loop.Now()) / 1000);
      }
      done(std::move(answer));
    });
  }

  EventLoop& loop;
  std::string url;
  http::Headers headers;
  http::Client client;
  SpanQueue queue;
  Tracer tracer;
};

Result<std::unique_ptr<Exporter>> Exporter::Make(EventLoop& loop, const Options& options) {
  ASSIGN_OR_RETURN(std::string url, UrlOf(options.endpoint));
  ASSIGN_OR_RETURN(http::Headers headers, HeadersOf(options.headers_file));
  auto impl = std::make_unique<Impl>(loop, std::move(url), std::move(headers), options);
  return std::unique_ptr<Exporter>(new Exporter(std::move(impl)));
}

Exporter::Exporter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Exporter::~Exporter() = default;

const Tracer& Exporter::tracer() const { return impl_->tracer; }

void Exporter::Flush(SteadyTime deadline, std::function<void()> done) {
  impl_->queue.Flush(deadline, std::move(done));
}

}  // namespace dispatch::otlp
