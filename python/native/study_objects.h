// The FrozenTrial objects of one study that were built and may be handed out again.
//
// A finished trial never changes, so its object is built once. An unfinished one's is kept with the
// trial's version and replaced, never changed, when that moved on; lists handed out before keep the
// old object.
//
// Everything here happens with the GIL held. Whoever runs Python code (building objects does) must
// look at change() before and after: another thread may have merged meanwhile.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "python/native/distribution_objects.h"
#include "python/native/python_types.h"
#include "replay/state.h"

namespace oj::python {

using StateMask = unsigned;  // bit n: TrialState n
constexpr StateMask kAllStates = 0b11111;
constexpr StateMask state_bit(replay::TrialState state) {
  return 1U << static_cast<unsigned>(state);
}

class StudyObjects {
 public:
  ~StudyObjects();
  StudyObjects() = default;
  StudyObjects(const StudyObjects&) = delete;
  StudyObjects& operator=(const StudyObjects&) = delete;

  DistributionObjects distributions;

  // Changes whenever anything here did.
  std::uint64_t change() const { return change_; }

  // What a look at the state said of the trials that it had to look at.
  struct Seen {
    std::uint64_t number = 0, version = 0;
    replay::TrialState state = replay::TrialState::kRunning;
  };
  // Under the state's lock, no Python: all trials that may have changed since the last merge, into
  // `seen`.
  void look(const replay::Study& study, std::vector<Seen>& seen) const;
  // Whether the object of that version is here.
  bool has(std::uint64_t number, std::uint64_t version) const;
  // A finished trial's object, null if it was not built yet.
  PyObject* finished(std::uint64_t number, std::uint64_t version) const {
    return has(number, version) ? entries_[number].object : nullptr;
  }

  // Takes over what look() saw when change() was the same.
  void merge(std::span<const Seen> seen);
  // Keeps a trial's object. REQUIRES: nothing newer than `version` was merged, or the trial is
  // finished.
  void keep(std::uint64_t number, std::uint64_t version, replay::TrialState state,
            nb::object object);

  // Among the merged trials in `mask`: how many, and the first `missing_max` that are finished and
  // without object.
  std::size_t count(StateMask mask, std::vector<std::uint64_t>& missing,
                    std::size_t missing_max) const;
  // Fills `list`, made for count(mask) objects of which none is missing.
  void fill(StateMask mask, PyObject* list) const;

 private:
  struct Entry {
    PyObject* object = nullptr;
    std::uint64_t version = 0;
    replay::TrialState state = replay::TrialState::kRunning;
  };
  std::vector<Entry> entries_;             // by number; may be longer than `merged_`, for keep()
  std::size_t merged_ = 0;                 // numbers below have the state of the last merge
  std::vector<std::uint64_t> unfinished_;  // of those, ascending
  std::uint64_t change_ = 0;
};

}  // namespace oj::python
