#include "api-gateway/src/domain/ui_site.h"

#include <fmt/format.h>

namespace dispatch::gateway {

namespace {

constexpr std::string_view kRoot = "/ui";
// Nothing but this origin's files, and its API; nobody may frame it or send forms from it.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

void Guard(http::Headers& headers) {
  headers.Set("Content-Security-Policy", kPolicy);
  headers.Set("X-Content-Type-Options", "nosniff");
  headers.Set("Referrer-Policy", "no-referrer");
  headers.Set("Cross-Origin-Opener-Policy", "same-origin");
  headers.Set("Cross-Origin-Resource-Policy", "same-origin");
}

http::Response Refusal(int status, std::string text) {
  auto response = http::Response::Text(status, std::move(text));
  response.headers.Set("Cache-Control", "no-store");
  return response;
}

// "gzip" among the codings, and not as gzip;q=0 (RFC 9110, section 12.5.3).
bool TakesGzip(const http::Request& request) {
  std::string_view codings = request.headers.Get("Accept-Encoding").value_or("");
  size_t at = codings.find("gzip");
  if (at == std::string_view::npos) return false;
  std::string_view rest = codings.substr(at + 4, codings.substr(at).find(',') - 4);
  return rest.find("q=0") == std::string_view::npos || rest.find("q=0.") != std::string_view::npos;
}

// If-None-Match names it, weakly or not, or says "*".
bool IsKnown(const http::Request& request, std::string_view etag) {
  auto known = request.headers.Get("If-None-Match");
  return known && (*known == "*" || known->find(etag) != std::string_view::npos);
}

}  // namespace

UiSite::UiSite(std::vector<UiFile> files) {
  for (const UiFile& file : files) files_.emplace(file.path, file);
}

bool UiSite::Has(std::string_view path) {
  return path.starts_with(kRoot) && (path.size() == kRoot.size() || path[kRoot.size()] == '/');
}

void UiSite::Handle(const http::Request& request, http::ResponseWriter& writer) const {
  auto response = Answer(request);
  Guard(response.headers);
  writer.Send(std::move(response));
}

http::Response UiSite::Answer(const http::Request& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    auto response = Refusal(405, "the dashboard is only read: use GET\n");
    response.headers.Add("Allow", "GET, HEAD");
    return response;
  }
  if (files_.empty()) {
    return Refusal(404, "this api-gateway was built without the dashboard (DISPATCH_UI=OFF)\n");
  }
  std::string_view path = request.path;
  while (path.size() > kRoot.size() && path.ends_with('/')) path.remove_suffix(1);
  auto found = files_.find(path);
  if (found == files_.end()) {
    return Refusal(404, fmt::format("there is no {}: the dashboard is at {}\n", path, kRoot));
  }
  const UiFile& file = found->second;
  http::Response response;
  response.headers.Add("ETag", std::string(file.etag));
  response.headers.Add("Cache-Control",
                       file.hashed ? "public, max-age=31536000, immutable" : "no-cache");
  response.headers.Add("Vary", "Accept-Encoding");
  if (IsKnown(request, file.etag)) {
    response.status = 304;
    return response;
  }
  response.headers.Add("Content-Type", std::string(file.content_type));
  bool gzip = TakesGzip(request);
  if (gzip) response.headers.Add("Content-Encoding", "gzip");
  response.body = std::string(gzip ? file.gzip : file.plain);
  return response;
}

}  // namespace dispatch::gateway
