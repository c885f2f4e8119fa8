#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace dispatch {

/// A condition that an index can look up: an attribute that is, begins with or ends with a text, or
/// a field of the data (a JSON pointer) that is a scalar (in the form of ScalarKey).
struct AccessKey {
  enum class Kind : uint8_t { kExact, kPrefix, kSuffix, kData };

  Kind kind = Kind::kExact;
  std::string name;
  std::string text;

  bool operator==(const AccessKey&) const = default;
};

/// A filter can only hold for an event for which at least one of the keys holds.
using Cover = std::vector<AccessKey>;

/// Every cover that a filter has; none: it must be held against every event.
using Covers = std::vector<Cover>;

/// Of a conjunction: the covers of any part.
Covers CoversOfAll(std::vector<Covers> parts);
/// Of a disjunction: one cover of every part together, or none if a part has none.
Covers CoversOfAny(const std::vector<Covers>& parts);
/// Which of two covers finds fewer events, by their form: less is better.
bool IsBetterCover(const Cover& a, const Cover& b);

}  // namespace dispatch
