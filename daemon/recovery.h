// From a folder and perhaps a region that a former daemon left to a region and a writer that fit
// each other.
//
//   region of this boot, journal, layout   its `synced` is the truth: the disk is cut there, the
//                                          ring has the rest
//   region of another boot or journal      the disk is the truth; a new region, and what went with
//                                          the old one is told
//   region of another layout               likewise, but refused while workers hold it
//   no region                              likewise
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/options.h"
#include "daemon/runtime_folder.h"
#include "journal/folder.h"
#include "journal/writer.h"
#include "shm/region.h"

namespace oj::daemon {

struct Opened {
  std::shared_ptr<shm::Region> region;
  journal::Writer writer;
  bool reattached = false;
};

// REQUIRES: DIR/LOCK and the runtime folder are held. Says what it found through spdlog.
Result<Opened> open_journal(const journal::Folder& folder, const std::string& runtime_folder,
                            const Rights& rights, const Options& options);

}  // namespace oj::daemon
