// SPDX-License-Identifier: MIT
#include "daemon/runtime_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string_view>

#include <spdlog/spdlog.h>

#include "shm/region.h"

namespace oj::daemon {
namespace {

constexpr std::string_view kRegionPrefix = "region-";
constexpr int kMakeTries = 8;  // another daemon may remove a folder above ours just as we make ours

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string nearest_existing(std::string path) {
  while (path != "/" && access(path.c_str(), F_OK) != 0) path = parent_of(path);
  return path;
}

// The runtime folder that DIR/LOCK names, or "". Only a hint about where to look: what lies there
// is checked.
std::string former_runtime_folder(const journal::Folder& folder) {
  constexpr std::string_view kKey = "runtime: ";
  std::ifstream lock(folder.path() + "/LOCK");
  for (std::string line; std::getline(lock, line);) {
    if (line.starts_with(kKey)) return line.substr(kKey.size());
  }
  return {};
}

bool has_room(const std::string& place, std::uint64_t bytes) {
  Result<std::uint64_t> available = available_bytes(place);
  return available && *available / 3 >= bytes;
}

// Ours, or root's, and nobody else may change names in it.
Result<void> check_owner(const std::string& path) {
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0)
    return io_error("cannot look at runtime folder " + path, errno);
  if (!S_ISDIR(info.st_mode)) return Error{Code::kInvalid, path + " is no folder"};
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return Error{Code::kInvalid, "runtime folder " + path + " belongs to user " +
                                     std::to_string(info.st_uid) + ", not to user " +
                                     std::to_string(geteuid()) + " who serves here"};
  }
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0) {
    return Error{
        Code::kInvalid,
        "runtime folder " + path + ": every user may change names in it; type: chmod o-w " + path};
  }
  return {};
}

Result<void> make_one(const std::string& path, mode_t mode, gid_t group) {
  if (mkdir(path.c_str(), 0700) == 0) {
    if (group != static_cast<gid_t>(-1) &&
        chown(path.c_str(), static_cast<uid_t>(-1), group) != 0) {
      return io_error("cannot give " + path + " to group " + std::to_string(group), errno);
    }
    if (chmod(path.c_str(), mode) != 0) return io_error("cannot set the rights of " + path, errno);
    return {};
  }
  if (errno == EEXIST) return {};
  return io_error("cannot create runtime folder " + path, errno);
}

Result<void> make_folder(const std::string& path, const Rights& rights) {
  Result<void> made;
  for (int i = 0; i < kMakeTries; ++i) {
    std::vector<std::string> missing;
    for (std::string at = parent_of(path); access(at.c_str(), F_OK) != 0; at = parent_of(at))
      missing.push_back(at);
    made = {};
    for (auto it = missing.rbegin(); it != missing.rend() && made; ++it) {
      // Others who may use ours must get through; the names below tell nothing.
      made = make_one(*it, 0711, static_cast<gid_t>(-1));
    }
    if (made) made = make_one(path, rights.folder_mode, rights.group);
    if (made || made.error().os_error != ENOENT) return made;
  }
  return made;
}

// Calls act(generation, rest of the name) for each file region-<generation><rest>. kIo: not, or not
// for all of them.
Result<void> for_each_region(const std::string& path,
                             const std::function<void(std::uint64_t, std::string_view)>& act) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr && errno == ENOENT) return {};
  if (folder == nullptr) return io_error("cannot list runtime folder " + path, errno);
  errno = 0;
  for (; const dirent* entry = readdir(folder); errno = 0) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(kRegionPrefix)) continue;
    name.remove_prefix(kRegionPrefix.size());
    std::uint64_t generation = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), generation);
    if (failed != std::errc()) continue;
    name.remove_prefix(static_cast<std::size_t>(end - name.data()));
    act(generation, name);
  }
  const int failed = errno;
  closedir(folder);
  if (failed != 0) return io_error("cannot list runtime folder " + path, failed);
  return {};
}

}  // namespace

Result<Rights> rights_of(const journal::Folder& folder, const Options& options) {
  struct stat info {};
  if (fstat(folder.fd(), &info) != 0) return io_error("cannot look at " + folder.path(), errno);
  if ((info.st_mode & S_IWGRP) != 0) return Rights{0770, 0660, info.st_gid};
  constexpr mode_t kMayLook = S_IRGRP | S_IXGRP;
  if (!options.service.empty() && (info.st_mode & kMayLook) == kMayLook)
    return Rights{0750, 0660, info.st_gid};
  return Rights{};
}

