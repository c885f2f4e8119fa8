#pragma once

#include <optional>
#include <vector>

#include "common/cesql/access_key.h"
#include "common/cesql/syntax.h"

namespace dispatch::cesql {

/// What attributes must be for the expression to hold, where attributes are Strings: from
/// `attr = 'text'`, `attr LIKE 'start%'`, `attr LIKE '%end'`, `attr IN ('a', 'b')` and what AND and
/// OR make of them. An error anywhere means that it does not hold, so that AND needs both sides.
Covers CoversOf(const Syntax& syntax);

/// The keys, if the expression holds exactly when all of them do: AND of such comparisons.
std::optional<std::vector<AccessKey>> ConjunctionOf(const Syntax& syntax);

}  // namespace dispatch::cesql
