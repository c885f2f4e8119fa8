#include "common/cesql/access_key.h"

#include <algorithm>
#include <utility>

namespace dispatch {

namespace {

constexpr size_t kMaxCovers = 16;
constexpr size_t kMaxKeys = 64;

}  // namespace

bool IsBetterCover(const Cover& a, const Cover& b) {
  auto rank = [](const Cover& cover) {
    int worst = 0;
    for (const auto& key : cover) {
      int cost = 0;
      if (key.kind == AccessKey::Kind::kData) cost = 1;
      if (key.kind == AccessKey::Kind::kSuffix) cost = 2;
      if (key.kind == AccessKey::Kind::kPrefix) cost = 2;
      worst = std::max(worst, cost);
    }
    return worst;
  };
  auto shortest = [](const Cover& cover) {
    size_t size = SIZE_MAX;
    for (const auto& key : cover) size = std::min(size, key.text.size());
    return size;
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  if (a.size() != b.size()) return a.size() < b.size();
  return shortest(a) > shortest(b);
}

Covers CoversOfAll(std::vector<Covers> parts) {
  Covers all;
  for (auto& part : parts) {
    for (auto& cover : part) {
      all.insert(std::upper_bound(all.begin(), all.end(), cover, IsBetterCover), std::move(cover));
    }
  }
  if (all.size() > kMaxCovers) all.resize(kMaxCovers);
  return all;
}

Covers CoversOfAny(const std::vector<Covers>& parts) {
  Cover together;
  for (const auto& part : parts) {
    if (part.empty()) return {};
    const Cover& best = *std::min_element(part.begin(), part.end(), IsBetterCover);
    for (const auto& key : best) {
      if (std::find(together.begin(), together.end(), key) == together.end()) {
        together.push_back(key);
      }
    }
    if (together.size() > kMaxKeys) return {};
  }
  if (together.empty()) return {};
  return {std::move(together)};
}

}  // namespace dispatch
