// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/words.h"

#include <string_view>

namespace oj::schedules {
namespace {

std::string field_name(std::string_view part, std::uint64_t base, std::uint64_t offset) {
  for (const shm::LayoutField& field : shm::kLayoutFields) {
    const std::string_view name = field.name;
    if (!name.starts_with(part) || name[part.size()] != '.') continue;
    if (base + offset < field.offset || base + offset >= field.offset + field.bytes) continue;
    const std::uint64_t within = base + offset - field.offset;
    return std::string(name.substr(part.size())) +
           (within == 0 ? "" : "+" + std::to_string(within));
  }
  return ".?";
}

}  // namespace

Word Words::at(std::uint64_t offset) const {
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  if (offset >= parts_.pool) return {Part::kPool, (offset - parts_.pool) / kWord, 0};
  if (offset >= parts_.ring) return {Part::kRing, (offset - parts_.ring) / kWord, 0};
  if (offset >= parts_.owners) return {Part::kOwner, (offset - parts_.owners) / kWord, 0};
  if (offset >= parts_.slots) {
    const std::uint64_t within = offset - parts_.slots;
    return {Part::kSlot, within / sizeof(shm::ProductionSlot),
            within % sizeof(shm::ProductionSlot)};
  }
  if (offset >= shm::kWatermarksOffset) return {Part::kMark, 0, offset - shm::kWatermarksOffset};
  return {Part::kHeader, 0, offset};
}

std::string Words::name(const Word& word) {
  const std::string index = "[" + std::to_string(word.index) + "]";
  switch (word.part) {
    case Part::kHeader: return "header" + field_name("header", shm::kHeaderOffset, word.offset);
    case Part::kMark:
      return "watermarks" + field_name("watermarks", shm::kWatermarksOffset, word.offset);
    case Part::kSlot: return "slot" + index + field_name("slot", 0, word.offset);
    case Part::kOwner: return "owner" + index;
    case Part::kRing: return "ring" + index;
    case Part::kPool: return "pool" + index;
  }
  return "?";
}

}  // namespace oj::schedules
