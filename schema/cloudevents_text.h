#pragma once

#include <optional>
#include <string>
#include <string_view>

/// The value forms and character rules that CloudEvents attributes obey (spec section 3.1) and the
/// encoding of their values in HTTP fields (HTTP binding, section 3.1.3.2).
namespace dispatch::cloudevents {

/// Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

/// Why `text` is no String of CloudEvents; empty when it is one.
std::string_view AttributeTextFault(std::string_view text);

/// Lower-case letters and digits, at least one.
bool IsAttributeName(std::string_view name);

/// RFC 3339 date and time with zone; leap seconds pass.
bool IsTimestamp(std::string_view text);

/// RFC 3986 URI-reference, not empty; characters beyond ASCII pass, as IRIs are common.
bool IsUriReference(std::string_view text);
/// The same with a scheme.
bool IsAbsoluteUri(std::string_view text);

/// An HTTP field value to an attribute: a quoted string is undone, then one round of percent
/// decoding. Nothing when the encoding or the UTF-8 that comes out is broken.
std::optional<std::string> DecodeHeaderValue(std::string_view value);
std::string EncodeHeaderValue(std::string_view value);

/// A media type in lower case without parameters, and its charset parameter in lower case.
struct MediaType {
  explicit MediaType(std::string_view content_type);

  bool IsJson() const { return essence.ends_with("/json") || essence.ends_with("+json"); }
  bool IsText() const;
  /// No charset is UTF-8 too.
  bool IsUtf8() const { return charset.empty() || charset == "utf-8" || charset == "utf8"; }

  std::string essence;
  std::string charset;
};

}  // namespace dispatch::cloudevents
