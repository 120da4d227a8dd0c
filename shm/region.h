// The shared-memory file of one journal: create, attach, validate, map.
//
// What lies in it and where: layout.h and docs/region-format.md. Who may do what with it:
// producer.h, reader.h, flush_source.h, worker_slots.h, watermarks.h.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "shm/environment.h"

namespace oj::shm {

using Id = std::array<std::byte, 16>;  // boot id, journal id

struct Sizes {
  std::uint64_t ring_slots = 1u << 20;    // a power of two, 2 .. 2^24
  std::uint64_t chunk_bytes = 16 * 1024;  // a power of two, 4 KiB .. 1 MiB
  std::uint64_t chunk_count = 8192;       // 4 .. 2^20
  std::uint32_t worker_slots = 1024;      // 1 .. 4096

  std::uint64_t region_bytes() const;  // of the whole file
  // The longest record: an eighth of the pool (at least one chunk), at most 16 MiB, less the entry
  // header.
  std::uint64_t record_bytes_max() const;
};

constexpr std::uint64_t kRingSlotsMin = 2, kRingSlotsMax = std::uint64_t{1} << 24;
constexpr std::uint64_t kChunkBytesMin = Production::kChunkBytesMin,
                        kChunkBytesMax = std::uint64_t{1} << 20;
constexpr std::uint64_t kChunkCountMin = 4, kChunkCountMax = std::uint64_t{1} << 20;
constexpr std::uint32_t kWorkerSlotsMin = 1, kWorkerSlotsMax = 4096;
constexpr std::uint64_t kRecordBytesCeiling = std::uint64_t{16} << 20;
constexpr std::uint64_t kRegionBytesMin = std::uint64_t{1}
                                          << 20;  // the smallest that sizes_for() makes

// kInvalid: a size outside its limits, or not a power of two where it must be; names it, the limits
// and the value.
Result<void> check_sizes(const Sizes& sizes);

// The default sizes, or smaller ones so that the region takes at most a third of `available_bytes`.
// kBusy with bytes needed and available when not even the smallest useful region (1 MiB) fits.
Result<Sizes> sizes_for(std::uint64_t available_bytes);
// The same with a wish: a pool of about `pool_bytes`, refused (kBusy) rather than shrunk if it does
// not fit.
Result<Sizes> sizes_for_pool(std::uint64_t pool_bytes, std::uint64_t available_bytes);

struct Identity {
  Id boot_id{};  // of the machine's present boot: this_boot_id()
  Id journal_id{};
  std::uint64_t generation = 0;
};
Result<Id> this_boot_id();

struct CreateOptions {
  Sizes sizes;
  Identity identity;
  std::uint64_t first_seq =
      0;               // the ring starts here: published = written = synced = retained = first_seq
  mode_t mode = 0600;  // set with fchmod: the umask does not count
  gid_t group = static_cast<gid_t>(-1);  // -1: leave
};

class Region {
 public:
  // Makes the file under a temporary name, preallocates and touches every page (so that nobody
  // meets SIGBUS on a full tmpfs and nobody else is charged), fills it, renames it to `path`. kBusy
  // with bytes needed and available if it does not fit. Killed in between it leaves the temporary
  // file, `path` + kUnfinished.
  static constexpr const char* kUnfinished = ".new";
  static Result<std::shared_ptr<Region>> create(const std::string& path,
                                                const CreateOptions& options);

  enum class Access { kReadWrite, kReadOnly };
  // Maps an existing file after checking, in this order: regular file, size, magic, format, layout
  // hash, boot id, journal id, sizes against the file's size, state. Everything is loaded once and
  // believed only after its check. Errors name the file, what differs and both values:
  // kIncompatible (magic, format, layout), kGone (another boot or journal, RETIRED, no such file),
  // kCorrupt (sizes that cannot be). The mapping is not inherited by fork (MADV_DONTFORK): a child
  // attaches by itself.
  static Result<std::shared_ptr<Region>> attach(const std::string& path, Access access,
                                                const Identity* expected);

  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  const std::string& path() const { return path_; }
  int fd() const { return fd_; }
  const Sizes& sizes() const {
    return sizes_;
  }  // private copies: the shared ones are never read again
  const Identity& identity() const { return identity_; }
  std::uint64_t first_seq() const { return first_seq_; }  // where the ring started
  bool writable() const { return writable_; }
  std::byte* base() const { return base_; }  // of the mapping, for the roles in shm/ only

  // RETIRED, or lost: no further appends here; clients attach anew. The daemon retires; and a
  // client that is welcome in a later region of the same journal, since nobody serves the former
  // one any more.
  bool retired() const noexcept;
  void retire() noexcept;
  // This process met a page that the file no longer has (lost_pages.h), or the daemon says that
  // there was one: what was loaded may be zeros that nobody wrote. Looked at after what it is
  // about.
  bool lost() const noexcept;
  // Checks the file again as attach() did: its size, and every field of the header. kCorrupt,
  // kIncompatible or kGone: somebody wrote or cut it; nobody can attach any more.
  Result<void> check_file() const;

  // For a fork child, in which the mapping does not exist: forgets it without unmapping, and closes
  // the descriptor, so that the parent's lock bytes end with the parent. base() is null from then
  // on; what still points here may only be destroyed. Everything else of shm/ that uses this region
  // must have been abandoned or destroyed first.
  void abandon_after_fork() noexcept;

 private:
  struct Mapping;
  Region();
  Result<void> map(Access access);
  bool is_cut() const noexcept;
  void lose() noexcept;

  std::string path_;
  int fd_ = -1;
  std::byte* base_ = nullptr;
  std::unique_ptr<Mapping> mapping_;
  Sizes sizes_;
  Identity identity_;
  std::uint64_t first_seq_ = 0;
  bool writable_ = false;
  std::atomic<bool> lost_{false};
};

}  // namespace oj::shm
