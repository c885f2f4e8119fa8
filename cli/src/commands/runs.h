#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "cli/src/command.h"

namespace dispatch::cli {

/// `get runs [FUNCTION [RUN]]`, VMware's.
bool IsRuns(std::string_view word);
std::vector<Flag> RunsFlags();
Status GetRuns(Invocation& invocation);

/// Hands on the runs of `GET /v1/runs?follow=true` as they begin and end, until `take` has enough.
Status FollowRuns(Invocation& invocation, Api& api, ApiRequest request,
                  const std::function<bool(const json::object& run)>& take);

}  // namespace dispatch::cli
