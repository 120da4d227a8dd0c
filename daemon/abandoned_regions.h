// Regions of journals whose folder is gone: nobody will ever come back for them.
//
// A daemon that was killed leaves its region, for the next daemon of that journal. If the journal's
// folder is deleted instead, nothing but this would ever free the memory. So each runtime folder
// of the default kind has a link `folder` to the journal's folder, and every daemon, when it
// starts, looks at its neighbours.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace oj::daemon {

// Removes each runtime folder beside `runtime_folder` whose journal's folder is gone (or is another
// one by now), which no daemon serves, in which no worker lives, and whose records are all on disk.
// What was removed is said through spdlog; whatever cannot be looked at is left alone.
void remove_abandoned_regions(const std::string& runtime_folder);

}  // namespace oj::daemon
