// Creates, checks and maps the region file.
//
// SPDX-License-Identifier: MIT
#include "shm/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>

#include "base/clock.h"
#include "base/fd.h"
#include "shm/lost_pages.h"
#include "shm/views.h"
#include "shm/wake.h"
#include "shm/watermarks.h"

namespace oj::shm {
namespace {

namespace bip = boost::interprocess;

// Lets Boost map a descriptor that we opened ourselves: its file_mapping opens by name, follows
// links, and leaves the descriptor open across exec.
class OpenFile {
 public:
  OpenFile(int fd, bip::mode_t mode) : fd_(fd), mode_(mode) {}
  bip::mapping_handle_t get_mapping_handle() const {
    return bip::ipcdetail::mapping_handle_from_file_handle(fd_);
  }
  bip::mode_t get_mode() const { return mode_; }

 private:
  int fd_;
  bip::mode_t mode_;
};

Error no_room(const std::string& path, std::uint64_t needed, std::uint64_t available) {
  return {Code::kBusy,
          "not enough memory for the region " + path + ": " + std::to_string(needed) +
              " bytes needed, " + std::to_string(available) + " available",
          ENOSPC};
}

std::uint64_t available_bytes(int fd) {
  struct statvfs fs {};
  if (fstatvfs(fd, &fs) != 0) return 0;
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

std::string hex(std::uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "0x";
  for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(value >> shift) & 15];
  return text;
}

std::string hex(const std::uint8_t (&id)[16]) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : id) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Error differs(Code code, const std::string& path, const std::string& what, const std::string& found,
              const std::string& wanted) {
  return {code, "the region " + path + " has " + what + " " + found + ", expected " + wanted};
}

void copy_id(std::uint8_t (&to)[16], const Id& from) { std::memcpy(to, from.data(), sizeof to); }
Id id_of(const std::uint8_t (&from)[16]) {
  Id id;
  std::memcpy(id.data(), from, sizeof from);
  return id;
}

HeaderFields header_for(const CreateOptions& options) {
  HeaderFields fields{};
  fields.magic = kMagic;
  fields.format = kFormat;
  fields.layout_hash = kLayoutHash;
  copy_id(fields.boot_id, options.identity.boot_id);
  copy_id(fields.journal_id, options.identity.journal_id);
  fields.generation = options.identity.generation;
  fields.ring_slots = options.sizes.ring_slots;
  fields.chunk_bytes = options.sizes.chunk_bytes;
  fields.chunk_count = options.sizes.chunk_count;
  fields.worker_slots = options.sizes.worker_slots;
  fields.region_bytes = options.sizes.region_bytes();
  fields.first_seq = options.first_seq;
  return fields;
}

// The order of the checks is the order of what can be believed.
Result<void> check_header(const std::string& path, const HeaderFields& h, std::uint32_t state,
                          std::uint64_t file_bytes, const Identity* expected) {
  if (h.magic != kMagic)
    return differs(Code::kIncompatible, path, "magic", hex(h.magic), hex(kMagic));
  if (h.format != kFormat) {
    return differs(Code::kIncompatible, path, "format", std::to_string(h.format),
                   std::to_string(kFormat));
  }
  if (h.layout_hash != kLayoutHash) {
    return differs(Code::kIncompatible, path, "layout", hex(h.layout_hash), hex(kLayoutHash));
  }
  if (expected != nullptr) {
    HeaderFields want{};
    copy_id(want.boot_id, expected->boot_id);
    copy_id(want.journal_id, expected->journal_id);
    if (std::memcmp(h.boot_id, want.boot_id, sizeof want.boot_id) != 0) {
      return differs(Code::kGone, path, "boot id", hex(h.boot_id), hex(want.boot_id));
    }
    if (std::memcmp(h.journal_id, want.journal_id, sizeof want.journal_id) != 0) {
      return differs(Code::kGone, path, "journal id", hex(h.journal_id), hex(want.journal_id));
    }
    if (expected->generation != 0 && h.generation != expected->generation) {
      return differs(Code::kGone, path, "generation", std::to_string(h.generation),
                     std::to_string(expected->generation));
    }
  }
  const Sizes sizes{h.ring_slots, h.chunk_bytes, h.chunk_count, h.worker_slots};
  if (auto ok = check_sizes(sizes); !ok) {
    return Error{Code::kCorrupt, "the region " + path + " is damaged: " + ok.error().message};
  }
  if (h.region_bytes != sizes.region_bytes() || file_bytes != sizes.region_bytes()) {
    return differs(Code::kCorrupt, path, "bytes",
                   std::to_string(file_bytes) + " (header: " + std::to_string(h.region_bytes) + ")",
                   std::to_string(sizes.region_bytes()));
  }
  if (state == static_cast<std::uint32_t>(RegionState::kRetired)) {
    return Error{Code::kGone,
                 "the region " + path + " has state 2 (RETIRED), expected 1 (RUNNING)"};
  }
  if (state != static_cast<std::uint32_t>(RegionState::kRunning)) {
    return differs(Code::kCorrupt, path, "state", std::to_string(state), "1 (RUNNING)");
  }
  return {};
}

// Read, not mapped: what is checked is what is used, and a file that shrinks meanwhile is an error,
// not a signal.
struct ReadHeader {
  HeaderFields fields{};
  std::uint32_t state = 0;
  std::uint64_t file_bytes = 0;
};
Result<ReadHeader> read_header(int fd, const std::string& path) {
  struct stat file {};
  if (fstat(fd, &file) != 0) return io_error("cannot stat the region " + path, errno);
  if (!S_ISREG(file.st_mode))
    return Error{Code::kIncompatible, "the region " + path + " is not a regular file"};
  ReadHeader header;
  header.file_bytes = static_cast<std::uint64_t>(file.st_size);
  if (header.file_bytes < kSlotsOffset) {
    return differs(Code::kIncompatible, path, "bytes", std::to_string(header.file_bytes),
                   "at least " + std::to_string(kSlotsOffset));
  }
  if (pread(fd, &header.fields, sizeof header.fields, 0) !=
          static_cast<ssize_t>(sizeof header.fields) ||
      pread(fd, &header.state, sizeof header.state, offsetof(ProductionHeader, state)) !=
          static_cast<ssize_t>(sizeof header.state)) {
    return io_error("cannot read the header of the region " + path, errno);
  }
  return header;
}

// Everything that is not zero in a new region. Nobody else has the file yet, so all of it is
// relaxed: init.
void fill(const Region& region, const HeaderFields& fields) {
  const RegionView view(region);
  view.header().fields = fields;
  ProductionWatermarks& marks = view.marks();
  for (auto* mark :
       {&marks.hint, &marks.synced, &marks.written, &marks.retained, &marks.synced_seen}) {
    mark->store(fields.first_seq, std::memory_order_relaxed);  // init
  }
  marks.synced_at_ns.store(monotonic_ns(), std::memory_order_relaxed);  // init
  for (std::uint32_t i = 0; i < fields.worker_slots; ++i) {
    view.slot(i).state.store(std::uint64_t{1} << kSlotIncarnationShift,
                             std::memory_order_relaxed);  // init: FREE, life 1
  }
  // Each slot looks as if its record of the lap before first_seq had been there. For a new journal
  // that is all zeros.
  const OrderRing<Production> ring = view.ring();
  auto* slots = reinterpret_cast<ProductionWord*>(
      region.base() +
      geometry_of(fields.ring_slots, fields.chunk_bytes, fields.chunk_count, fields.worker_slots)
          .ring);
  if (fields.first_seq != 0) {
    for (std::uint64_t i = 0; i < ring.count(); ++i) {
      const std::uint64_t seq = fields.first_seq + i;
      slots[seq & (ring.count() - 1)].store(((ring.tag_of(seq) - 1) & kTagMask) << kReferenceBits,
                                            std::memory_order_relaxed);  // init
    }
  }
  view.header().state.store(static_cast<std::uint32_t>(RegionState::kRunning),
                            std::memory_order_release);  // init
}

}  // namespace

