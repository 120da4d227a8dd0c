// SPDX-License-Identifier: MIT
#include "daemon/abandoned_regions.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include <spdlog/spdlog.h>

#include "base/fd.h"
#include "daemon/runtime_folder.h"
#include "journal/folder.h"
#include "shm/region.h"
#include "shm/watermarks.h"
#include "shm/worker_slots.h"

namespace oj::daemon {
namespace {

namespace fs = std::filesystem;

// The journal's folder that `place` was made for is no longer there under that name.
bool is_abandoned(const fs::path& place) {
  std::error_code failed;
  const fs::path folder = fs::read_symlink(place / kFolderLink, failed);
  if (failed) return false;  // not of the default kind, or none that we know how to judge
  struct stat info {};
  if (stat(folder.c_str(), &info) != 0) return errno == ENOENT || errno == ENOTDIR;
  return journal::Folder::key_of(info) != place.filename();
}

// All that it holds is on disk, and nobody who lives has a slot in it.
bool is_spent(const std::string& region_file) {
  auto region = shm::Region::attach(region_file, shm::Region::Access::kReadOnly, nullptr);
  if (!region) return region.error().code == Code::kGone;  // RETIRED, or of another boot
  if (shm::published_end(**region) > shm::synced(**region)) return false;
  const shm::SlotTable slots(*region);
  for (std::uint32_t i = 0; i < slots.size(); ++i) {
    const Result<bool> free = slots.lock_is_free(i);
    if (!free || !*free) return false;
  }
  return true;
}

void remove_if_abandoned(const fs::path& place) {
  const Fd held(open(place.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!held || fstat(held.get(), &info) != 0 || info.st_uid != geteuid()) return;
  if (!is_abandoned(place) || flock(held.get(), LOCK_EX | LOCK_NB) != 0) return;
  std::uint64_t bytes = 0;
  const auto generations = region_generations(place);
  if (!generations) return;
  for (const std::uint64_t generation : *generations) {
    const fs::path file = place / region_file_name(generation);
    if (!is_spent(file)) return;
    if (stat(file.c_str(), &info) == 0) bytes += static_cast<std::uint64_t>(info.st_size);
  }
  std::error_code failed;
  const fs::path folder = fs::read_symlink(place / kFolderLink, failed);
  fs::remove_all(place, failed);
  spdlog::info("removed {} ({} bytes): the journal's folder {} is gone", place.string(), bytes,
               folder.string());
}

}  // namespace

void remove_abandoned_regions(const std::string& runtime_folder) {
  std::error_code failed;
  const fs::path own(runtime_folder);
  for (fs::directory_iterator at(own.parent_path(), failed), end; !failed && at != end;
       at.increment(failed)) {
    if (at->path() != own) remove_if_abandoned(at->path());
  }
}

}  // namespace oj::daemon
