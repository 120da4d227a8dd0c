// SPDX-License-Identifier: MIT
#include "journal/segment_files.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <limits>
#include <memory>
#include <string_view>

namespace oj::journal {
namespace {

constexpr std::string_view kSuffix = ".seg";
constexpr std::string_view kTemporarySuffix = ".seg.tmp";
constexpr std::size_t kSeqDigits = 20;
constexpr std::size_t kNumberDigits = 10;
constexpr std::size_t kStemSize = kSeqDigits + 1 + kNumberDigits;

bool parse_digits(std::string_view text, std::uint64_t& value) {
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size();
}

bool parse_stem(std::string_view stem, SegmentName& name) {
  return stem.size() == kStemSize && stem[kSeqDigits] == '-' &&
         parse_digits(stem.substr(0, kSeqDigits), name.first_seq) &&
         parse_digits(stem.substr(kSeqDigits + 1), name.number);
}

void add_entry(std::string_view entry, SegmentListing& listing) {
  SegmentName name;
  if (entry.size() <= kStemSize || !parse_stem(entry.substr(0, kStemSize), name)) return;
  const std::string_view suffix = entry.substr(kStemSize);
  if (suffix == kSuffix) {
    listing.segments.push_back(name);
  } else if (suffix == kTemporarySuffix) {
    listing.temporaries.emplace_back(entry);
  }
}

enum class Copy { kGood, kBad, kNewer };

Copy check_copy(const SegmentHeader& header, std::uint64_t copy_offset) {
  if (header.magic != kSegmentMagic) return Copy::kBad;
  if (header.crc != segment_header_crc(header, copy_offset)) return Copy::kBad;
  if (header.format_major != kFormatMajor) return Copy::kNewer;
  if ((header.incompat & ~kKnownIncompat) != 0) return Copy::kNewer;
  return Copy::kGood;
}

// What a header with a good CRC says that its name or its journal does not; empty: they agree.
std::string contradiction(const SegmentHeader& header, const SegmentName& name, const Uuid& id) {
  if (header.journal_id != id) {
    return "belongs to journal " + to_string(header.journal_id) + ", not to " + to_string(id);
  }
  if (header.number != name.number || header.first_seq != name.first_seq) {
    return "its header says that it is segment " + file_name({header.first_seq, header.number});
  }
  if (header.segment_bytes < kFramesOffset ||
      header.segment_bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return "its header gives it an impossible size of " + std::to_string(header.segment_bytes) +
           " bytes";
  }
  return {};
}

}  // namespace

std::string file_name(const SegmentName& name) {
  char text[64];
  std::snprintf(text, sizeof text, "%020llu-%010llu.seg",
                static_cast<unsigned long long>(name.first_seq),
                static_cast<unsigned long long>(name.number));
  return text;
}

std::string temporary_file_name(const SegmentName& name) { return file_name(name) + ".tmp"; }

std::optional<std::size_t> SegmentListing::holder_of(std::uint64_t seq) const {
  for (std::size_t i = segments.size(); i-- > 0;) {
    if (segments[i].first_seq <= seq) return i;
  }
  return std::nullopt;
}

std::uint64_t SegmentListing::end_of(std::size_t index) const {
  std::uint64_t end = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t i = index + 1; i < segments.size(); ++i)
    end = std::min(end, segments[i].first_seq);
  return end;
}

Result<Fd> open_segments_folder(int folder, const std::string& folder_path) {
  Fd fd(::openat(folder, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) return fd;
  const int failure = errno;
  if (failure == ENOENT || failure == ENOTDIR) {
    return Error{Code::kCorrupt,
                 folder_path + "/segments: missing, though " + folder_path +
                     "/FORMAT says that this is a journal",
                 failure};
  }
  return io_error(folder_path + "/segments: cannot open", failure);
}

Result<SegmentListing> list_segments(int segments_folder, const std::string& path) {
  Fd again(::openat(segments_folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!again) return io_error(path + ": cannot list", errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(again.get()), ::closedir);
  if (!stream) return io_error(path + ": cannot list", errno);
  (void)again.release();  // the stream's now
  SegmentListing listing;
  errno = 0;
  while (const dirent* entry = ::readdir(stream.get())) {
    add_entry(entry->d_name, listing);
    errno = 0;
  }
  if (errno != 0) return io_error(path + ": cannot list", errno);
  std::sort(listing.segments.begin(), listing.segments.end(),
            [](const SegmentName& a, const SegmentName& b) { return a.number < b.number; });
  for (std::size_t i = 1; i < listing.segments.size(); ++i) {
    if (listing.segments[i].number == listing.segments[i - 1].number) {
      return Error{Code::kCorrupt, path + ": two segments have the number " +
                                       std::to_string(listing.segments[i].number) + ": " +
                                       file_name(listing.segments[i - 1]) + " and " +
                                       file_name(listing.segments[i])};
    }
  }
  return listing;
}

Result<OpenSegment> open_segment(FileSystem& fs, int segments_folder, const std::string& path,
                                 const SegmentName& name, const Uuid& journal_id, int flags) {
  OpenSegment segment;
  segment.path = path + "/" + file_name(name);
  segment.fd.reset(fs.open_at(segments_folder, file_name(name).c_str(), flags | O_CLOEXEC, 0));
  if (!segment.fd) return io_error(segment.path + ": cannot open", errno);
  struct stat status {};
  if (fs.stat(segment.fd.get(), &status) != 0)
    return io_error(segment.path + ": cannot stat", errno);
  segment.file_bytes = static_cast<std::uint64_t>(status.st_size);
  int read_failure = 0;
  for (const std::uint64_t offset : {std::uint64_t{0}, kSegmentHeaderBytes}) {
    SegmentHeader header{};
    const std::int64_t got = read_fully(fs, segment.fd.get(), &header, sizeof header, offset);
    if (got < 0) read_failure = errno;
    if (got != static_cast<std::int64_t>(sizeof header)) continue;
    switch (check_copy(header, offset)) {
      case Copy::kBad: continue;
      case Copy::kNewer:
        return Error{Code::kIncompatible,
                     segment.path + ": segment format " + std::to_string(header.format_major) +
                         "." + std::to_string(header.format_minor) + " with required features " +
                         std::to_string(header.incompat) + "; this program reads format " +
                         std::to_string(kFormatMajor) + ": upgrade optjournal"};
      case Copy::kGood: break;
    }
    const std::string wrong = contradiction(header, name, journal_id);
    if (!wrong.empty()) return Error{Code::kCorrupt, segment.path + ": " + wrong};
    segment.header = header;
    return segment;
  }
  if (read_failure != 0) return io_error(segment.path + ": cannot read its header", read_failure);
  return Error{Code::kCorrupt, segment.path +
                                   ": both copies of the header are damaged (offsets 0 and " +
                                   std::to_string(kSegmentHeaderBytes) + ")"};
}

}  // namespace oj::journal
