#pragma once

#include <string>
#include <string_view>

namespace dispatch {

/// What runs the functions of a base image: the process runtime of python3, nodejs, java,
/// powershell or binary, by `language`, else by the name of VMware's own images
/// (dispatchframework/python3-base:0.0.13); else, and where the language is called `container`,
/// kContainerLanguage.
std::string RuntimeLanguage(std::string_view language, std::string_view docker_url);

/// Functions whose image is that of a server (decision 0021).
inline constexpr char kContainerLanguage[] = "container";

/// "python3, nodejs, ...", for people.
inline constexpr char kRuntimeLanguages[] = "python3, nodejs, java, powershell, binary";

/// The file of a language's dependencies: requirements.txt; empty: it has none.
std::string ManifestFile(std::string_view language);

}  // namespace dispatch
