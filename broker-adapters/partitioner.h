#pragma once

#include <cstdint>
#include <string_view>

namespace dispatch::broker {

/// MurmurHash2 as Java's Kafka client computes it.
uint32_t Murmur2(std::string_view bytes);

/// The partition that Java's client, and librdkafka with `murmur2_random`, choose for a key.
int32_t PartitionForKey(std::string_view key, int32_t partitions);

}  // namespace dispatch::broker