// Holds Boost's mapping where it can also be forgotten: in a fork child it does not exist, and
// unmapping its addresses could hit something else.
struct Region::Mapping {
  Mapping(int fd, bip::mode_t mode) { new (bytes) bip::mapped_region(OpenFile(fd, mode), mode); }
  ~Mapping() {
    if (!forgotten) region().~mapped_region();
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bip::mapped_region& region() {
    return *std::launder(reinterpret_cast<bip::mapped_region*>(bytes));
  }

  alignas(bip::mapped_region) std::byte bytes[sizeof(bip::mapped_region)];
  bool forgotten = false;
};

Region::Region() = default;

Region::~Region() {
  if (base_ != nullptr) forget_pages(base_);
  mapping_.reset();
  if (fd_ >= 0) ::close(fd_);
}

Result<void> Region::map(Access access) {
  const bip::mode_t mode = access == Access::kReadWrite ? bip::read_write : bip::read_only;
  try {
    mapping_ = std::make_unique<Mapping>(fd_, mode);
  } catch (const bip::interprocess_exception& e) {
    return io_error("cannot map the region " + path_, e.get_native_error());
  }
  if (mapping_->region().get_size() !=
      sizes_.region_bytes()) {  // grown or cut since it was checked
    return Error{Code::kCorrupt, "the region " + path_ + " has " +
                                     std::to_string(mapping_->region().get_size()) +
                                     " bytes, expected " + std::to_string(sizes_.region_bytes())};
  }
  base_ = static_cast<std::byte*>(mapping_->region().get_address());
  writable_ = access == Access::kReadWrite;
  if (madvise(base_, sizes_.region_bytes(), MADV_DONTFORK) != 0) {
    return io_error("cannot keep the region " + path_ + " from being inherited", errno);
  }
  watch_pages(base_, sizes_.region_bytes(), &lost_);
  return {};
}

Result<std::shared_ptr<Region>> Region::create(const std::string& path,
                                               const CreateOptions& options) {
  if (auto ok = check_sizes(options.sizes); !ok) return ok.error();
  const std::uint64_t bytes = options.sizes.region_bytes();
  // One fixed name. REQUIRES: one creator at a time.
  const std::string temporary = path + kUnfinished;
  if (unlink(temporary.c_str()) != 0 && errno != ENOENT)
    return io_error("cannot remove " + temporary, errno);
  Fd fd(open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return io_error("cannot create the region " + temporary, errno);
  const auto give_up = [&temporary](Error error) {
    unlink(temporary.c_str());
    return error;
  };
  const std::uint64_t available = available_bytes(fd.get());
  if (available < bytes) return give_up(no_room(path, bytes, available));
  // All pages now, charged to us: a write to a hole in a full tmpfs is SIGBUS, for whoever writes.
  if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes)); error != 0) {
    if (error == ENOSPC) return give_up(no_room(path, bytes, available_bytes(fd.get())));
    return give_up(io_error(
        "cannot allocate " + std::to_string(bytes) + " bytes for the region " + path, error));
  }
  if (options.group != static_cast<gid_t>(-1) &&
      fchown(fd.get(), static_cast<uid_t>(-1), options.group) != 0) {
    return give_up(io_error(
        "cannot give the region " + path + " to group " + std::to_string(options.group), errno));
  }
  if (fchmod(fd.get(), options.mode) != 0)
    return give_up(io_error("cannot set the mode of the region " + path, errno));

  std::shared_ptr<Region> region(new Region);
  region->path_ = path;
  region->fd_ = fd.release();
  region->sizes_ = options.sizes;
  region->identity_ = options.identity;
  region->first_seq_ = options.first_seq;
  if (auto mapped = region->map(Access::kReadWrite); !mapped) return give_up(mapped.error());
  fill(*region, header_for(options));
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return give_up(io_error("cannot rename the region to " + path, errno));
  }
  return region;
}

