#pragma once

#include <boost/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dispatch::json {

using boost::json::array;
using boost::json::object;
using boost::json::value;

/// How deep the body of a request may be nested.
inline constexpr int kBodyDepth = 32;
/// Likewise what an event has as data or a function answers, where it becomes a part of a document
/// of ours.
inline constexpr int kDataDepth = 128;
/// A document of ours, which must never be refused for what a user put into it.
inline constexpr int kDeepest = 256;

/// Parses strict JSON (RFC 8259; duplicate keys and invalid UTF-8 refused), at most `max_depth`
/// deep.
Result<value> Parse(std::string_view text, int max_depth = kDeepest);
Result<object> ParseObject(std::string_view text, int max_depth = kDeepest);
std::string Serialize(const value& v);

/// Lenient readers for documents of our own: the default when the key is missing, null or of
/// another type.
std::string GetString(const object& o, std::string_view key, std::string_view fallback = {});
int64_t GetInt(const object& o, std::string_view key, int64_t fallback = 0);
double GetDouble(const object& o, std::string_view key, double fallback = 0);
bool GetBool(const object& o, std::string_view key, bool fallback = false);
/// Null when missing or not of the type.
const object* GetObject(const object& o, std::string_view key);
const array* GetArray(const object& o, std::string_view key);

}  // namespace dispatch::json
