// SPDX-License-Identifier: MIT
#include "python/native/study_objects.h"

#include <utility>

namespace oj::python {

StudyObjects::~StudyObjects() {
  for (Entry& entry : entries_) Py_CLEAR(entry.object);
}

void StudyObjects::look(const replay::Study& study, std::vector<Seen>& seen) const {
  const auto see = [&](std::uint64_t number) {
    const replay::Trial& trial = *study.trials[number];
    seen.push_back({number, trial.version, trial.state});
  };
  for (const std::uint64_t number : unfinished_) {
    if (number < study.trials.size()) see(number);
  }
  for (std::uint64_t number = merged_; number < study.trials.size(); ++number) see(number);
}

bool StudyObjects::has(std::uint64_t number, std::uint64_t version) const {
  return number < entries_.size() && entries_[number].object != nullptr &&
         entries_[number].version == version;
}

void StudyObjects::merge(std::span<const Seen> seen) {
  if (seen.empty()) return;
  ++change_;
  std::vector<nb::object> replaced;  // dies last: what dies may run Python code
  unfinished_.clear();
  for (const Seen& trial : seen) {
    if (trial.number >= entries_.size()) entries_.resize(trial.number + 1);
    Entry& entry = entries_[trial.number];
    entry.state = trial.state;
    if (entry.version != trial.version && entry.object != nullptr) {
      replaced.push_back(nb::steal(std::exchange(entry.object, nullptr)));
    }
    if (!schema::is_finished(trial.state)) unfinished_.push_back(trial.number);
    if (trial.number >= merged_) merged_ = trial.number + 1;
  }
}

void StudyObjects::keep(std::uint64_t number, std::uint64_t version, replay::TrialState state,
                        nb::object object) {
  ++change_;
  if (number >= entries_.size()) entries_.resize(number + 1);
  Entry& entry = entries_[number];
  const nb::object replaced = nb::steal(std::exchange(entry.object, object.release().ptr()));
  entry.version = version;
  if (number >= merged_) entry.state = state;
}

std::size_t StudyObjects::count(StateMask mask, std::vector<std::uint64_t>& missing,
                                std::size_t missing_max) const {
  std::size_t count = 0;
  for (std::size_t number = 0; number < merged_; ++number) {
    const Entry& entry = entries_[number];
    if ((state_bit(entry.state) & mask) == 0) continue;
    ++count;
    if (entry.object == nullptr && missing.size() < missing_max) missing.push_back(number);
  }
  return count;
}

void StudyObjects::fill(StateMask mask, PyObject* list) const {
  Py_ssize_t at = 0;
  for (std::size_t number = 0; number < merged_; ++number) {
    const Entry& entry = entries_[number];
    if ((state_bit(entry.state) & mask) == 0) continue;
    Py_INCREF(entry.object);
    PyList_SET_ITEM(list, at++, entry.object);
  }
}

}  // namespace oj::python
