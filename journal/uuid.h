// The identity of a journal: 16 random bytes, written as 8-4-4-4-12 hexadecimal digits.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace oj::journal {

using Uuid = std::array<std::byte, 16>;

std::string to_string(const Uuid& uuid);
// None unless `text` is exactly what to_string() gives for some Uuid.
std::optional<Uuid> parse_uuid(std::string_view text);
// Version 4 (random) of RFC 9562.
Uuid random_uuid();

}  // namespace oj::journal
