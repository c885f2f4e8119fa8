#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/cesql/access_key.h"
#include "common/cesql/event_view.h"
#include "event-manager/src/domain/data_condition.h"

namespace dispatch {

/// Items by texts that a value must begin with, or (`kBackward`) end with. A look-up walks the
/// value once and asks for each length that some text has.
template <typename Item, bool kBackward>
class AffixTable {
 public:
  using Bucket = std::vector<Item>;

  Bucket& At(const std::string& text) {
    auto [it, is_new] = buckets_.try_emplace(text);
    if (is_new) ++lengths_[text.size()];
    return it->second;
  }
  const Bucket* Find(const std::string& text) const {
    auto it = buckets_.find(text);
    return it == buckets_.end() ? nullptr : &it->second;
  }
  void Drop(const std::string& text) {
    auto length = lengths_.find(text.size());
    if (--length->second == 0) lengths_.erase(length);
    buckets_.erase(text);
  }
  bool empty() const { return buckets_.empty(); }

  template <typename Visit>
  void Lookup(std::string_view value, const Visit& visit) const {
    uint64_t hash = kSeed;
    size_t hashed = 0;
    for (const auto& [length, count] : lengths_) {
      if (length > value.size()) return;
      for (; hashed < length; ++hashed) hash = Mix(hash, CharacterAt(value, hashed));
      std::string_view part =
          kBackward ? value.substr(value.size() - length) : value.substr(0, length);
      auto it = buckets_.find(Part{part, hash});
      if (it != buckets_.end()) visit(it->second);
    }
  }

 private:
  static constexpr uint64_t kSeed = 0xcbf29ce484222325;

  /// Text with its hash, so that longer parts go on from shorter ones.
  struct Part {
    std::string_view text;
    uint64_t hash;
  };

  static uint64_t Mix(uint64_t hash, char c) {
    return (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  }
  static char CharacterAt(std::string_view text, size_t i) {
    return kBackward ? text[text.size() - 1 - i] : text[i];
  }

  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming)
    size_t operator()(const Part& part) const { return part.hash; }
    size_t operator()(std::string_view text) const {
      uint64_t hash = kSeed;
      for (size_t i = 0; i < text.size(); ++i) hash = Mix(hash, CharacterAt(text, i));
      return hash;
    }
  };
  struct Equal {
    using is_transparent = void;  // NOLINT(readability-identifier-naming)
    bool operator()(std::string_view a, std::string_view b) const { return a == b; }
    bool operator()(const Part& a, std::string_view b) const { return a.text == b; }
    bool operator()(std::string_view a, const Part& b) const { return a == b.text; }
  };

  std::unordered_map<std::string, Bucket, Hash, Equal> buckets_;
  std::map<size_t, size_t> lengths_;  // -> texts of that length
};

/// Items by access keys. What a look-up costs grows with the attributes of the event and what it
/// finds, not with what the table holds; data is parsed only if there are keys on data.
template <typename Item>
class AccessTable {
 public:
  using Bucket = std::vector<Item>;

  void Insert(const AccessKey& key, Item item) { At(key).push_back(std::move(item)); }

  /// The item must be there.
  void Erase(const AccessKey& key, const Item& item) {
    Bucket& bucket = At(key);
    std::erase(bucket, item);
    if (bucket.empty()) Drop(key);
  }

  /// Items under exactly this key.
  size_t Count(const AccessKey& key) const {
    const Bucket* bucket = Find(key);
    return bucket == nullptr ? 0 : bucket->size();
  }

  /// Calls `visit` with each bucket whose key holds for the event.
  template <typename Visit>
  void Lookup(const EventView& event, const Visit& visit) const {
    for (const auto& [name, value] : event.event().attributes) {
      auto it = attributes_.find(name);
      if (it == attributes_.end()) continue;
      const Attribute& attribute = it->second;
      auto exact = attribute.exact.find(value);
      if (exact != attribute.exact.end()) visit(exact->second);
      attribute.prefix.Lookup(value, visit);
      attribute.suffix.Lookup(value, visit);
    }
    if (fields_.empty() || event.Data() == nullptr) return;
    for (const auto& [text, field] : fields_) {
      const json::value* value = field.pointer.Find(*event.Data());
      auto key = value == nullptr ? std::nullopt : ScalarKey(*value);
      auto it = key ? field.exact.find(*key) : field.exact.end();
      if (it != field.exact.end()) visit(it->second);
    }
  }

 private:
  using Exact = std::unordered_map<std::string, Bucket>;

  struct Attribute {
    Exact exact;
    AffixTable<Item, false> prefix;
    AffixTable<Item, true> suffix;

    bool empty() const { return exact.empty() && prefix.empty() && suffix.empty(); }
  };
  struct Field {
    JsonPointer pointer;
    Exact exact;
  };

  Bucket& At(const AccessKey& key) {
    if (key.kind == AccessKey::Kind::kData) {
      auto [it, is_new] = fields_.try_emplace(key.name);
      // A key's pointer has been parsed before.
      if (is_new) it->second.pointer = *JsonPointer::Parse(key.name);
      return it->second.exact[key.text];
    }
    Attribute& attribute = attributes_[key.name];
    if (key.kind == AccessKey::Kind::kPrefix) return attribute.prefix.At(key.text);
    if (key.kind == AccessKey::Kind::kSuffix) return attribute.suffix.At(key.text);
    return attribute.exact[key.text];
  }

  const Bucket* Find(const AccessKey& key) const {
    const Exact* exact = nullptr;
    if (key.kind == AccessKey::Kind::kData) {
      auto field = fields_.find(key.name);
      if (field == fields_.end()) return nullptr;
      exact = &field->second.exact;
    } else {
      auto attribute = attributes_.find(key.name);
      if (attribute == attributes_.end()) return nullptr;
      const Attribute& tables = attribute->second;
      if (key.kind == AccessKey::Kind::kPrefix) return tables.prefix.Find(key.text);
      if (key.kind == AccessKey::Kind::kSuffix) return tables.suffix.Find(key.text);
      exact = &tables.exact;
    }
    auto it = exact->find(key.text);
    return it == exact->end() ? nullptr : &it->second;
  }

  void Drop(const AccessKey& key) {
    if (key.kind == AccessKey::Kind::kData) {
      auto field = fields_.find(key.name);
      field->second.exact.erase(key.text);
      if (field->second.exact.empty()) fields_.erase(field);
      return;
    }
    auto attribute = attributes_.find(key.name);
    switch (key.kind) {
      case AccessKey::Kind::kPrefix:
        attribute->second.prefix.Drop(key.text);
        break;
      case AccessKey::Kind::kSuffix:
        attribute->second.suffix.Drop(key.text);
        break;
      default:
        attribute->second.exact.erase(key.text);
    }
    if (attribute->second.empty()) attributes_.erase(attribute);
  }

  std::unordered_map<std::string, Attribute> attributes_;
  std::map<std::string, Field> fields_;  // by JSON pointer
};

}  // namespace dispatch
