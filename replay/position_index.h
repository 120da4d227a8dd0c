// Where a key is in a vector that keeps the order of first insertion.
//
// Nearly all trials have few parameters, attributes and steps, and looking through those is faster
// than any table; so there is none, and no memory for one, up to kLinearMax items.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace oj::replay {

// So that tables keyed by std::string can be asked with a std::string_view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

template <class Key, class KeyView, class Hash = std::hash<Key>>
class PositionIndex {
 public:
  static constexpr std::size_t kLinearMax = 16;
  static constexpr std::size_t kNone = SIZE_MAX;

  PositionIndex() = default;
  PositionIndex(const PositionIndex& other)
      : table_(other.table_ ? std::make_unique<Table>(*other.table_) : nullptr) {}
  PositionIndex(PositionIndex&&) noexcept = default;
  PositionIndex& operator=(PositionIndex other) noexcept {
    table_ = std::move(other.table_);
    return *this;
  }
  ~PositionIndex() = default;

  // `key_at(i)` is the key of item i < count; the same for all calls but for what was added between
  // them.
  template <class KeyAt>
  std::size_t find(const KeyView& key, std::size_t count, KeyAt key_at) const {
    if (table_) {
      const auto found = table_->find(key);
      return found == table_->end() ? kNone : found->second;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (key_at(i) == key) return i;
    }
    return kNone;
  }

  // To be called after an item was appended; `count` includes it.
  template <class KeyAt>
  void added(std::size_t count, KeyAt key_at) {
    if (count <= kLinearMax) return;
    std::size_t first = count - 1;
    if (!table_) {
      table_ = std::make_unique<Table>();
      first = 0;
    }
    for (std::size_t i = first; i < count; ++i) table_->emplace(key_at(i), i);
  }

  void drop() { table_.reset(); }

 private:
  using Table = std::unordered_map<Key, std::size_t, Hash, std::equal_to<>>;
  std::unique_ptr<Table> table_;
};

using NameIndex = PositionIndex<std::string, std::string_view, StringHash>;
using StepIndex = PositionIndex<std::int64_t, std::int64_t>;

}  // namespace oj::replay
