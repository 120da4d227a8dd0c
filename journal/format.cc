// SPDX-License-Identifier: MIT
#include "journal/format.h"

namespace oj::journal {

std::uint32_t segment_header_crc(const SegmentHeader& header, std::uint64_t copy_offset) {
  const auto bytes = std::as_bytes(std::span(&header, 1)).first(offsetof(SegmentHeader, crc));
  return crc32c(bytes, crc32c_u64(copy_offset, 0));
}

bool sizes_are_sane(const FrameHeader& header, std::uint64_t offset, std::uint64_t segment_bytes) {
  if (offset > segment_bytes || segment_bytes - offset < sizeof(FrameHeader)) return false;
  const std::uint64_t room = segment_bytes - offset - sizeof(FrameHeader);
  if (header.payload_bytes > room || header.payload_bytes > kPayloadBytesMax) return false;
  if (header.payload_bytes % kFrameAlignment != 0) return false;
  if ((header.record_count == 0) != (header.payload_bytes == 0)) return false;
  return header.record_count <= header.payload_bytes / sizeof(RecordHeader);
}

}  // namespace oj::journal
