// SPDX-License-Identifier: MIT
#include "daemon/recovery.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "base/fd.h"
#include "journal/recovery.h"
#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

// A region file that cannot be gone on with.
struct Former {
  std::uint64_t generation_max = 0;  // the highest that a file here has
  std::string path;  // of the newest that is of this journal and could be read, with
  std::uint64_t published = 0, synced = 0;
  std::vector<std::string> stale;  // files to remove when there is a region to go on with
};

shm::Identity identity_for(const journal::Folder& folder, const shm::Id& boot_id,
                           std::uint64_t generation) {
  return {boot_id, folder.journal_id(), generation};
}

// Does a process hold a worker's lock byte of this file? Independent of the file's layout.
Result<bool> held_by_workers(const std::string& path) {
  const Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return io_error("cannot open region " + path, errno);
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_OFD_GETLK, &whole) != 0)
    return io_error("cannot look at the locks of " + path, errno);
  return whole.l_type != F_UNLCK;
}

// What a region that cannot be gone on with still tells. Whoever has it mapped comes to the new
// one.
void look_at(const std::string& path, const journal::Folder& folder, Former& former) {
  auto region = shm::Region::attach(path, shm::Region::Access::kReadWrite, nullptr);
  if (!region) return;
  (*region)->retire();
  shm::wake_everybody(**region);
  spdlog::info("retired region {} (generation {}): it cannot be gone on with", path,
               (*region)->identity().generation);
  if ((*region)->identity().journal_id != folder.journal_id() || !former.path.empty()) return;
  former.path = path;
  former.published = shm::published_end(**region);
  former.synced = shm::synced(**region);
}

// The newest region that can be gone on with, if there is one.
Result<std::shared_ptr<shm::Region>> find_region(const journal::Folder& folder,
                                                 const std::string& runtime_folder,
                                                 const shm::Id& boot_id, Former& former) {
  std::shared_ptr<shm::Region> found;
  const auto generations = region_generations(runtime_folder);
  if (!generations) return generations.error();
  for (const std::uint64_t generation : *generations) {
    const std::string path = runtime_folder + "/" + region_file_name(generation);
    former.generation_max = std::max(former.generation_max, generation);
    if (!found) {
      const shm::Identity expected = identity_for(folder, boot_id, generation);
      auto region = shm::Region::attach(path, shm::Region::Access::kReadWrite, &expected);
      if (region && shm::synced(**region) <= shm::published_end(**region)) {
        found = std::move(*region);
        continue;
      }
      if (!region && region.error().code == Code::kIo) return region.error();
      if (!region && region.error().code == Code::kIncompatible) {
        Result<bool> held = held_by_workers(path);
        if (!held) return held.error();
        if (*held) {
          return Error{Code::kIncompatible, region.error().message +
                                                "; workers of that version are still attached to "
                                                "it: end them, or serve them with the "
                                                "version they were started with"};
        }
      }
      spdlog::warn(
          "a region that cannot be gone on with: {}",
          region ? path + ": damaged: more records synced than published" : region.error().message);
      look_at(path, folder, former);
    }
    former.stale.push_back(path);
  }
  return found;
}

// Nothing to worry about where the ring still has what is cut off.
void tell(const journal::Recovered& recovered, spdlog::level::level_enum level) {
  if (recovered.torn_bytes > 0) {
    spdlog::log(level, "the end of the journal was torn, {} bytes were cut off: {}",
                recovered.torn_bytes, recovered.torn_report);
  }
}

Error more_synced_than_on_disk(const std::string& region_path, std::uint64_t synced,
                               const std::string& found) {
  return {
      Code::kCorrupt,
      "region " + region_path + " says that " + std::to_string(synced) +
          " records are synced, but " + found +
          ". Were segments removed, or restored from a copy? Put them back. To go on with what the "
          "folder holds, remove that region file: what was published or synced later is lost then"};
}

