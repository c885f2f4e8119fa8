#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/src/command.h"

namespace dispatch::cli {

/// What may stand in place of the last of `words`, which is what is typed so far.
struct Completion {
  std::vector<std::pair<std::string, std::string>> candidates;  // with what each is
  bool files = false;                                           // names of files too
};

/// `words`: those behind the program's name. Names of objects are asked for; when that fails there
/// are none.
Completion Complete(std::vector<std::string> words, const Invocation& invocation);

/// The script that makes a shell ask `dispatch __complete`: for bash, zsh or fish. A usage error
/// for any other.
Result<std::string> CompletionScript(std::string_view shell);

}  // namespace dispatch::cli
