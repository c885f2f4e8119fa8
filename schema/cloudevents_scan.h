#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dispatch::cloudevents {

/// Walks strict JSON text (RFC 8259) and tells where each value stands in it, so that payloads can
/// be passed on byte for byte: no tree, no numbers read. Invalid UTF-8 and lone surrogates are
/// faults; a key that comes twice in one object is noted, not a fault, since the text around it can
/// still be read. One use, from front to back; after a fault every call fails.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  /// Steps into an object or array and through it:
  ///   if (!s.Enter('{')) ...;  while (s.NextMember(&key)) s.Value(&span);
  bool Enter(char bracket);
  /// False at the closing bracket and after a fault. `key` is decoded.
  bool NextMember(std::string* key);
  bool NextElement();
  /// Takes the next value; `span` is its text.
  bool Value(std::string_view* span);
  /// Only white space is left.
  bool AtEnd();
  /// The first character of the next token, 0 at the end.
  char Peek();

  bool failed() const { return !fault_.empty(); }
  /// "... at byte n"
  std::string fault() const;
  /// A key that came twice in one object since the last call.
  std::optional<std::string> TakeDuplicate();

 private:
  bool Fail(std::string_view fault);
  void SkipSpace();
  bool Next(char closing);
  bool SkipValue(int depth);
  bool SkipContainer(char closing, int depth);
  bool SkipString();
  bool SkipEscape();
  bool SkipNumber();
  bool SkipWord(std::string_view word);
  bool Digits();
  void CheckKeys(size_t first);

  std::string_view text_;
  size_t at_ = 0;
  size_t fault_at_ = 0;
  bool fresh_ = false;  // just behind an opening bracket: no comma comes
  std::string_view fault_;
  std::optional<std::string> duplicate_;
  std::vector<std::string_view> keys_;  // of the objects that are open, as written
  std::vector<size_t> entered_;         // where the keys of entered objects begin
};

/// The text of a JSON string value that the scanner took (with its quotes).
std::string DecodeJsonString(std::string_view span);
/// Appends `text` (UTF-8) as a JSON string.
void AppendJsonString(std::string_view text, std::string& out);
/// Whether the whole text is one JSON value without doubled keys.
bool IsStrictJson(std::string_view text);

}  // namespace dispatch::cloudevents
