#pragma once

#include "function-manager/src/domain/answer.h"
#include "function-manager/src/domain/run.h"
#include "schema/cloudevents.h"

namespace dispatch {

/// What deliveries to a function have in the place of an endpoint's URL: "function://<name>.<org>".
inline constexpr char kFunctionScheme[] = "function://";
std::string FunctionUrl(const std::string& org, const std::string& name);
/// The function's name; empty for the URL of something else.
std::string FunctionOf(std::string_view url);

/// A delivery as a run: the event's data is the input (JSON as it is, other text as a text, bytes
/// as base64), the rest its envelope, in CloudEvents 0.1 as VMware's functions know it.
RunRequest EventRun(const cloudevents::Event& event);

/// What a run means for its delivery: done is 200; InputError is 422, since the same event would
/// fail again; FunctionError is 500, so tried again; SystemError is no answer, so tried again.
Answer AnswerOf(const RunOutcome& outcome);

}  // namespace dispatch
