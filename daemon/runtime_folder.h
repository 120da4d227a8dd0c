// The runtime folder of a journal: where control.sock and the region file lie.
//
//   given      --runtime-folder, or a service's /run/optjournal/NAME
//   embedded   $XDG_RUNTIME_DIR/optjournal/<key> if that is a tmpfs with room and DIR is not shared
//              with a group, else /dev/shm/optjournal-<uid>/<key>
//
// A region that a former daemon left must be found again even if the environment has changed since
// (another login, no XDG_RUNTIME_DIR under cron), so the folder that DIR/LOCK names comes first
// while a region file lies in it.
//
// Rights: 0700 and 0600; 0770 and 0660 with DIR's group where DIR is writable for its group; 0750
// and 0660 for a service whose DIR its group may read: the group attaches and publishes, and nobody
// but the daemon makes or removes files.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/options.h"
#include "journal/folder.h"

namespace oj::daemon {

struct Rights {
  mode_t folder_mode = 0700;
  mode_t file_mode = 0600;
  gid_t group = static_cast<gid_t>(-1);  // -1: leave
};
Result<Rights> rights_of(const journal::Folder& folder, const Options& options);

// Decides only; makes nothing.
Result<std::string> choose_runtime_folder(const journal::Folder& folder, const Options& options,
                                          const Rights& rights);

// Makes `path` and what is missing above it, checks that it is ours alone to change, and locks it
// against other daemons for as long as the descriptor lives. kRefused: another daemon, for another
// DIR, uses it.
Result<Fd> take_runtime_folder(const std::string& path, const Rights& rights);

// In a runtime folder of the default kind, the link to the journal's folder: for
// abandoned_regions.h. All else works without it.
constexpr const char* kFolderLink = "folder";
void remember_folder(const std::string& runtime_folder, const journal::Folder& folder);

// After a drain without workers: the folder and, if it is empty then, the one above it. Errors do
// not matter: what is left is found and used by the next daemon.
void remove_runtime_folder(const std::string& path);

// Bytes that the file system of `path`, or of the nearest folder above that exists, can still take.
Result<std::uint64_t> available_bytes(const std::string& path);
bool is_tmpfs(const std::string& path);  // likewise

// Generations of the files region-<generation> in `path`, highest first; none if it is not there.
// kIo: it cannot be listed, so there may be some.
Result<std::vector<std::uint64_t>> region_generations(const std::string& path);
std::string region_file_name(std::uint64_t generation);

// What a daemon that was killed while it made a region left: the file under its temporary name, up
// to the size of a region. Says so through spdlog. REQUIRES: the folder is held.
void remove_unfinished_regions(const std::string& path);

}  // namespace oj::daemon
