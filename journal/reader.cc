// SPDX-License-Identifier: MIT
#include "journal/reader.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "journal/frame_stream.h"
#include "journal/segment_files.h"

namespace oj::journal {
namespace {

// How often a segment may vanish between listing and opening (a writer removes what it has
// superseded).
constexpr int kListAttempts = 16;

}  // namespace

struct Reader::Impl {
  FileSystem& fs;
  std::string path;  // of segments/, for messages
  std::string folder_path;
  Uuid journal_id{};
  Fd folder;
  std::uint64_t next_seq = 0;

  Fd segments_folder;
  std::uint64_t listed_limit = 0;  // the listing was made knowing that all records below are synced
  std::uint64_t end_seq = 0;       // where, by that listing, a later segment takes over
  std::optional<OpenSegment> segment;
  std::optional<FrameStream> stream;

  std::span<const std::byte> records;  // of the current frame, those not yet handed out
  std::uint64_t frame_offset = 0;      // of that frame

  explicit Impl(FileSystem& f) : fs(f) {}

  // After an error: the next call opens the segment again.
  void start_afresh() {
    records = {};
    stream.reset();
    segment.reset();
  }
  Result<void> locate(std::uint64_t limit);
  Result<void> enter_frame();
  bool try_frame();
  Error damaged(const std::string& what, Code code = Code::kCorrupt, int os_error = 0) const;
  Result<std::span<const std::byte>> take_record();
};

Error Reader::Impl::damaged(const std::string& what, Code code, int os_error) const {
  std::string message = segment->path + ": offset " + std::to_string(frame_offset) + ", record " +
                        std::to_string(next_seq) + ": " + what;
  if (code == Code::kIo) return io_error(std::move(message), os_error);
  return Error{code, std::move(message), os_error};
}

// Opens the segment that holds next_seq, unless it is open already.
Result<void> Reader::Impl::locate(std::uint64_t limit) {
  if (!segments_folder) {
    if (!folder)
      return Error{Code::kIo, folder_path + ": no descriptor left to open it with", EMFILE};
    auto opened_folder = open_segments_folder(folder.get(), folder_path);
    if (!opened_folder) return opened_folder.error();
    segments_folder = std::move(*opened_folder);
  }
  for (int attempt = 0; attempt < kListAttempts; ++attempt) {
    const auto listing = list_segments(segments_folder.get(), path);
    if (!listing) return listing.error();
    const auto index = listing->holder_of(next_seq);
    if (!index) {
      return Error{Code::kCorrupt, path + ": no segment holds record " + std::to_string(next_seq) +
                                       (listing->segments.empty() ? ": there are none" : "")};
    }
    const SegmentName& name = listing->segments[*index];
    if (!segment || segment->header.number != name.number) {
      auto opened = open_segment(fs, segments_folder.get(), path, name, journal_id, O_RDONLY);
      if (!opened && opened.error().os_error == ENOENT) continue;
      if (!opened) return opened.error();
      segment = std::move(*opened);
      stream.emplace(fs, segment->fd.get(), segment->header);
      records = {};
    }
    listed_limit = limit;
    end_seq = listing->end_of(*index);
    return {};
  }
  return Error{Code::kBusy, path + ": segments vanish faster than they can be opened"};
}

// Walks to the frame that holds next_seq. True: `records` starts at that record. False: the frame
// at the stream's offset is not whole, or not the right one.
bool Reader::Impl::try_frame() {
  FrameHeader header;
  while (frame_offset = stream->offset(), stream->peek(header) == FrameStream::Status::kOk) {
    const bool fits = header.previous_payload_crc == stream->chain() &&
                      header.generation == segment->header.generation &&
                      header.first_seq <= next_seq;
    if (!fits) return false;
    if (next_seq - header.first_seq >= header.record_count) {
      stream->skip(header);
      continue;
    }
    std::span<const std::byte> payload;
    if (stream->payload(header, payload) != FrameStream::Status::kOk) return false;
    records = payload;
    const std::uint64_t wanted = next_seq;
    for (next_seq = header.first_seq; next_seq < wanted;) {
      if (!take_record()) break;
    }
    const bool found = next_seq == wanted;
    next_seq = wanted;
    if (found) stream->skip(header);
    return found;
  }
  return false;
}

Result<void> Reader::Impl::enter_frame() {
  if (try_frame()) return {};
  // The buffer may be older than the frame.
  stream->forget_buffered();
  if (try_frame()) return {};
  if (stream->read_failure() != 0) {
    return damaged("cannot read this segment", Code::kIo, stream->read_failure());
  }
  if (segment->file_bytes < segment->header.segment_bytes) {
    return damaged("the file was cut short: it has " + std::to_string(segment->file_bytes) +
                   " bytes, its header says " + std::to_string(segment->header.segment_bytes));
  }
  return damaged("the frame that should hold this record is missing or damaged");
}

// The first of `records`, which are not empty: bounds first, then its CRC.
Result<std::span<const std::byte>> Reader::Impl::take_record() {
  RecordHeader header;
  if (records.size() < sizeof header)
    return damaged("the frame before has fewer records than it says");
  std::memcpy(&header, records.data(), sizeof header);
  const std::uint64_t room = records.size() - sizeof header;
  if (header.length > room || padded(header.length) > room) {
    return damaged("a record of " + std::to_string(header.length) +
                   " bytes does not fit into its frame");
  }
  const std::span<const std::byte> bytes = records.subspan(sizeof header, header.length);
  if (record_crc(bytes, next_seq) != header.crc)
    return damaged("the record's checksum does not fit");
  records = records.subspan(sizeof header + padded(header.length));
  ++next_seq;
  return bytes;
}

Reader::Reader(const Folder& folder, std::uint64_t first_seq, FileSystem& file_system)
    : impl_(std::make_unique<Impl>(file_system)) {
  impl_->path = folder.segments_path();
  impl_->folder_path = folder.path();
  impl_->journal_id = folder.journal_id();
  impl_->folder.reset(::fcntl(folder.fd(), F_DUPFD_CLOEXEC, 0));
  impl_->next_seq = first_seq;
}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

std::uint64_t Reader::next_seq() const { return impl_->next_seq; }

Result<std::span<const std::byte>> Reader::next(std::uint64_t limit) {
  Impl& impl = *impl_;
  if (impl.next_seq >= limit) {
    return Error{Code::kInvalid, "record " + std::to_string(impl.next_seq) +
                                     " was asked for, but only records below " +
                                     std::to_string(limit) + " are known to be on disk"};
  }
  const bool look_again =
      !impl.segment || impl.next_seq >= impl.listed_limit || impl.next_seq >= impl.end_seq;
  Result<void> ready;
  if (look_again) ready = impl.locate(limit);
  if (ready && impl.records.empty()) ready = impl.enter_frame();
  if (!ready) {
    impl.start_afresh();
    return ready.error();
  }
  auto record = impl.take_record();
  if (!record) impl.start_afresh();
  return record;
}

}  // namespace oj::journal
