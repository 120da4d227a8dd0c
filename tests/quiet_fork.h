// fork() and remove_all() for tests whose process or folder is busy meanwhile.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>

namespace oj::testing {

// fork(2) at a moment at which every other thread of this process sleeps, so that none holds a lock
// of the allocator that the child could never take: AddressSanitizer's, unlike glibc's, is not made
// free in a child. The child begins when the parent has seen that no thread ran meanwhile; else it
// ends unseen, and another one is forked. Ends the process, with a word, if that takes a minute.
pid_t quiet_fork();

// Removes a folder in which a daemon makes files meanwhile.
void remove_whole(const std::string& folder);

}  // namespace oj::testing
