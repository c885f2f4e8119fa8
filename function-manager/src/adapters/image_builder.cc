#include "function-manager/src/adapters/image_builder.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "common/crypto.h"
#include "common/json.h"
#include "function-manager/src/domain/languages.h"
#include "function-manager/src/runtime/tool.h"

namespace dispatch {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> ToolsOf(const std::string& language) {
  if (language == "python3") return {"python3"};
  if (language == "nodejs") return {"node", "npm"};
  if (language == "java") return {"java"};
  if (language == "powershell") return {"pwsh"};
  return {};
}

// The one that runs the functions: its version decides what is installed.
constexpr char kPython[] = "/usr/bin/python3";

// The caches are in the directory too, and go in the end.
constexpr char kScratch[] = ".scratch";

// Where the tool sees the directory.
const fs::path kBuild = "/build";

std::vector<std::string> WordsFor(const std::string& language) {
  if (language == "python3") {
    return {kPython,
            "-m",
            "pip",
            "install",
            "--no-input",
            "--no-cache-dir",
            "--disable-pip-version-check",
            "--no-warn-script-location",
            "--root-user-action=ignore",
            "--progress-bar=off",
            "--target",
            kBuild / "lib",  // where the worker looks
            "--requirement",
            kBuild / ManifestFile(language)};
  }
  if (language == "powershell") {
    // requirements.psd1: @{ Module = 'version' }, or 'latest'.
    return {FindTool("pwsh"),
            "-NoLogo",
            "-NoProfile",
            "-NonInteractive",
            "-Command",
            "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'; "
            "$wanted = Import-PowerShellDataFile /build/requirements.psd1; "
            "New-Item -ItemType Directory -Force /build/modules | Out-Null; "
            "foreach ($name in $wanted.Keys) { $more = @{}; "
            "if ($wanted[$name] -ne 'latest') { $more.RequiredVersion = $wanted[$name] }; "
            "Save-Module -Name $name -Path /build/modules -Force @more }"};
  }
  if (language == "java") {
    return {FindTool("mvn"),
            "--batch-mode",
            "--quiet",
            "-Duser.home=" + (kBuild / kScratch).string(),
            "-Dmaven.repo.local=" + (kBuild / kScratch / "repository").string(),
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=" + (kBuild / "lib").string()};
  }
  return {FindTool("npm"),        "install", "--omit=dev",     "--no-audit", "--no-fund",
          "--no-update-notifier", "--cache", kBuild / kScratch};
}

}  // namespace

std::string ImageRecipe::Digest() const {
  if (!NeedsInstalling(*this)) return "";
  return crypto::HexEncode(crypto::Sha256(fmt::format("1\n{}\n{}", language, manifest)));
}

std::string LanguageFault(const std::string& language) {
  for (const std::string& tool : ToolsOf(language)) {
    if (FindTool(tool).empty()) {
      return fmt::format(
          "{0} is not installed on this machine, so {1} functions cannot run here: "
          "install {2} (below /usr/bin)",
          tool, language, tool == "pwsh" ? "PowerShell 7" : tool);
    }
  }
  return "";
}

bool NeedsInstalling(const ImageRecipe& recipe) {
  if (ManifestFile(recipe.language).empty()) return false;
  if (recipe.language == "nodejs") {
    auto package = json::ParseObject(recipe.manifest);
    if (!package.ok()) return recipe.manifest.find_first_not_of(" \t\r\n") != std::string::npos;
    const auto* dependencies = json::GetObject(*package, "dependencies");
    const auto* optional = json::GetObject(*package, "optionalDependencies");
    return (dependencies != nullptr && !dependencies->empty()) ||
           (optional != nullptr && !optional->empty());
  }
  if (recipe.language == "java") return recipe.manifest.find("<dependency>") != std::string::npos;
  std::string_view rest = recipe.manifest;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#') return true;
  }
  return false;
}

Status InstallDependencies(const ImageRecipe& recipe, const std::string& directory, Tools& tools,
                           const std::atomic<bool>* stop,
                           std::function<void(std::string said)> heard) {
  if (std::string fault = LanguageFault(recipe.language); !fault.empty()) {
    return Error{Code::kUnprocessable, fault};
  }
  if (recipe.language == "java" && FindTool("mvn").empty()) {
    return Error{Code::kUnprocessable,
                 "mvn is not installed on this machine: bring jars in the function's source"};
  }
  fs::path file = fs::path(directory) / ManifestFile(recipe.language);
  std::ofstream(file) << recipe.manifest;
  std::error_code error;
  fs::create_directory(fs::path(directory) / kScratch, error);
  ToolRun run;
  run.words = WordsFor(recipe.language);
  run.directory = directory;
  run.environment = {"HOME=" + (kBuild / kScratch).string(),
                     "TMPDIR=" + (kBuild / kScratch).string()};
  run.stop = stop;
  run.heard = std::move(heard);
  RETURN_IF_ERROR(tools.Run(run));
  fs::remove_all(fs::path(directory) / kScratch, error);
  return {};
}

}  // namespace dispatch
