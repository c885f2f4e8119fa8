#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "common/result.h"
#include "function-manager/src/runtime/tool.h"

namespace dispatch {

/// What a directory of dependencies is made of.
struct ImageRecipe {
  std::string language;
  std::string manifest;  // requirements.txt, package.json, pom.xml; empty: none

  /// Of what it is made of: SHA-256, hexadecimal; empty when there is nothing to install.
  std::string Digest() const;
};

/// Why functions of a language cannot be run on this machine; empty: they can.
std::string LanguageFault(const std::string& language);

/// Whether a manifest asks for anything: one of comments or of an empty `dependencies` does not.
bool NeedsInstalling(const ImageRecipe& recipe);

/// Installs the dependencies into `directory`, which is there and empty, by the language's own
/// tool: python3 -> packages beside each other (for PYTHONPATH), nodejs -> node_modules, java ->
/// *.jar. `heard` as ToolRun's. Blocks; errors as Tools::Run's.
Status InstallDependencies(const ImageRecipe& recipe, const std::string& directory, Tools& tools,
                           const std::atomic<bool>* stop,
                           std::function<void(std::string said)> heard = {});

}  // namespace dispatch
