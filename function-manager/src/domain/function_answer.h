#pragma once

#include <string>

#include "function-manager/src/domain/runner.h"

namespace dispatch {

/// What the body of a 200 says in VMware's contract of a function behind HTTP: {context: {error,
/// logs: {stdout, stderr}}, payload}. `who` answered, for messages: "the function's URL". A body
/// that is nothing of the kind is a SystemError; an error of a type that is ours to say is a
/// FunctionError.
struct FunctionAnswer {
  RunOutcome outcome;
  bool has_logs = false;  // it said what was logged, if only nothing
};
FunctionAnswer ReadFunctionAnswer(const std::string& body, const std::string& who);

}  // namespace dispatch
