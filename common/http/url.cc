#include "common/http/internal/url.h"

#include <fmt/format.h>

#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>

namespace dispatch::http::internal {

Result<Url> ParseUrl(std::string_view text) {
  auto bad = [&](std::string_view why) {
    return Result<Url>(Code::kInvalidArgument,
                       fmt::format("'{}' is no URL to send to: {}", text.substr(0, 200), why));
  };
  auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed) return bad(parsed.error().message());
  const boost::urls::url_view& view = *parsed;
  Url url;
  if (view.scheme_id() == boost::urls::scheme::https) {
    url.tls = true;
  } else if (view.scheme_id() != boost::urls::scheme::http) {
    return bad("the scheme must be http or https");
  }
  if (view.has_userinfo()) return bad("it must not hold a user name or password");
  if (view.host_type() == boost::urls::host_type::ipvfuture) return bad("unknown form of address");
  std::string_view written(view.encoded_host().data(), view.encoded_host().size());
  if (written.empty()) return bad("the host is missing");
  url.host = view.host_type() == boost::urls::host_type::ipv6 ? view.host_address() : view.host();
  for (char& c : url.host) {
    auto u = static_cast<unsigned char>(c);
    // A decoded %00 or %0a would make two names of one.
    if (u <= ' ' || u >= 0x7f || c == '/' || c == '%') return bad("the host is malformed");
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  uint16_t standard = url.tls ? 443 : 80;
  url.port = standard;
  if (view.has_port() && !view.port().empty()) {
    std::string_view digits(view.port().data(), view.port().size());
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
    if (error != std::errc() || url.port == 0) return bad("the port is malformed");
  }
  url.authority = written;
  if (url.port != standard) url.authority += fmt::format(":{}", url.port);
  auto path = view.encoded_path();
  url.target = path.empty() ? "/" : std::string(path.data(), path.size());
  if (view.has_query()) {
    auto query = view.encoded_query();
    url.target += '?';
    url.target.append(query.data(), query.size());
  }
  for (auto [key, version] : {std::pair(&url.key1, '1'), std::pair(&url.key2, '2')}) {
    *key = fmt::format("{}{}{}:{}", url.tls ? 's' : 'p', version, url.host, url.port);
  }
  return url;
}

}  // namespace dispatch::http::internal
