#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "common/pg/pool.h"
#include "schema/messages.h"

namespace dispatch {

/// Columns of a batch, for `insert ... select * from unnest($1, $2, ...)`: rows go in one field at
/// a time, arrays come out.
class Columns {
 public:
  explicit Columns(size_t count) : columns_(count) {}

  Columns& Text(std::string value) {
    columns_[next_].emplace_back(std::move(value));
    next_ = (next_ + 1) % columns_.size();
    return *this;
  }
  Columns& Int(int64_t value) { return Text(std::to_string(value)); }
  Columns& Bytes(std::string_view bytes) { return Text(pg::EncodeBytea(bytes)); }
  Columns& OptionalBytes(const std::optional<std::string>& bytes) {
    if (bytes) return Bytes(*bytes);
    columns_[next_].emplace_back(std::nullopt);
    next_ = (next_ + 1) % columns_.size();
    return *this;
  }
  template <typename Number>
  Columns& OptionalInt(const std::optional<Number>& number) {
    if (number) return Int(*number);
    columns_[next_].emplace_back(std::nullopt);
    next_ = (next_ + 1) % columns_.size();
    return *this;
  }
  /// topic, source_partition, source_offset, subscription, generation, replay.
  Columns& Id(const schema::DeliveryId& id) {
    return Text(id.topic.ToString())
        .Int(id.partition)
        .Int(id.offset)
        .Text(id.subscription.ToString())
        .Int(id.generation)
        .Text(id.replay.ToString());
  }

  bool empty() const { return columns_[0].empty(); }
  size_t size() const { return columns_[0].size(); }
  std::vector<pg::Value> Arrays() const {
    std::vector<pg::Value> arrays;
    arrays.reserve(columns_.size());
    for (const auto& column : columns_) arrays.emplace_back(pg::EncodeArray(column));
    return arrays;
  }

 private:
  std::vector<std::vector<pg::Value>> columns_;
  size_t next_ = 0;
};

/// Text that PostgreSQL accepts: without NUL, and valid UTF-8 (other bytes become '?').
std::string CleanText(std::string_view text);

/// An event as bytes for a column, and back.
std::string EncodeEvent(const schema::EventData& event);
Result<schema::EventData> DecodeEvent(std::string_view bytes);

inline Uuid ReadUuid(const pg::Row& row, size_t column) {
  auto parsed = Uuid::Parse(row.Text(column));
  return parsed.ok() ? *parsed : Uuid{};
}

/// Reads the six columns of a delivery's identity from `first` on.
inline schema::DeliveryId ReadId(const pg::Row& row, size_t first) {
  return {
      ReadUuid(row, first),     static_cast<int32_t>(row.Int(first + 1)), row.Int(first + 2),
      ReadUuid(row, first + 3), static_cast<int32_t>(row.Int(first + 4)), ReadUuid(row, first + 5)};
}

}  // namespace dispatch
