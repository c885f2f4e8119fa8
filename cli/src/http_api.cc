#include "cli/src/http_api.h"

#include <fmt/format.h>

#include <optional>

#include "common/event_loop.h"
#include "common/http/client.h"
#include "common/version.h"

namespace dispatch::cli {

namespace {

constexpr Duration kForever = std::chrono::hours(24 * 365);
constexpr size_t kMaxAnswer = 256 * 1024 * 1024;
constexpr size_t kMaxFetched = 16 * 1024 * 1024;

std::string UserAgent() { return fmt::format("dispatch-cli/{}", BuildVersion()); }

class HttpApi : public Api {
 public:
  explicit HttpApi(Connection connection)
      : connection_(std::move(connection)), client_(loop_, Options(connection_)) {}

  Result<ApiAnswer> Send(const ApiRequest& request) override {
    http::ClientRequest out = ToHttp(request);
    out.headers.Set("Accept", "application/json");
    out.max_response_bytes = kMaxAnswer;
    return Exchange(std::move(out), 2 * request.timeout);
  }

  Status Follow(const ApiRequest& request,
                const std::function<bool(std::string_view)>& take) override {
    http::ClientRequest out = ToHttp(request);
    out.headers.Set("Accept", "text/event-stream");
    out.on_piece = take;
    RETURN_IF_ERROR(Exchange(std::move(out), kForever));
    return {};
  }

 private:
  http::ClientRequest ToHttp(const ApiRequest& request) const {
    http::ClientRequest out;
    out.method = request.method;
    out.url = connection_.Url() + request.path;
    char separator = '?';
    for (const auto& [name, value] : request.query) {
      out.url += fmt::format("{}{}={}", separator, PercentEncode(name), PercentEncode(value));
      separator = '&';
    }
    out.headers = request.headers;
    if (!connection_.token.empty()) {
      out.headers.Set("Authorization", "Bearer " + connection_.token);
    }
    if (!connection_.organization.empty() && !out.headers.Has("X-Dispatch-Org")) {
      out.headers.Set("X-Dispatch-Org", connection_.organization);
    }
    if (!connection_.project.empty()) {
      out.headers.Set("X-Dispatch-Project", connection_.project);
    }
    out.body = request.body;
    out.timeout = request.timeout;
    return out;
  }

  Result<ApiAnswer> Exchange(http::ClientRequest request, Duration limit) {
    auto outcome = std::make_shared<std::optional<http::Client::Outcome>>();
    client_.Send(std::move(request),
                 [outcome](http::Client::Outcome got) { *outcome = std::move(got); });
    loop_.RunUntil([&] { return outcome->has_value(); }, limit);
    auto& got = *outcome;
    if (!got || got->failure != http::FailureKind::kNone) {
      return Unreachable(got ? got->message : "no answer");
    }
    ApiAnswer answer{got->response.status, std::move(got->response.headers),
                     std::move(got->response.body)};
    if (answer.status >= 300) return ErrorOf(answer);
    return answer;
  }

  static http::ClientOptions Options(const Connection& connection) {
    http::ClientOptions options;
    options.allow_private_addresses = true;
    options.verify_tls = !connection.insecure;
    options.user_agent = UserAgent();
    return options;
  }

  Error Unreachable(const std::string& why) const {
    return {
        Code::kUnavailable,
        fmt::format("cannot reach {} ({}): {}\nis it running? `dispatch up` starts a local one, "
                    "`dispatch context show` tells what is set",
                    connection_.Url(), connection_.origin, why),
        true};
  }

  Connection connection_;
  EventLoop loop_;
  http::Client client_;
};

}  // namespace

Result<std::string> Fetch(const std::string& url) {
  EventLoop loop;
  http::ClientOptions options;
  options.allow_private_addresses = true;
  options.user_agent = UserAgent();
  http::Client client(loop, options);
  http::ClientRequest request;
  request.method = "GET";
  request.url = url;
  request.max_response_bytes = kMaxFetched;
  auto outcome = std::make_shared<std::optional<http::Client::Outcome>>();
  client.Send(std::move(request),
              [outcome](http::Client::Outcome got) { *outcome = std::move(got); });
  loop.RunUntil([&] { return outcome->has_value(); }, kForever);
  auto& got = *outcome;
  bool answered = got && got->failure == http::FailureKind::kNone;
  std::string why = !answered ? (got ? got->message : "no answer")
                    : got->response.status != 200
                        ? fmt::format("it answered {}", got->response.status)
                    : got->response.truncated ? "it is more than 16 MB"
                                              : "";
  if (why.empty()) return std::move(got->response.body);
  return Error{Code::kNotFound, fmt::format("cannot read {}: {}", url, why)};
}

std::unique_ptr<Api> ConnectApi(Connection connection) {
  return std::make_unique<HttpApi>(std::move(connection));
}

}  // namespace dispatch::cli
