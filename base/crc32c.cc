// SPDX-License-Identifier: MIT
#include "base/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace oj {
namespace {

static_assert(std::endian::native == std::endian::little,
              "formats and checksums are little-endian");

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // reversed 0x1edc6f41, RFC 3720

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
    table[i] = value;
  }
  return table;
}

constexpr std::array<std::uint32_t, 256> kTable = make_table();

#if defined(__x86_64__)
#define OJ_HAS_CRC_INSTRUCTION 1
__attribute__((target("sse4.2"))) std::uint32_t crc_hardware(const std::byte* p, std::size_t size,
                                                             std::uint32_t crc) noexcept {
  std::uint64_t wide = crc;
  for (; size >= 8; size -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = static_cast<std::uint32_t>(wide);
  for (; size > 0; --size, ++p) crc = _mm_crc32_u8(crc, static_cast<unsigned char>(*p));
  return crc;
}
bool detect() noexcept { return __builtin_cpu_supports("sse4.2") != 0; }
#elif defined(__aarch64__)
#define OJ_HAS_CRC_INSTRUCTION 1
__attribute__((target("+crc"))) std::uint32_t crc_hardware(const std::byte* p, std::size_t size,
                                                           std::uint32_t crc) noexcept {
  for (; size >= 8; size -= 8, p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    crc = __crc32cd(crc, word);
  }
  for (; size > 0; --size, ++p) crc = __crc32cb(crc, static_cast<unsigned char>(*p));
  return crc;
}
bool detect() noexcept { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
#endif

#ifdef OJ_HAS_CRC_INSTRUCTION
const bool kHasInstruction = detect();
#endif

}  // namespace

std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t seed) noexcept {
  std::uint32_t crc = ~seed;
  for (const std::byte byte : bytes)
    crc = kTable[(crc ^ static_cast<std::uint32_t>(byte)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed) noexcept {
#ifdef OJ_HAS_CRC_INSTRUCTION
  if (kHasInstruction) return ~crc_hardware(bytes.data(), bytes.size(), ~seed);
#endif
  return crc32c_portable(bytes, seed);
}

std::uint32_t crc32c_u64(std::uint64_t value, std::uint32_t seed) noexcept {
  std::byte bytes[8];
  std::memcpy(bytes, &value, 8);
  return crc32c(bytes, seed);
}

}  // namespace oj