Result<std::shared_ptr<Region>> Region::attach(const std::string& path, Access access,
                                               const Identity* expected) {
  Fd fd(open(path.c_str(), (access == Access::kReadWrite ? O_RDWR : O_RDONLY) | O_NOFOLLOW |
                               O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    Error error = io_error("cannot open the region " + path, errno);
    if (error.os_error == ENOENT) error.code = Code::kGone;
    return error;
  }
  const Result<ReadHeader> header = read_header(fd.get(), path);
  if (!header) return header.error();
  const HeaderFields& fields = header->fields;
  if (auto ok = check_header(path, fields, header->state, header->file_bytes, expected); !ok)
    return ok.error();

  std::shared_ptr<Region> region(new Region);
  region->path_ = path;
  region->fd_ = fd.release();
  region->sizes_ = {fields.ring_slots, fields.chunk_bytes, fields.chunk_count, fields.worker_slots};
  region->identity_ = {id_of(fields.boot_id), id_of(fields.journal_id), fields.generation};
  region->first_seq_ = fields.first_seq;
  if (auto mapped = region->map(access); !mapped) return mapped.error();
  return region;
}

Result<void> Region::check_file() const {
  const Result<ReadHeader> header = read_header(fd_, path_);
  if (!header) return header.error();
  auto ok = check_header(path_, header->fields, header->state, header->file_bytes, &identity_);
  if (!ok) return ok;
  const HeaderFields& fields = header->fields;
  if (fields.first_seq != first_seq_) {
    return differs(Code::kCorrupt, path_, "first_seq", std::to_string(fields.first_seq),
                   std::to_string(first_seq_));
  }
  return {};
}

bool Region::retired() const noexcept {
  return RegionView(*this).header().state.load(std::memory_order_acquire) !=  // pair: retired
             static_cast<std::uint32_t>(RegionState::kRunning) ||
         lost();
}

bool Region::lost() const noexcept {
  return RegionView(*this).header().state.load(std::memory_order_acquire) ==  // pair: retired
             static_cast<std::uint32_t>(RegionState::kLost) ||
         lost_.load(std::memory_order_seq_cst);  // pair: lost
}

bool Region::is_cut() const noexcept {
  struct stat file {};
  return fstat(fd_, &file) == 0 && static_cast<std::uint64_t>(file.st_size) < sizes_.region_bytes();
}

// Who sleeps on a page that was cut off can be woken only at the same place of the same file: it is
// made as long again as it was, and mapped anew, since our own mapping may have a page of zeros
// there by now. Whoever comes to the missing pages from here on sees zeros, and LOST.
void Region::lose() noexcept {
  lost_.store(true, std::memory_order_seq_cst);  // pair: lost
  if (ftruncate(fd_, static_cast<off_t>(sizes_.region_bytes())) != 0) return;
  void* const again = mmap(nullptr, kSlotsOffset, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (again == MAP_FAILED) return;
  auto* const bytes = static_cast<std::byte*>(again);
  reinterpret_cast<ProductionHeader*>(bytes + kHeaderOffset)
      ->state.store(static_cast<std::uint32_t>(RegionState::kLost),
                    std::memory_order_seq_cst);  // pair: retired, sleep
  auto& marks = *reinterpret_cast<ProductionWatermarks*>(bytes + kWatermarksOffset);
  for (auto* word :
       {&marks.published_wake, &marks.daemon_wake, &marks.progress_wake, &marks.asked_wake}) {
    word->fetch_add(kWakeStep, std::memory_order_seq_cst);  // pair: sleep
    Production::futex_wake_all(*word);
  }
  munmap(again, kSlotsOffset);
}

void Region::retire() noexcept {
  if (lost() || is_cut()) return lose();
  RegionView(*this).header().state.store(static_cast<std::uint32_t>(RegionState::kRetired),
                                         std::memory_order_seq_cst);  // pair: retired, sleep
  wake_everybody(*this);
}

void Region::abandon_after_fork() noexcept {
  if (base_ != nullptr) forget_pages(base_);
  if (mapping_) mapping_->forgotten = true;
  base_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<Id> this_boot_id() {
  const char* path = "/proc/sys/kernel/random/boot_id";
  Fd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd) return io_error(std::string("cannot open ") + path, errno);
  char text[64] = {};
  const ssize_t n = read(fd.get(), text, sizeof text - 1);
  if (n < 0) return io_error(std::string("cannot read ") + path, errno);
  Id id{};
  std::size_t digits = 0;
  for (const char* c = text; *c != 0 && digits < 32; ++c) {
    int value = -1;
    if (*c >= '0' && *c <= '9') value = *c - '0';
    if (*c >= 'a' && *c <= 'f') value = *c - 'a' + 10;
    if (value < 0) continue;  // the dashes
    id[digits / 2] = static_cast<std::byte>(std::to_integer<unsigned>(id[digits / 2]) << 4 |
                                            static_cast<unsigned>(value));
    ++digits;
  }
  if (digits != 32) return Error{Code::kIo, std::string(path) + " holds no boot id: " + text};
  return id;
}

}  // namespace oj::shm
