// SPDX-License-Identifier: MIT
#include "journal/frame_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace oj::journal {
namespace {

constexpr std::uint64_t kReadAheadMin = 64u << 10;
constexpr std::uint64_t kReadAheadMax = 1u << 20;

}  // namespace

FrameStream::FrameStream(FileSystem& fs, int fd, const SegmentHeader& segment)
    : fs_(&fs),
      fd_(fd),
      seed_(segment.journal_id, segment.number),
      segment_bytes_(segment.segment_bytes),
      chain_(segment_header_crc(segment, 0)),
      read_ahead_(kReadAheadMin) {}

const std::byte* FrameStream::want(std::uint64_t size) {
  read_failure_ = 0;
  const auto* base = reinterpret_cast<const std::byte*>(buffer_.data());
  if (offset_ >= buffered_from_ && offset_ + size <= buffered_from_ + buffered_bytes_) {
    return base + (offset_ - buffered_from_);
  }
  if (size > segment_bytes_ - offset_) return nullptr;
  const std::uint64_t bytes = std::min(std::max(size, read_ahead_), segment_bytes_ - offset_);
  read_ahead_ = std::min(read_ahead_ * 2, kReadAheadMax);
  if (buffer_.size() * 8 < bytes) buffer_.resize((bytes + 7) / 8);
  buffered_from_ = offset_;
  buffered_bytes_ = 0;
  const std::int64_t got = read_fully(*fs_, fd_, buffer_.data(), bytes, offset_);
  if (got < 0) {
    read_failure_ = errno;
    return nullptr;
  }
  buffered_bytes_ = static_cast<std::uint64_t>(got);
  return buffered_bytes_ < size ? nullptr : reinterpret_cast<const std::byte*>(buffer_.data());
}

FrameStream::Status FrameStream::peek(FrameHeader& header) {
  OJ_CHECK(offset_ <= segment_bytes_ && offset_ % kFrameAlignment == 0);
  const std::byte* bytes = want(sizeof header);
  if (bytes == nullptr) return read_failure_ != 0 ? Status::kReadFailed : Status::kBad;
  std::memcpy(&header, bytes, sizeof header);
  if (header.magic != kFrameMagic) return Status::kBad;
  if (header.header_crc != seed_.header_crc(header, offset_)) return Status::kBad;
  return sizes_are_sane(header, offset_, segment_bytes_) ? Status::kOk : Status::kBad;
}

FrameStream::Status FrameStream::payload(const FrameHeader& header,
                                         std::span<const std::byte>& out) {
  OJ_CHECK(sizes_are_sane(header, offset_, segment_bytes_));
  const std::byte* bytes = want(sizeof header + header.payload_bytes);
  if (bytes == nullptr) return read_failure_ != 0 ? Status::kReadFailed : Status::kBad;
  out = {bytes + sizeof header, header.payload_bytes};
  return header.payload_crc == seed_.payload_crc(out, offset_, header.first_seq) ? Status::kOk
                                                                                 : Status::kBad;
}

void FrameStream::skip(const FrameHeader& header) {
  OJ_CHECK(sizes_are_sane(header, offset_, segment_bytes_));
  offset_ += sizeof header + header.payload_bytes;
  chain_ = header.payload_crc;
}

}  // namespace oj::journal