Result<std::string> choose_runtime_folder(const journal::Folder& folder, const Options& options,
                                          const Rights& rights) {
  if (!options.runtime_folder.empty()) {
    if (options.runtime_folder.front() == '/') return options.runtime_folder;
    std::string here(4096, '\0');
    if (getcwd(here.data(), here.size()) == nullptr)
      return io_error("cannot tell the working folder", errno);
    return std::string(here.c_str()) + "/" + options.runtime_folder;
  }
  const std::string key = folder.key();
  // The key must be this folder's: a copy of a folder has a copy of its LOCK.
  const std::string former = former_runtime_folder(folder);
  if (former.ends_with("/" + key)) {
    const auto generations = region_generations(former);
    // One that we may not enter is another user's, and of no use to us.
    if (!generations && generations.error().os_error != EACCES) return generations.error();
    if (generations && !generations->empty()) return former;
  }

  const std::uint64_t wanted =
      options.pool_bytes > 0 ? options.pool_bytes : shm::Sizes{}.region_bytes();
  const std::string in_shm = "/dev/shm/optjournal-" + std::to_string(geteuid());
  const char* runtime_root = std::getenv("XDG_RUNTIME_DIR");
  const bool shared = rights.group != static_cast<gid_t>(-1);
  if (runtime_root != nullptr && *runtime_root == '/' && !shared && is_tmpfs(runtime_root) &&
      access(runtime_root, W_OK) == 0) {
    if (has_room(runtime_root, wanted) || access("/dev/shm", W_OK) != 0) {
      return std::string(runtime_root) + "/optjournal/" + key;
    }
  }
  return in_shm + "/" + key;
}

Result<Fd> take_runtime_folder(const std::string& path, const Rights& rights) {
  for (int i = 0; i < kMakeTries; ++i) {
    if (Result<void> made = make_folder(path, rights); !made) return made.error();
    if (Result<void> owned = check_owner(parent_of(path)); !owned) return owned.error();
    if (Result<void> owned = check_owner(path); !owned) return owned.error();
    Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd && errno == ENOENT) continue;
    if (!fd) return io_error("cannot open runtime folder " + path, errno);
    if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        return Error{Code::kRefused, "runtime folder " + path +
                                         " is used by another optjournald, for another journal"};
      }
      return io_error("cannot lock runtime folder " + path, errno);
    }
    struct stat ours {
    }, named{};
    if (fstat(fd.get(), &ours) == 0 && stat(path.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return fd;  // still the folder of that name
    }
  }
  return Error{Code::kBusy, "runtime folder " + path + " vanished " + std::to_string(kMakeTries) +
                                " times while it was being taken"};
}

void remember_folder(const std::string& runtime_folder, const journal::Folder& folder) {
  if (std::filesystem::path(runtime_folder).filename() != folder.key()) return;
  const std::string link = runtime_folder + "/" + kFolderLink;
  unlink(link.c_str());  // the folder may have been moved
  (void)!symlink(folder.path().c_str(), link.c_str());
}

void remove_runtime_folder(const std::string& path) {
  unlink((path + "/" + kFolderLink).c_str());
  if (rmdir(path.c_str()) == 0) rmdir(parent_of(path).c_str());
}

Result<std::uint64_t> available_bytes(const std::string& path) {
  const std::string place = nearest_existing(path);
  struct statvfs info {};
  if (statvfs(place.c_str(), &info) != 0)
    return io_error("cannot tell what is free on " + place, errno);
  if (info.f_blocks == 0) {  // a tmpfs without a limit: memory is the limit
    return static_cast<std::uint64_t>(sysconf(_SC_AVPHYS_PAGES)) *
           static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

bool is_tmpfs(const std::string& path) {
  struct statfs info {};
  return statfs(nearest_existing(path).c_str(), &info) == 0 && info.f_type == TMPFS_MAGIC;
}

std::string region_file_name(std::uint64_t generation) {
  return std::string(kRegionPrefix) + std::to_string(generation);
}

Result<std::vector<std::uint64_t>> region_generations(const std::string& path) {
  std::vector<std::uint64_t> found;
  auto listed = for_each_region(path, [&](std::uint64_t generation, std::string_view rest) {
    if (rest.empty()) found.push_back(generation);
  });
  if (!listed) return listed.error();
  std::sort(found.begin(), found.end(), std::greater<>());
  return found;
}

void remove_unfinished_regions(const std::string& path) {
  std::vector<std::string> found;
  (void)for_each_region(path, [&](std::uint64_t generation, std::string_view rest) {
    if (rest == shm::Region::kUnfinished)
      found.push_back(path + "/" + region_file_name(generation) + std::string(rest));
  });
  for (const std::string& file : found) {
    if (unlink(file.c_str()) == 0) {
      spdlog::info("removed {}, which a former daemon did not finish", file);
    } else {
      spdlog::warn("cannot remove {}, which a former daemon did not finish: errno {}", file, errno);
    }
  }
}

}  // namespace oj::daemon
