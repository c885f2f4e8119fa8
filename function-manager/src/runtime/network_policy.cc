#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>

#include <charconv>
#include <optional>

#include "common/http/internal/address.h"
#include "function-manager/src/runtime/internal/egress.h"

namespace dispatch {

namespace {

struct Prefix4 {
  uint32_t network;
  uint32_t mask;
};

std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

template <typename T>
std::optional<T> Number(std::string_view text, T most) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::optional<Prefix4> ReadPrefix(std::string_view text) {
  size_t slash = text.find('/');
  std::string address(text.substr(0, slash));
  std::optional<int> bits = 32;
  if (slash != std::string_view::npos) bits = Number(text.substr(slash + 1), 32);
  in_addr parsed{};
  if (!bits || *bits < 0 || inet_pton(AF_INET, address.c_str(), &parsed) != 1) return std::nullopt;
  uint32_t mask = *bits == 0 ? 0 : ~uint32_t{0} << (32 - *bits);
  return Prefix4{ntohl(parsed.s_addr) & mask, mask};
}

}  // namespace

Result<std::vector<std::string>> ParseNetworkAllow(std::string_view text) {
  std::vector<std::string> allow;
  for (std::string_view word : Words(text)) {
    if (!ReadPrefix(word)) {
      return Error{Code::kInvalidArgument,
                   fmt::format("'{}' is no IPv4 address or prefix such as 10.1.2.0/24", word)};
    }
    allow.emplace_back(word);
  }
  return allow;
}

Result<std::vector<uint16_t>> ParseNetworkPorts(std::string_view text) {
  std::vector<uint16_t> ports;
  for (std::string_view word : Words(text)) {
    auto port = Number<uint16_t>(word, 65535);
    if (!port || *port == 0) {
      return Error{Code::kInvalidArgument, fmt::format("'{}' is no port: 1 to 65535", word)};
    }
    ports.push_back(*port);
  }
  if (ports.empty() || ports.size() > kMostPorts) {
    return Error{Code::kInvalidArgument, fmt::format("1 to {} ports can be given", kMostPorts)};
  }
  return ports;
}

namespace runtime {

NetworkPolicy::NetworkPolicy(const std::vector<std::string>& allow) {
  for (const std::string& text : allow) {
    if (auto prefix = ReadPrefix(text)) allowed_.push_back({prefix->network, prefix->mask});
  }
}

bool NetworkPolicy::Allows(uint32_t address) const {
  http::internal::SocketAddress full;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&full.storage);
  v4->sin_family = AF_INET;
  v4->sin_addr.s_addr = htonl(address);
  if (full.IsMetadata()) return false;
  for (const Prefix& prefix : allowed_) {
    if ((address & prefix.mask) == prefix.network) return true;
  }
  if (!full.IsPublic()) return false;
  // What listens on all interfaces, listens on a public one of this machine too.
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return false;
  bool own = false;
  for (ifaddrs* each = first; each != nullptr && !own; each = each->ifa_next) {
    own = each->ifa_addr != nullptr && each->ifa_addr->sa_family == AF_INET &&
          reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr.s_addr == htonl(address);
  }
  freeifaddrs(first);
  return !own;
}

}  // namespace runtime

}  // namespace dispatch
