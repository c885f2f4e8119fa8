#include "function-manager/src/domain/languages.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace dispatch {

namespace {

// What people call them, VMware's images included.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kNames{{
    {"python3", "python3"},
    {"python", "python3"},
    {"py", "python3"},
    {"nodejs", "nodejs"},
    {"node", "nodejs"},
    {"javascript", "nodejs"},
    {"js", "nodejs"},
    {"java", "java"},
    {"powershell", "powershell"},
    {"pwsh", "powershell"},
    {"binary", "binary"},
    {"native", "binary"},
}};

std::string Known(std::string_view word) {
  std::string lower(word);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& [name, language] : kNames) {
    if (name == lower) return std::string(language);
  }
  return kContainerLanguage;
}

}  // namespace

std::string RuntimeLanguage(std::string_view language, std::string_view docker_url) {
  if (!language.empty()) return Known(language);
  std::string_view image = docker_url.substr(docker_url.rfind('/') + 1);
  image = image.substr(0, image.find_first_of(":@"));
  if (image.ends_with("-base")) image.remove_suffix(5);
  return Known(image);
}

std::string ManifestFile(std::string_view language) {
  if (language == "python3") return "requirements.txt";
  if (language == "nodejs") return "package.json";
  if (language == "java") return "pom.xml";
  if (language == "powershell") return "requirements.psd1";
  return "";
}

}  // namespace dispatch
