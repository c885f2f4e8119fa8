#pragma once

#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "cli/src/api.h"
#include "cli/src/connection.h"
#include "cli/src/environment.h"

namespace dispatch::cli {

/// Takes the verb out of a command line: the first word that is no flag of every verb, nor its
/// value; VMware's `iam` before it says nothing more. Empty: there is none.
std::string TakeVerb(std::vector<std::string>& words);

/// The whole program: finds the command, takes its words apart, runs it. Returns the exit code: 0,
/// 1 when it failed (the reason and the remedy are on `err`), 2 for a wrong command line.
int Main(std::vector<std::string> words, const Environment& environment, std::ostream& out,
         std::ostream& err, const std::function<std::unique_ptr<Api>(const Connection&)>& connect);

}  // namespace dispatch::cli
