#include "common/trace.h"

#include <algorithm>

#include "common/crypto.h"

namespace dispatch {

namespace {

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) { return text.find_first_not_of('0') == text.npos; }

}  // namespace

std::string TraceContext::ToTraceparent() const {
  return "00-" + trace_id + "-" + span_id + (sampled ? "-01" : "-00");
}

std::optional<TraceContext> TraceContext::Parse(std::string_view header) {
  // version(2) - trace-id(32) - parent-id(16) - flags(2); later versions may add "-..." (3.2.4).
  if (header.size() < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-') return {};
  std::string_view version = header.substr(0, 2), trace = header.substr(3, 32);
  std::string_view span = header.substr(36, 16), flags = header.substr(53, 2);
  if (!IsLowerHex(version) || !IsLowerHex(trace) || !IsLowerHex(span) || !IsLowerHex(flags)) {
    return {};
  }
  if (version == "ff" || IsZero(trace) || IsZero(span)) return {};
  if (header.size() > 55 && (version == "00" || header[55] != '-')) return {};
  int low = flags[1] <= '9' ? flags[1] - '0' : flags[1] - 'a' + 10;
  return TraceContext{std::string(trace), std::string(span), (low & 1) != 0};
}

TraceContext TraceContext::NewRoot() {
  // All zero is invalid, and as likely as a collision.
  return {crypto::HexEncode(crypto::RandomBytes(16)), crypto::HexEncode(crypto::RandomBytes(8)),
          true};
}

TraceContext TraceContext::Child() const {
  return {trace_id, crypto::HexEncode(crypto::RandomBytes(8)), sampled};
}

}  // namespace dispatch
