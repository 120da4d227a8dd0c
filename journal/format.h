// Format 1 of a segment: the structures on disk and their checksums. The page is
// docs/journal-format.md; a test holds its offsets against the asserts here.
//
//   0      SegmentHeader           4096 bytes
//   4096   SegmentHeader, again    the same but for the CRC, which knows its offset
//   8192   frames: FrameHeader, 64 bytes, then its records, each RecordHeader + bytes padded to 8
//   ...    zeros up to segment_bytes (preallocated)
//
// All numbers are little-endian. No length is believed before a CRC that covers it has fitted.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "base/crc32c.h"
#include "journal/uuid.h"

namespace oj::journal {

constexpr std::uint16_t kFormatMajor = 1;    // another one: refuse
constexpr std::uint16_t kFormatMinor = 0;    // a newer one: read on, what is new can be ignored
constexpr std::uint32_t kKnownCompat = 0;    // unknown bits: ignore
constexpr std::uint32_t kKnownRoCompat = 0;  // unknown bits: read, but do not write the folder
constexpr std::uint32_t kKnownIncompat = 0;  // unknown bits: refuse

constexpr std::array<char, 8> kSegmentMagic = {'O', 'J', 's', 'e', 'g', '\r', '\n', '\x1a'};
constexpr std::uint32_t kFrameMagic = 0x72464a4f;  // "OJFr"

constexpr std::uint64_t kSegmentHeaderBytes = 4096;
constexpr std::uint64_t kFramesOffset = 2 * kSegmentHeaderBytes;
constexpr std::uint64_t kFrameAlignment = 8;
constexpr std::uint64_t kPayloadBytesMax = 1u << 30;
constexpr std::uint64_t kSegmentBytesAlignment = 4096;

struct SegmentHeader {
  std::array<char, 8> magic;
  std::uint16_t format_major;
  std::uint16_t format_minor;
  std::uint32_t compat;
  std::uint32_t ro_compat;
  std::uint32_t incompat;
  Uuid journal_id;
  std::uint64_t number;  // 1, 2, ...: the order in which segments were made; see segment_files.h
  std::uint64_t
      first_seq;  // of the first record in it; also: all records below are synced elsewhere
  std::uint64_t generation;       // of the region whose daemon wrote it
  std::uint64_t segment_bytes;    // size of the file
  std::uint64_t previous_number;  // of the segment that holds record first_seq - 1; 0: none
  Uuid boot_id;  // of the machine's boot that wrote it, or zeros; for diagnosis only
  std::array<std::byte, 3996> reserved;  // zeros
  std::uint32_t crc;                     // of all bytes before, seeded with the offset of this copy
};

struct FrameHeader {
  std::uint32_t magic;
  std::uint32_t header_crc;  // of the 56 bytes after it, seeded with the frame's place
  std::uint64_t first_seq;   // of its first record; of the next one if it has none (idle marker)
  std::uint64_t
      synced_through;        // records below were on stable storage before this frame was written
  std::uint64_t generation;  // as in the segment's header
  std::int64_t time_us;      // when, UTC
  std::uint32_t payload_bytes;  // of all records, a multiple of 8
  std::uint32_t record_count;   // 0: idle marker
  std::uint32_t payload_crc;    // of the payload, seeded with the place and first_seq
  std::uint32_t
      previous_payload_crc;  // of the frame before, or the crc of the segment header's first copy
  std::uint64_t reserved;    // 0
};

struct RecordHeader {
  std::uint32_t length;  // of the bytes after it, without padding
  std::uint32_t crc;     // of these bytes, seeded with seq and length
};

static_assert(sizeof(SegmentHeader) == kSegmentHeaderBytes);
static_assert(offsetof(SegmentHeader, magic) == 0);
static_assert(offsetof(SegmentHeader, format_major) == 8);
static_assert(offsetof(SegmentHeader, format_minor) == 10);
static_assert(offsetof(SegmentHeader, compat) == 12);
static_assert(offsetof(SegmentHeader, ro_compat) == 16);
static_assert(offsetof(SegmentHeader, incompat) == 20);
static_assert(offsetof(SegmentHeader, journal_id) == 24);
static_assert(offsetof(SegmentHeader, number) == 40);
static_assert(offsetof(SegmentHeader, first_seq) == 48);
static_assert(offsetof(SegmentHeader, generation) == 56);
static_assert(offsetof(SegmentHeader, segment_bytes) == 64);
static_assert(offsetof(SegmentHeader, previous_number) == 72);
static_assert(offsetof(SegmentHeader, boot_id) == 80);
static_assert(offsetof(SegmentHeader, reserved) == 96);
static_assert(offsetof(SegmentHeader, crc) == 4092);
static_assert(sizeof(FrameHeader) == 64);
static_assert(offsetof(FrameHeader, magic) == 0);
static_assert(offsetof(FrameHeader, header_crc) == 4);
static_assert(offsetof(FrameHeader, first_seq) == 8);
static_assert(offsetof(FrameHeader, synced_through) == 16);
static_assert(offsetof(FrameHeader, generation) == 24);
static_assert(offsetof(FrameHeader, time_us) == 32);
static_assert(offsetof(FrameHeader, payload_bytes) == 40);
static_assert(offsetof(FrameHeader, record_count) == 44);
static_assert(offsetof(FrameHeader, payload_crc) == 48);
static_assert(offsetof(FrameHeader, previous_payload_crc) == 52);
static_assert(offsetof(FrameHeader, reserved) == 56);
static_assert(sizeof(RecordHeader) == 8);
static_assert(offsetof(RecordHeader, length) == 0);
static_assert(offsetof(RecordHeader, crc) == 4);
static_assert(std::is_trivially_copyable_v<SegmentHeader> &&
              std::is_trivially_copyable_v<FrameHeader>);

constexpr std::uint64_t padded(std::uint64_t size) {
  return (size + kFrameAlignment - 1) & ~(kFrameAlignment - 1);
}

// Checksums that belong to one segment of one journal: a frame moved elsewhere no longer fits.
class SegmentSeed {
 public:
  SegmentSeed(const Uuid& journal_id, std::uint64_t number)
      : seed_(crc32c_u64(number, crc32c(journal_id))) {}

  std::uint32_t header_crc(const FrameHeader& header, std::uint64_t offset) const {
    return crc32c(std::as_bytes(std::span(&header, 1)).subspan(8), crc32c_u64(offset, seed_));
  }
  std::uint32_t payload_crc(std::span<const std::byte> payload, std::uint64_t offset,
                            std::uint64_t first_seq) const {
    return crc32c(payload, crc32c_u64(first_seq, crc32c_u64(offset, seed_)));
  }

 private:
  std::uint32_t seed_;
};

inline std::uint32_t record_crc(std::span<const std::byte> bytes, std::uint64_t seq) {
  return crc32c(bytes, crc32c_u64(bytes.size(), crc32c_u64(seq, 0)));
}

// `copy_offset`: 0 or kSegmentHeaderBytes.
std::uint32_t segment_header_crc(const SegmentHeader& header, std::uint64_t copy_offset);

// The plausible sizes of a frame whose header CRC has fitted: nothing here may be trusted to be
// sane, a bug of a writer makes valid checksums too.
bool sizes_are_sane(const FrameHeader& header, std::uint64_t offset, std::uint64_t segment_bytes);

}  // namespace oj::journal
