// SPDX-License-Identifier: MIT
#include "journal/uuid.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace oj::journal {
namespace {

bool dash_before(std::size_t i) { return i == 4 || i == 6 || i == 8 || i == 10; }

int digit_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

std::string to_string(const Uuid& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (dash_before(i)) text += '-';
    const auto value = static_cast<unsigned>(uuid[i]);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

std::optional<Uuid> parse_uuid(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  Uuid uuid{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    if (dash_before(i) && text[at++] != '-') return std::nullopt;
    const int high = digit_value(text[at]);
    const int low = digit_value(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    uuid[i] = static_cast<std::byte>(high * 16 + low);
    at += 2;
  }
  return uuid;
}

Uuid random_uuid() {
  Uuid uuid{};
  ssize_t got = 0;
  do got = ::getrandom(uuid.data(), uuid.size(), 0);
  while (got < 0 && errno == EINTR);
  OJ_CHECK(got == static_cast<ssize_t>(uuid.size()));  // cannot fail for 16 bytes (getrandom(2))
  uuid[6] = (uuid[6] & std::byte{0x0f}) | std::byte{0x40};
  uuid[8] = (uuid[8] & std::byte{0x3f}) | std::byte{0x80};
  return uuid;
}

}  // namespace oj::journal
