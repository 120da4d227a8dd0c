// SPDX-License-Identifier: MIT
#include "journal/writer.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/check.h"
#include "journal/format.h"
#include "journal/segment_files.h"

namespace oj::journal {
namespace {

// Every frame leaves room for an idle marker after it, so that a marker never needs a new segment.
constexpr std::uint64_t kMarkerBytes = sizeof(FrameHeader);
// A rest of a full segment that is worth a system call to give back.
constexpr std::uint64_t kPunchBytesMin = 64u << 10;

std::uint64_t aligned_size(std::uint64_t size) {
  return (size + kSegmentBytesAlignment - 1) / kSegmentBytesAlignment * kSegmentBytesAlignment;
}

bool out_of_room(int failure) { return failure == ENOSPC || failure == EDQUOT || failure == EFBIG; }

struct Known {  // a segment on disk
  SegmentName name;
  std::uint64_t disk_bytes = 0;
};

struct Current {  // the segment that is being written
  Fd fd;
  SegmentName name;
  std::uint64_t segment_bytes = 0;
  std::uint64_t offset = kFramesOffset;  // where the next frame goes
  std::uint32_t chain = 0;               // payload_crc of the last frame
  bool unsynced = false;
  bool ends_in_marker = false;
};

}  // namespace

struct Writer::Impl {
  FileSystem& fs;
  WriterOptions options;
  std::string path;  // of segments/, for messages
  Uuid journal_id{};
  std::uint64_t generation = 0;
  Grants grants;
  Fd segments_folder;

  std::vector<Known> known;  // by number
  std::uint64_t number_last = 0;
  Current current;
  std::uint64_t next_seq = 0;
  std::uint64_t synced_through = 0;
  std::optional<Error> suspect;  // the first error since the last restart
  bool failed_in_sync = false;
  std::vector<std::byte> frame;

  explicit Impl(const WriterOptions& o)
      : fs(o.file_system != nullptr ? *o.file_system : real_file_system()), options(o) {}

  std::string path_of(const SegmentName& name) const { return path + "/" + file_name(name); }
  Error fail(Error error) {
    if (!suspect) suspect = error;
    return error;
  }
  std::uint64_t disk_bytes() const {
    std::uint64_t sum = 0;
    for (const Known& one : known) sum += one.disk_bytes;
    return sum;
  }

