// SPDX-License-Identifier: MIT
#include "tests/verify/processes/content.h"

#include <bit>
#include <charconv>

namespace oj::verify {
namespace {

constexpr std::uint32_t kTextEvery = 5;
constexpr std::size_t kTextBytesMax = 2'000;

// splitmix64: neighbouring names give unlike numbers.
std::uint64_t mixed(RecordName name, std::uint64_t salt = 0) {
  std::uint64_t x = name.worker * 0x9e3779b97f4a7c15 + name.number + salt * 0xd1b54a32d192ed03;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

double value_of(RecordName name) { return static_cast<double>(mixed(name) >> 11); }

std::size_t text_bytes_of(RecordName name) {
  return name.number % kLargeEvery == 0 ? kLargeBytes : mixed(name) % kTextBytesMax;
}

bool has_text(RecordName name) {
  return name.number % kLargeEvery == 0 || name.number % kTextEvery == 0;
}

// Eight letters at a time, each another function of name and place.
void fill_text(RecordName name, std::string& text) {
  text.resize(text_bytes_of(name));
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::uint64_t eight = mixed(name, 1 + at / 8);
    text[at] = static_cast<char>('a' + (eight >> (at % 8 * 8) & 0xff) % 26);
  }
}

}  // namespace

schema::Operation Content::of(RecordName name) {
  if (has_text(name)) {
    key_ = std::to_string(name.number);
    fill_text(name, text_);
    schema::SetTrialUserAttr operation;
    operation.trial = kFirstTrial + name.worker;
    operation.attr.key = key_;
    operation.attr.value.kind = schema::Value::Kind::kText;
    operation.attr.value.text = text_;
    return operation;
  }
  return schema::SetTrialIntermediateValue{
      kFirstTrial + name.worker, {static_cast<std::int64_t>(name.number), value_of(name)}};
}

std::optional<RecordName> name_in(const schema::Operation& operation) {
  if (const auto* value = std::get_if<schema::SetTrialIntermediateValue>(&operation)) {
    if (value->trial < kFirstTrial) return std::nullopt;
    return RecordName{value->trial - kFirstTrial, static_cast<std::uint64_t>(value->value.step)};
  }
  if (const auto* attr = std::get_if<schema::SetTrialUserAttr>(&operation)) {
    if (attr->trial < kFirstTrial) return std::nullopt;
    RecordName name{attr->trial - kFirstTrial, 0};
    const std::string_view key = attr->attr.key;
    std::from_chars(key.data(), key.data() + key.size(), name.number);
    return name;
  }
  return std::nullopt;
}

bool is_whole(const schema::Operation& operation, RecordName name) {
  if (const auto* value = std::get_if<schema::SetTrialIntermediateValue>(&operation)) {
    return !has_text(name) && std::bit_cast<std::uint64_t>(value->value.value) ==
                                  std::bit_cast<std::uint64_t>(value_of(name));
  }
  if (const auto* attr = std::get_if<schema::SetTrialUserAttr>(&operation)) {
    std::string text;
    if (!has_text(name)) return false;
    fill_text(name, text);
    return attr->attr.key == std::to_string(name.number) &&
           attr->attr.value.kind == schema::Value::Kind::kText && attr->attr.value.text == text;
  }
  return false;
}

}  // namespace oj::verify
