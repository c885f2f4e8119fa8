#include "common/json.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <cmath>

namespace dispatch::json {

namespace {

namespace bj = boost::json;
using Error = bj::error_code;

// Builds the value as Boost's own parser does, and counts the members that the text has: the tree
// keeps one of each key, so it has fewer when a key came twice.
struct Builder {
  static constexpr size_t max_object_size = object::max_size();
  static constexpr size_t max_array_size = array::max_size();
  static constexpr size_t max_key_size = bj::string::max_size();
  static constexpr size_t max_string_size = bj::string::max_size();

  bj::value_stack stack;
  size_t members = 0;

  // NOLINTBEGIN(readability-identifier-naming): Boost.JSON's names
  bool on_document_begin(Error&) { return true; }
  bool on_document_end(Error&) { return true; }
  bool on_object_begin(Error&) { return true; }
  bool on_object_end(size_t n, Error&) {
    members += n;
    stack.push_object(n);
    return true;
  }
  bool on_array_begin(Error&) { return true; }
  bool on_array_end(size_t n, Error&) {
    stack.push_array(n);
    return true;
  }
  bool on_key_part(bj::string_view s, size_t, Error&) {
    stack.push_chars(s);
    return true;
  }
  bool on_key(bj::string_view s, size_t, Error&) {
    stack.push_key(s);
    return true;
  }
  bool on_string_part(bj::string_view s, size_t, Error&) {
    stack.push_chars(s);
    return true;
  }
  bool on_string(bj::string_view s, size_t, Error&) {
    stack.push_string(s);
    return true;
  }
  bool on_number_part(bj::string_view, Error&) { return true; }
  bool on_int64(int64_t i, bj::string_view, Error&) {
    stack.push_int64(i);
    return true;
  }
  bool on_uint64(uint64_t u, bj::string_view, Error&) {
    stack.push_uint64(u);
    return true;
  }
  bool on_double(double d, bj::string_view, Error& error) {
    // 1e999 has no value that could be written again.
    if (!std::isfinite(d)) {
      error = bj::error::exponent_overflow;
      return false;
    }
    stack.push_double(d);
    return true;
  }
  bool on_bool(bool b, Error&) {
    stack.push_bool(b);
    return true;
  }
  bool on_null(Error&) {
    stack.push_null();
    return true;
  }
  bool on_comment_part(bj::string_view, Error&) { return true; }
  bool on_comment(bj::string_view, Error&) { return true; }
  // NOLINTEND(readability-identifier-naming)
};

// Bounded by the parser's depth limit.
size_t CountMembers(const value& v) {
  size_t count = 0;
  if (const object* o = v.if_object()) {
    count = o->size();
    for (const auto& member : *o) count += CountMembers(member.value());
  } else if (const array* a = v.if_array()) {
    for (const value& element : *a) count += CountMembers(element);
  }
  return count;
}

}  // namespace

Result<value> Parse(std::string_view text, int max_depth) {
  bj::parse_options options;
  options.max_depth = static_cast<size_t>(max_depth);
  bj::basic_parser<Builder> parser(options);
  Builder& builder = parser.handler();
  builder.stack.reset();
  Error error;
  size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (!error && used < text.size()) error = bj::error::extra_data;
  if (error) {
    return {Code::kInvalidArgument,
            fmt::format("not valid JSON at byte {}: {}", used, error.message())};
  }
  value parsed = builder.stack.release();
  if (builder.members != CountMembers(parsed)) {
    return {Code::kInvalidArgument, "not valid JSON: a key occurs twice in one object"};
  }
  return parsed;
}

Result<object> ParseObject(std::string_view text, int max_depth) {
  ASSIGN_OR_RETURN(value parsed, Parse(text, max_depth));
  if (!parsed.is_object()) return {Code::kInvalidArgument, "a JSON object is expected"};
  return std::move(parsed.get_object());
}

namespace {

// Boost prints 0.2 as 2E-1: valid, and not what people want to read.
void Append(const value& v, std::string* out) {
  if (v.is_double()) {
    double number = v.get_double();
    *out += std::isfinite(number) ? fmt::format("{}", number) : "null";
  } else if (const object* o = v.if_object()) {
    *out += '{';
    for (const auto& [key, item] : *o) {
      if (out->back() != '{') *out += ',';
      *out += bj::serialize(bj::string_view(key));
      *out += ':';
      Append(item, out);
    }
    *out += '}';
  } else if (const array* a = v.if_array()) {
    *out += '[';
    for (const auto& item : *a) {
      if (&item != a->data()) *out += ',';
      Append(item, out);
    }
    *out += ']';
  } else {
    *out += bj::serialize(v);
  }
}

}  // namespace

std::string Serialize(const value& v) {
  std::string out;
  Append(v, &out);
  return out;
}

std::string GetString(const object& o, std::string_view key, std::string_view fallback) {
  const value* v = o.if_contains(key);
  const bj::string* s = v ? v->if_string() : nullptr;
  return s ? std::string(s->data(), s->size()) : std::string(fallback);
}

int64_t GetInt(const object& o, std::string_view key, int64_t fallback) {
  const value* v = o.if_contains(key);
  if (!v) return fallback;
  Error error;
  // Exact conversions only: 1.5 and 2^63 are no int64.
  auto n = v->is_number() ? v->to_number<int64_t>(error) : 0;
  return v->is_number() && !error ? n : fallback;
}

double GetDouble(const object& o, std::string_view key, double fallback) {
  const value* v = o.if_contains(key);
  if (!v || !v->is_number()) return fallback;
  Error error;
  double d = v->to_number<double>(error);
  return error ? fallback : d;
}

bool GetBool(const object& o, std::string_view key, bool fallback) {
  const value* v = o.if_contains(key);
  const bool* b = v ? v->if_bool() : nullptr;
  return b ? *b : fallback;
}

const object* GetObject(const object& o, std::string_view key) {
  const value* v = o.if_contains(key);
  return v ? v->if_object() : nullptr;
}

const array* GetArray(const object& o, std::string_view key) {
  const value* v = o.if_contains(key);
  return v ? v->if_array() : nullptr;
}

}  // namespace dispatch::json