Result<Opened> reattach(const journal::Folder& folder, std::shared_ptr<shm::Region> region,
                        const Options& options) {
  std::uint64_t synced = shm::synced(*region);
  auto recovered = journal::recover(folder, synced);
  if (!recovered) {
    if (recovered.error().code != Code::kCorrupt) return recovered.error();
    return more_synced_than_on_disk(region->path(), synced, recovered.error().message);
  }
  tell(*recovered, spdlog::level::info);
  const std::uint64_t published = shm::published_end(*region);
  if (recovered->next_seq < synced || recovered->next_seq > published) {
    return more_synced_than_on_disk(
        region->path(), synced, folder.path() + " holds " + std::to_string(recovered->next_seq));
  }
  // The disk itself may vouch for more: the former daemon died between a sync and raising `synced`.
  synced = recovered->next_seq;
  auto writer = journal::Writer::open(folder, synced, region->identity().generation,
                                      {options.segment_bytes_min, options.segment_bytes_max});
  if (!writer) return writer.error();
  shm::set_written(*region, synced);
  shm::set_synced(*region, synced);
  spdlog::info("took over region {}: {} records synced, {} more published", region->path(), synced,
               published - synced);
  return Opened{std::move(region), std::move(*writer), true};
}

Result<shm::Sizes> decide_sizes(const std::string& runtime_folder, const Options& options) {
  if (!is_tmpfs(runtime_folder)) {
    spdlog::warn(
        "runtime folder {} is on no tmpfs: the region will be written to a disk now and then",
        runtime_folder);
  }
  Result<std::uint64_t> available = available_bytes(runtime_folder);
  if (!available) return available.error();
  auto sizes = options.pool_bytes > 0 ? shm::sizes_for_pool(options.pool_bytes, *available)
                                      : shm::sizes_for(*available);
  if (sizes) return sizes;
  Error error = sizes.error();
  error.message +=
      " (runtime folder " + runtime_folder +
      "; --runtime-folder chooses another, --pool another size; in a container: a larger /dev/shm)";
  return error;
}

Result<Opened> create(const journal::Folder& folder, const std::string& runtime_folder,
                      const shm::Id& boot_id, const Rights& rights, const Options& options,
                      const Former& former) {
  auto recovered = journal::recover(folder, std::nullopt);
  if (!recovered) return recovered.error();
  tell(*recovered, spdlog::level::warn);
  if (former.synced > recovered->next_seq) {
    return more_synced_than_on_disk(
        former.path, former.synced,
        folder.path() + " holds " + std::to_string(recovered->next_seq));
  }
  if (former.published > recovered->next_seq) {
    spdlog::error(
        "{} records that were published, but not yet synced, went with the former region {}",
        former.published - recovered->next_seq, former.path);
  }
  auto sizes = decide_sizes(runtime_folder, options);
  if (!sizes) return sizes.error();
  const std::uint64_t generation = std::max(recovered->generation, former.generation_max) + 1;
  // The writer first: its segment makes the generation durable before anybody can get a session of
  // it.
  auto writer = journal::Writer::open(folder, recovered->next_seq, generation,
                                      {options.segment_bytes_min, options.segment_bytes_max});
  if (!writer) return writer.error();
  shm::CreateOptions how;
  how.sizes = *sizes;
  how.identity = identity_for(folder, boot_id, generation);
  how.first_seq = recovered->next_seq;
  how.mode = rights.file_mode;
  how.group = rights.group;
  auto region = shm::Region::create(runtime_folder + "/" + region_file_name(generation), how);
  if (!region) return region.error();
  spdlog::info(
      "made region {}: {} KiB, {} ring slots, {} chunks of {} KiB; the journal has {} records",
      (*region)->path(), sizes->region_bytes() / 1024, sizes->ring_slots, sizes->chunk_count,
      sizes->chunk_bytes / 1024, recovered->next_seq);
  return Opened{std::move(*region), std::move(*writer), false};
}

}  // namespace

Result<Opened> open_journal(const journal::Folder& folder, const std::string& runtime_folder,
                            const Rights& rights, const Options& options) {
  auto boot_id = shm::this_boot_id();
  if (!boot_id) return boot_id.error();
  remove_unfinished_regions(runtime_folder);
  Former former;
  auto region = find_region(folder, runtime_folder, *boot_id, former);
  if (!region) return region.error();
  auto opened = *region ? reattach(folder, std::move(*region), options)
                        : create(folder, runtime_folder, *boot_id, rights, options, former);
  if (!opened) return opened;
  for (const std::string& path : former.stale) {
    if (unlink(path.c_str()) != 0)
      spdlog::warn("cannot remove the former region {}: errno {}", path, errno);
  }
  return opened;
}

}  // namespace oj::daemon
