#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/http/server.h"

namespace dispatch::gateway {

/// A file of the dashboard, inside the program. Views of static data.
struct UiFile {
  std::string_view path;  // "/ui" is the page, "/ui/assets/index-<hash>.js" what it asks for
  std::string_view content_type;
  std::string_view etag;  // of the content, with its quotes
  bool hashed = false;    // the path changes with the content
  std::string_view plain;
  std::string_view gzip;
};

/// Serves the dashboard at /ui, to everybody: it shows nothing before somebody signs in, and what
/// it shows then it asks the API for, with their key. Needs neither Kafka nor the other services.
class UiSite {
 public:
  explicit UiSite(std::vector<UiFile> files);

  /// Whether the path is the dashboard's, /ui or below it.
  static bool Has(std::string_view path);
  void Handle(const http::Request& request, http::ResponseWriter& writer) const;

 private:
  http::Response Answer(const http::Request& request) const;

  std::map<std::string_view, UiFile> files_;
};

}  // namespace dispatch::gateway
