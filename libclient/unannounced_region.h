// The region of a daemon that may not be asked: who may read a journal and its runtime folder, and
// nothing more, may not connect to the socket, which takes the right to write it. Such a monitor
// finds the region by its name.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"
#include "libclient/join.h"

namespace oj::client {

// The newest region file in `runtime_folder`, as a daemon's Welcome would name it to a monitor.
// kGone: there is none. kIo: the folder cannot be listed.
Result<Joined> find_region(const std::string& runtime_folder);

}  // namespace oj::client
