// Shows a journal to the oracle, from either source, and plants faults in what it is shown.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/verify/processes/fleet.h"
#include "tests/verify/processes/oracle.h"

namespace oj::verify {

enum class Source { kLive, kDisk };  // through a session of its own; the folder's files alone

Verdict judge(const std::map<std::uint64_t, History>& histories, const std::string& journal,
              Source source);

// Faults that the oracle must find in a journal that it found clean: a record removed, doubled,
// exchanged with the worker's next (and so behind what was called after it returned), changed in
// one bit, written by nobody, and a living session called dead. A line for each; false: one was
// not found.
bool find_planted(const std::map<std::uint64_t, History>& histories, const std::string& journal,
                  std::uint64_t seed);

// Of every published append, the time inside the call less the time that its process was stopped.
std::vector<double> waits_ms(const std::map<std::uint64_t, History>& histories, const Fleet& fleet);

// Until the daemon has nobody attached; false: not within two minutes.
bool wait_for_deaths(const std::string& journal);
bool stop_serving(const std::string& journal);  // asks it to sync and end

}  // namespace oj::verify