  Result<void> look_around();
  Result<void> start_segment(std::uint64_t first_seq, std::uint64_t frame_bytes);
  SegmentHeader make_header(const Current& made) const;
  Result<void> make_file(Current& made, std::uint64_t wanted, std::uint64_t needed);
  int allocate(Current& made, std::uint64_t wanted, std::uint64_t needed);
  Error no_room(const SegmentName& name, std::uint64_t needed, int failure) const;
  void remove_superseded();
  void give_back_rest();
  Result<void> sync_current();
  Result<void> make_room(std::uint64_t frame_bytes);
  Result<void> write_frame(std::uint32_t record_count, std::int64_t time_us);
};

// Which segments there are, and what they take.
Result<void> Writer::Impl::look_around() {
  const auto listing = list_segments(segments_folder.get(), path);
  if (!listing) return listing.error();
  for (const SegmentName& name : listing->segments) {
    const Fd fd(
        fs.open_at(segments_folder.get(), file_name(name).c_str(), O_RDONLY | O_CLOEXEC, 0));
    struct stat status {};
    if (!fd || fs.stat(fd.get(), &status) != 0)
      return io_error(path_of(name) + ": cannot open", errno);
    known.push_back({name, static_cast<std::uint64_t>(status.st_blocks) * 512});
    number_last = name.number;
  }
  return {};
}

SegmentHeader Writer::Impl::make_header(const Current& made) const {
  SegmentHeader header{};
  header.magic = kSegmentMagic;
  header.format_major = kFormatMajor;
  header.format_minor = kFormatMinor;
  header.journal_id = journal_id;
  header.number = made.name.number;
  header.first_seq = made.name.first_seq;
  header.generation = generation;
  header.segment_bytes = made.segment_bytes;
  header.boot_id = options.boot_id;
  for (const Known& one : known) {
    if (one.name.first_seq < made.name.first_seq) header.previous_number = one.name.number;
  }
  return header;
}

Error Writer::Impl::no_room(const SegmentName& name, std::uint64_t needed, int failure) const {
  std::string available = "an unknown number of";
  struct statvfs status {};
  if (::fstatvfs(segments_folder.get(), &status) == 0) {
    available = std::to_string(std::uint64_t{status.f_bavail} * status.f_frsize);
  }
  return io_error(path_of(name) + ": no room for a new segment: needs " + std::to_string(needed) +
                      " bytes, available are " + available + " bytes",
                  failure);
}

// Preallocates `wanted` bytes; where the disk is nearly full, less, but never less than `needed`. 0
// or errno.
int Writer::Impl::allocate(Current& made, std::uint64_t wanted, std::uint64_t needed) {
  for (std::uint64_t size = wanted;; size = std::max(needed, aligned_size(size / 2))) {
    int failure = 0;
    do failure = fs.allocate(made.fd.get(), size) == 0 ? 0 : errno;
    while (failure == EINTR);
    made.segment_bytes = size;
    if (failure == 0) return 0;
    // What was allocated before there was no more room would keep others from it, for ever: nothing
    // gives back what lies behind the end that the header names.
    if (fs.truncate(made.fd.get(), 0) != 0) return errno;
    if (!out_of_room(failure) || size <= needed) return failure;
  }
}

// Under a temporary name until all of it is on stable storage, then under its own, and that too.
Result<void> Writer::Impl::make_file(Current& made, std::uint64_t wanted, std::uint64_t needed) {
  const std::string temporary = temporary_file_name(made.name);
  const std::string name = file_name(made.name);
  const int folder = segments_folder.get();
  const int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
  made.fd.reset(fs.open_at(folder, temporary.c_str(), flags, grants.file_mode));
  if (!made.fd) {
    return out_of_room(errno) ? no_room(made.name, needed, errno)
                              : io_error(path_of(made.name) + ": cannot create", errno);
  }
  grants.give(made.fd.get(), grants.file_mode);
  const char* step = "cannot preallocate";
  int failure = allocate(made, wanted, needed);
  if (failure == 0) {
    step = "cannot write its header";
    SegmentHeader copies[2] = {make_header(made), make_header(made)};
    copies[0].crc = segment_header_crc(copies[0], 0);
    copies[1].crc = segment_header_crc(copies[1], kSegmentHeaderBytes);
    made.chain = copies[0].crc;
    failure = write_fully(fs, made.fd.get(), copies, sizeof copies, 0);
  }
  if (failure == 0 && fs.fsync(made.fd.get()) != 0) failure = errno, step = "cannot sync";
  bool named = false;
  if (failure == 0) {
    named = fs.rename_at(folder, temporary.c_str(), name.c_str()) == 0;
    if (!named) failure = errno, step = "cannot rename it from its temporary name";
  }
  if (failure == 0 && fs.fsync(folder) != 0) failure = errno, step = "cannot sync its folder";
  if (failure == 0) return {};
  // Best effort: what stays is removed by recovery, or superseded by the next segment.
  const Error error = out_of_room(failure) ? no_room(made.name, needed, failure)
                                           : io_error(path_of(made.name) + ": " + step, failure);
  (void)fs.unlink_at(folder, named ? name.c_str() : temporary.c_str());
  return error;
}

// Goes on in a new segment, with room for a frame of that size. On failure nothing has changed.
Result<void> Writer::Impl::start_segment(std::uint64_t first_seq, std::uint64_t frame_bytes) {
  const std::uint64_t fits = aligned_size(kFramesOffset + frame_bytes + kMarkerBytes);
  const std::uint64_t needed = std::max(aligned_size(options.segment_bytes_min), fits);
  const std::uint64_t grown =
      std::min(aligned_size(disk_bytes()), aligned_size(options.segment_bytes_max));
  Current made;
  made.name = {first_seq, ++number_last};  // a number is never used again, also after a failure
  if (const auto file = make_file(made, std::max(grown, needed), needed); !file)
    return file.error();
  current = std::move(made);
  known.push_back({current.name, current.segment_bytes});
  remove_superseded();
  return {};
}

// Segments that hold no record any more because the newest one begins at or before their first.
// Best effort.
void Writer::Impl::remove_superseded() {
  std::erase_if(known, [this](const Known& one) {
    return one.name.number != current.name.number && one.name.first_seq >= current.name.first_seq &&
           fs.unlink_at(segments_folder.get(), file_name(one.name).c_str()) == 0;
  });
}

// The unused end of a full segment. Best effort.
void Writer::Impl::give_back_rest() {
  const std::uint64_t from = aligned_size(current.offset);
  if (current.segment_bytes < from + kPunchBytesMin) return;
  const std::uint64_t rest = current.segment_bytes - from;
  if (fs.punch(current.fd.get(), from, rest) == 0 && !known.empty())
    known.back().disk_bytes -= rest;
}

Result<void> Writer::Impl::sync_current() {
  if (!current.unsynced) return {};
  if (fs.fdatasync(current.fd.get()) != 0) {
    failed_in_sync = !suspect;
    return fail(io_error(path_of(current.name) + ": cannot sync what was written (records " +
                             std::to_string(synced_through) + " to " + std::to_string(next_seq) +
                             ")",
                         errno));
  }
  current.unsynced = false;
  synced_through = next_seq;
  return {};
}

// After this the current segment has room for the frame and a marker.
Result<void> Writer::Impl::make_room(std::uint64_t frame_bytes) {
  if (current.segment_bytes - current.offset >= frame_bytes + kMarkerBytes) return {};
  if (const auto synced = sync_current(); !synced) return synced.error();
  give_back_rest();
  const auto started = start_segment(next_seq, frame_bytes);
  return started ? Result<void>() : fail(started.error());
}

// Writes `frame`, whose payload is in place.
Result<void> Writer::Impl::write_frame(std::uint32_t record_count, std::int64_t time_us) {
  const SegmentSeed seed(journal_id, current.name.number);
  const std::span<const std::byte> payload = std::span(frame).subspan(sizeof(FrameHeader));
  FrameHeader header{};
  header.magic = kFrameMagic;
  header.first_seq = next_seq;
  header.synced_through = synced_through;
  header.generation = generation;
  header.time_us = time_us;
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  header.record_count = record_count;
  header.payload_crc = seed.payload_crc(payload, current.offset, next_seq);
  header.previous_payload_crc = current.chain;
  header.header_crc = seed.header_crc(header, current.offset);
  std::memcpy(frame.data(), &header, sizeof header);
  OJ_CHECK(current.offset % kFrameAlignment == 0);
  OJ_CHECK(sizes_are_sane(header, current.offset, current.segment_bytes));
  current.unsynced = true;  // also if it fails half way
  const int failure = write_fully(fs, current.fd.get(), frame.data(), frame.size(), current.offset);
  if (failure != 0) {
    return fail(io_error(path_of(current.name) + ": cannot write " + std::to_string(frame.size()) +
                             " bytes at offset " + std::to_string(current.offset),
                         failure));
  }
  current.offset += frame.size();
  current.chain = header.payload_crc;
  current.ends_in_marker = record_count == 0;
  next_seq += record_count;
  return {};
}

Writer::Writer() = default;
Writer::Writer(Writer&&) noexcept = default;
Writer& Writer::operator=(Writer&&) noexcept = default;
Writer::~Writer() = default;

Result<Writer> Writer::open(const Folder& folder, std::uint64_t first_seq, std::uint64_t generation,
                            const WriterOptions& options) {
  OJ_CHECK(options.segment_bytes_min >= 1 && options.segment_bytes_max <= (std::uint64_t{1} << 40));
  Writer writer;
  writer.impl_ = std::make_unique<Impl>(options);
  Impl& impl = *writer.impl_;
  impl.path = folder.segments_path();
  impl.journal_id = folder.journal_id();
  impl.generation = generation;
  impl.grants = folder.grants();
  impl.next_seq = first_seq;
  impl.synced_through = first_seq;  // recover() has synced what it kept
  auto segments_folder = open_segments_folder(folder.fd(), folder.path());
  if (!segments_folder) return segments_folder.error();
  impl.segments_folder = std::move(*segments_folder);
  if (const auto looked = impl.look_around(); !looked) return looked.error();
  // The names of FORMAT and segments/: their creator may have died before he synced them.
  if (impl.fs.fsync(folder.fd()) != 0)
    return io_error(folder.path() + ": cannot sync this folder", errno);
  if (const auto started = impl.start_segment(first_seq, 0); !started) return started.error();
  return writer;
}

Result<void> Writer::write_batch(std::span<const RecordBytes> records, std::int64_t time_us) {
  Impl& impl = *impl_;
  if (impl.suspect) return *impl.suspect;
  if (records.empty()) return {};
  std::uint64_t payload_bytes = 0;
  for (const RecordBytes& record : records) {
    payload_bytes += sizeof(RecordHeader) + padded(record.bytes.size());
    if (record.bytes.size() > kPayloadBytesMax || payload_bytes > kPayloadBytesMax) {
      return Error{Code::kInvalid, "a batch of records takes more than " +
                                       std::to_string(kPayloadBytesMax) +
                                       " bytes, the most that a frame of the journal can hold"};
    }
  }
  const std::uint64_t frame_bytes = sizeof(FrameHeader) + payload_bytes;
  if (const auto room = impl.make_room(frame_bytes); !room) return room.error();
  impl.frame.assign(frame_bytes, std::byte{0});
  std::byte* at = impl.frame.data() + sizeof(FrameHeader);
  std::uint64_t seq = impl.next_seq;
  for (const RecordBytes& record : records) {
    const RecordHeader header{static_cast<std::uint32_t>(record.bytes.size()),
                              record_crc(record.bytes, seq++)};
    std::memcpy(at, &header, sizeof header);
    if (!record.bytes.empty())
      std::memcpy(at + sizeof header, record.bytes.data(), record.bytes.size());
    at += sizeof header + padded(record.bytes.size());
  }
  return impl.write_frame(static_cast<std::uint32_t>(records.size()), time_us);
}

Result<void> Writer::sync() {
  if (impl_->suspect) return *impl_->suspect;
  return impl_->sync_current();
}

Result<void> Writer::write_idle_marker(std::int64_t time_us) {
  Impl& impl = *impl_;
  if (const auto synced = sync(); !synced) return synced.error();
  // A new segment's header says the same as a marker would.
  if (impl.current.ends_in_marker || impl.current.offset == kFramesOffset) return {};
  impl.frame.assign(sizeof(FrameHeader), std::byte{0});
  if (const auto written = impl.write_frame(0, time_us); !written) return written.error();
  return impl.sync_current();
}

Result<void> Writer::restart() {
  Impl& impl = *impl_;
  impl.failed_in_sync = false;
  if (const auto started = impl.start_segment(impl.synced_through, 0); !started) {
    return impl.fail(started.error());
  }
  impl.next_seq = impl.synced_through;
  impl.suspect.reset();
  return {};
}

bool Writer::failed_in_sync() const { return impl_->failed_in_sync; }
std::uint64_t Writer::next_seq() const { return impl_->next_seq; }
std::uint64_t Writer::synced_through() const { return impl_->synced_through; }
std::uint64_t Writer::segment_count() const { return impl_->known.size(); }
std::uint64_t Writer::disk_bytes() const { return impl_->disk_bytes(); }

}  // namespace oj::journal
