#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dispatch {

/// What sandboxes with a network reach (decision 0020): builds of images, and functions that have
/// `network`.
struct NetworkOptions {
  /// IPv4 addresses and prefixes ("10.1.2.0/24") that may be reached besides public ones.
  std::vector<std::string> allow;
  /// TCP ports that may be reached.
  std::vector<uint16_t> ports = {22,   25,   53,   80,   443,  465,  587,  853,  993,  995,  1433,
                                 1521, 1883, 3128, 3306, 5000, 5432, 5671, 5672, 6379, 6443, 8000,
                                 8080, 8081, 8443, 8883, 9042, 9092, 9093, 9200, 9443, 27017};
  /// Name servers, "address" or "address:port"; none: those of /etc/resolv.conf.
  std::vector<std::string> name_servers;
  size_t connections = 128;  // of one sandbox, at the same time
};

inline constexpr size_t kMostPorts = 200;

/// Of texts as settings have them: addresses and prefixes, and ports, each separated by commas.
/// kInvalidArgument naming the one that is none.
Result<std::vector<std::string>> ParseNetworkAllow(std::string_view text);
Result<std::vector<uint16_t>> ParseNetworkPorts(std::string_view text);

}  // namespace dispatch
