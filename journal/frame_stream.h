// Walks over the frames of one segment in order: big sequential preads into one buffer, every
// header and payload checked in it.
//
// The buffer may be older than the file: a writer may have added frames since it was read. So
// whoever knows that there is more calls forget_buffered() and looks again before it believes that
// a frame is bad.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "journal/file_system.h"
#include "journal/format.h"

namespace oj::journal {

class FrameStream {
 public:
  enum class Status {
    kOk,
    kBad,         // magic, CRC or sizes do not fit, or the file ends before
    kReadFailed,  // read_failure() is the errno
  };

  // Starts at the first frame. `fd` is the caller's and must stay open.
  FrameStream(FileSystem& fs, int fd, const SegmentHeader& segment);

  std::uint64_t offset() const { return offset_; }
  // The previous_payload_crc that the frame at offset() should have.
  std::uint32_t chain() const { return chain_; }
  int read_failure() const { return read_failure_; }

  // The header of the frame at offset(): its CRC fits and its sizes are sane. Does not move.
  Status peek(FrameHeader& header);
  // The payload of the frame that peek() has just given, CRC checked; valid until the next call,
  // starts 8-aligned.
  Status payload(const FrameHeader& header, std::span<const std::byte>& out);
  // Moves past that frame, whose payload need not have been looked at.
  void skip(const FrameHeader& header);

  void forget_buffered() { buffered_bytes_ = 0; }

 private:
  // Makes `size` bytes from offset_ on available in the buffer: a pointer to them, or nullptr with
  // read_failure_ (0: the file ends before).
  const std::byte* want(std::uint64_t size);

  FileSystem* fs_;
  int fd_;
  SegmentSeed seed_;
  std::uint64_t segment_bytes_;
  std::uint64_t offset_ = kFramesOffset;
  std::uint32_t chain_;
  int read_failure_ = 0;

  std::vector<std::uint64_t> buffer_;  // words, so that it starts 8-aligned
  std::uint64_t buffered_from_ = 0;    // offset in the file of its first byte
  std::uint64_t buffered_bytes_ = 0;
  std::uint64_t read_ahead_;  // doubles while the stream is read on
};

}  // namespace oj::journal
