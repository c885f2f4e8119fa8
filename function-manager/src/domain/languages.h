#pragma once

#include <string>
#include <string_view>

namespace dispatch {

/// The process runtime that a base image stands for: python3, nodejs, java, powershell or binary;
/// empty: none. By `language`, else by the name of VMware's own images
/// (dispatchframework/python3-base:0.0.13).
std::string RuntimeLanguage(std::string_view language, std::string_view docker_url);

/// "python3, nodejs, ...", for people.
inline constexpr char kRuntimeLanguages[] = "python3, nodejs, java, powershell, binary";

/// The file of a language's dependencies: requirements.txt; empty: it has none.
std::string ManifestFile(std::string_view language);

}  // namespace dispatch
