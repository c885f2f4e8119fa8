#pragma once

#include <string_view>
#include <vector>

#include "common/span.h"

namespace dispatch::testing {

/// Keeps what ended.
class RecordedSpans : public Tracer::Sink {
 public:
  void Take(const Span& span) override { spans.push_back(span); }

  /// The only span of that name; a new one when there is none, or more.
  Span Only(std::string_view name) const {
    const Span* found = nullptr;
    for (const Span& span : spans) {
      if (span.name != name) continue;
      if (found != nullptr) return Span{};
      found = &span;
    }
    return found == nullptr ? Span{} : *found;
  }
  /// An attribute as text; empty when the span lacks it.
  static std::string Attribute(const Span& span, std::string_view key) {
    for (const auto& [name, value] : span.attributes) {
      if (name != key) continue;
      const auto* number = std::get_if<int64_t>(&value);
      return number != nullptr ? std::to_string(*number) : std::get<std::string>(value);
    }
    return {};
  }

  std::vector<Span> spans;
};

}  // namespace dispatch::testing
