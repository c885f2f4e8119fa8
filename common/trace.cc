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

bool IsValid(std::string_view header) {
  // version(2) - trace-id(32) - parent-id(16) - flags(2); later versions may add "-..." (3.2.4).
  if (header.size() < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-')
    return false;
  std::string_view version = header.substr(0, 2), trace = header.substr(3, 32);
  std::string_view span = header.substr(36, 16), flags = header.substr(53, 2);
  if (!IsLowerHex(version) || !IsLowerHex(trace) || !IsLowerHex(span) || !IsLowerHex(flags)) {
    return false;
  }
  if (version == "ff" || IsZero(trace) || IsZero(span)) return false;
  return header.size() == 55 || (version != "00" && header[55] == '-');
}

bool HasSampledFlag(std::string_view valid_header) {
  char digit = valid_header[54];
  int low = digit <= '9' ? digit - '0' : digit - 'a' + 10;
  return (low & 1) != 0;
}

}  // namespace

std::string TraceContext::ToTraceparent() const {
  return "00-" + trace_id + "-" + span_id + (sampled ? "-01" : "-00");
}

std::optional<TraceContext> TraceContext::Parse(std::string_view header) {
  if (!IsValid(header)) return {};
  return TraceContext{std::string(header.substr(3, 32)), std::string(header.substr(36, 16)),
                      HasSampledFlag(header)};
}

TraceContext TraceContext::NewRoot(double sampled_share) {
  // All zero is invalid, and as likely as a collision.
  std::string trace_id = crypto::RandomBytes(16);
  uint64_t last = 0;
  for (size_t i = 9; i < 16; ++i) last = last << 8 | static_cast<unsigned char>(trace_id[i]);
  constexpr double kAll = 72057594037927936.0;  // 2^56
  bool sampled = static_cast<double>(last) >= (1 - sampled_share) * kAll;
  return {crypto::HexEncode(trace_id), crypto::HexEncode(crypto::RandomBytes(8)), sampled};
}

TraceContext TraceContext::Child() const {
  return {trace_id, crypto::HexEncode(crypto::RandomBytes(8)), sampled};
}

bool IsSampled(std::string_view traceparent) {
  return IsValid(traceparent) && HasSampledFlag(traceparent);
}

std::string_view FindTraceparent(const std::vector<std::pair<std::string, std::string>>& headers) {
  for (const auto& [name, value] : headers) {
    if (name == "traceparent" && IsValid(value)) return value;
  }
  return {};
}

void ReplaceTraceparent(std::vector<std::pair<std::string, std::string>>& headers,
                        std::string traceparent) {
  std::string_view found = FindTraceparent(headers);
  for (auto& [name, value] : headers) {
    if (value.data() == found.data()) {
      value = std::move(traceparent);
      return;
    }
  }
}

}  // namespace dispatch
