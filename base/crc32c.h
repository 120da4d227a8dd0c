// CRC-32C (Castagnoli), the checksum of records and frames.
//
// crc32c("123456789") == 0xe3069283. A seed makes a checksum belong to its place: start from
// crc32c(place) instead of 0 and a frame copied elsewhere no longer fits.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace oj {

// The CRC of `bytes` appended to what `seed` is the CRC of (0: nothing). Uses SSE4.2 or the ARMv8
// CRC instructions where the processor has them.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed = 0) noexcept;

// The same in plain C++: for the tests, and for processors without the instruction.
std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t seed = 0) noexcept;

// `seed` continued over the 8 bytes of `value`, least significant first.
std::uint32_t crc32c_u64(std::uint64_t value, std::uint32_t seed) noexcept;

}  // namespace oj
