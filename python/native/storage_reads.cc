// The calls of NativeStorage that read trials.
//
// SPDX-License-Identifier: MIT
#include "python/native/borrowed.h"
#include "python/native/errors.h"
#include "python/native/scratch.h"
#include "python/native/storage.h"
#include "python/native/trial_builder.h"

namespace oj::python {
namespace {

constexpr std::size_t kCopiedTrialsMax =
    1024;  // at a time: bounds the buffers and the time under the lock

// `states` is any container of TrialState, or None for all.
StateMask mask_from_python(nb::handle states) {
  if (states.is_none()) return kAllStates;
  const auto& known = python_types().trial_states;
  StateMask mask = 0;
  if (PyTuple_CheckExact(states.ptr()) || PyList_CheckExact(states.ptr())) {
    for (nb::handle state : states) {
      for (std::size_t i = 0; i < known.size(); ++i) {
        if (state.is(known[i])) mask |= 1U << i;
      }
    }
    return mask;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    const int contains = PySequence_Contains(states.ptr(), known[i].ptr());
    if (contains < 0) throw nb::python_error();
    if (contains > 0) mask |= 1U << i;
  }
  return mask;
}

}  // namespace

std::uint64_t NativeStorage::get_trial_id_from_study_id_trial_number(nb::handle study_id,
                                                                     nb::handle number) {
  const std::uint64_t id = id_from_python(study_id);
  const std::uint64_t wanted = id_from_python(number);
  bool study_found = false;
  std::uint64_t trial = UINT64_MAX;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    study_found = study != nullptr;
    if (study_found && wanted < study->trials.size()) trial = study->trials[wanted]->id;
  });
  if (!study_found) raise_no_study(id);
  if (trial != UINT64_MAX) return trial;
  raise(PyExc_KeyError, "No trial with trial number " + nb::cast<std::string>(nb::repr(number)) +
                            " exists in study with study_id " + std::to_string(id) + ".");
}

std::uint64_t NativeStorage::get_trial_number_from_id(nb::handle trial_id) {
  const std::uint64_t id = id_from_python(trial_id);
  std::uint64_t number = UINT64_MAX;
  look([&](const replay::State& state) {
    const replay::Trial* trial = state.trial(id);
    if (trial != nullptr) number = trial->number;
  });
  if (number == UINT64_MAX) raise_no_trial(id);
  return number;
}

double NativeStorage::get_trial_param(nb::handle trial_id, nb::handle name) {
  Borrowed borrowed;
  const std::uint64_t id = id_from_python(trial_id);
  const std::string_view text = borrowed.text(name, "a parameter's name");
  bool trial_found = false;
  std::optional<double> internal;
  look([&](const replay::State& state) {
    const replay::Trial* trial = state.trial(id);
    trial_found = trial != nullptr;
    const replay::Param* param = trial_found ? trial->param(text) : nullptr;
    if (param != nullptr) internal = param->internal;
  });
  if (!trial_found) raise_no_trial(id);
  if (!internal) {
    PyErr_SetObject(PyExc_KeyError, name.ptr());
    throw nb::python_error();
  }
  return *internal;
}

nb::object NativeStorage::build_one(const TrialCopies& copies, bool keep) {
  const TrialCopies::Trial& trial = copies.trials().front();
  const std::shared_ptr<StudyObjects> objects = objects_of(trial.study);
  nb::object object = build_trial(copies, trial, objects->distributions);
  if (!keep || !schema::is_finished(trial.state)) return object;
  PyObject* other =
      objects->finished(trial.number, trial.version);  // another thread's, made meanwhile
  if (other != nullptr) return nb::borrow(other);
  objects->keep(trial.number, trial.version, trial.state, object);
  return object;
}

// An unfinished trial's object is built anew each time: Optuna's Trial changes the one that it got.
nb::object NativeStorage::get_trial(nb::handle trial_id) {
  const std::uint64_t id = id_from_python(trial_id);
  Scratch copies(spare_copies_);
  PyObject* finished =
      nullptr;  // stays alive until borrowed below: nothing of Python runs in between
  look([&](const replay::State& state) {
    const replay::Trial* trial = state.trial(id);
    if (trial == nullptr) return;
    if (schema::is_finished(trial->state)) {
      const auto objects = objects_.find(trial->study);
      if (objects != objects_.end())
        finished = objects->second->finished(trial->number, trial->version);
    }
    if (finished == nullptr) copies->add(*trial);
  });
  if (finished != nullptr) return nb::borrow(finished);
  if (copies->size() == 0) raise_no_trial(id);
  return build_one(*copies, true);
}

nb::object NativeStorage::get_best_trial(nb::handle study_id) {
  const std::uint64_t id = id_from_python(study_id);
  enum class Answer { kNoStudy, kNone, kSeveralObjectives, kTrial } answer = Answer::kNoStudy;
  std::uint64_t best = 0;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    if (study == nullptr) return;
    answer = Answer::kNone;
    if (study->count_by_state[static_cast<std::size_t>(schema::TrialState::kComplete)] == 0) return;
    answer = Answer::kSeveralObjectives;
    if (study->directions.size() > 1) return;
    answer = Answer::kTrial;
    if (study->best != nullptr) {
      best = study->best->id;
      return;
    }
    // None has a number as its value: Optuna's first.
    for (const replay::Trial* trial : study->trials) {
      best = trial->id;
      if (trial->state == schema::TrialState::kComplete) return;
    }
  });
  switch (answer) {
    case Answer::kNoStudy: raise_no_study(id);
    case Answer::kNone: raise(PyExc_ValueError, "No trials are completed yet.");
    case Answer::kSeveralObjectives:
      raise(PyExc_RuntimeError,
            "Best trial can be obtained only for single-objective optimization.");
    case Answer::kTrial: break;
  }
  return get_trial(nb::int_(best));
}

std::uint64_t NativeStorage::get_n_trials(nb::handle study_id, nb::handle states) {
  const std::uint64_t id = id_from_python(study_id);
  const StateMask mask =
      PyLong_Check(states.ptr()) ? state_bit(state_from_python(states)) : mask_from_python(states);
  std::optional<std::uint64_t> count;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(id);
    if (study == nullptr) return;
    count = 0;
    for (std::size_t i = 0; i < std::size(study->count_by_state); ++i) {
      if ((mask & (1U << i)) != 0) *count += study->count_by_state[i];
    }
  });
  if (!count) raise_no_study(id);
  return *count;
}

nb::object NativeStorage::get_all_trials(nb::handle study_id, bool deepcopy, nb::handle states) {
  const std::uint64_t id = id_from_python(study_id);
  const StateMask mask = mask_from_python(states);
  if (deepcopy) return build_all_anew(id, mask);
  nb::object list;
  while (true) {
    const std::shared_ptr<StudyObjects> objects = objects_of(id);
    if (collect(id, mask, *objects, list)) return list;
  }
}

bool NativeStorage::collect(replay::StudyId study_id, StateMask mask, StudyObjects& objects,
                            nb::object& list) {
  Scratch copies(spare_copies_);
  std::vector<StudyObjects::Seen> seen;
  bool found = false;
  std::uint64_t change = objects.change();
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(study_id);
    found = study != nullptr;
    if (!found) return;
    objects.look(*study, seen);
    for (const StudyObjects::Seen& trial : seen) {
      if ((state_bit(trial.state) & mask) == 0 || objects.has(trial.number, trial.version))
        continue;
      // The finished ones beyond the limit follow later: they do not change.
      if (schema::is_finished(trial.state) && copies->size() >= kCopiedTrialsMax) continue;
      copies->add(*study->trials[trial.number]);
    }
  });
  if (!found) {
    objects_.erase(study_id);
    raise_no_study(study_id);
  }
  std::vector<nb::object> built;
  built.reserve(copies->size());
  for (const TrialCopies::Trial& trial : copies->trials()) {
    built.push_back(build_trial(*copies, trial, objects.distributions));
  }
  if (objects.change() != change) return false;
  objects.merge(seen);
  for (std::size_t i = 0; i < built.size(); ++i) {
    const TrialCopies::Trial& trial = copies->trials()[i];
    objects.keep(trial.number, trial.version, trial.state, std::move(built[i]));
  }
  change = objects.change();
  std::vector<std::uint64_t> missing;
  const std::size_t count = objects.count(mask, missing, kCopiedTrialsMax);
  if (!missing.empty()) {
    build_missing(study_id, missing, objects);
    return false;
  }
  PyObject* made = PyList_New(static_cast<Py_ssize_t>(count));
  if (made == nullptr) throw nb::python_error();
  list = nb::steal(made);
  if (objects.change() != change) return false;  // the garbage collector ran somebody's code
  objects.fill(mask, made);
  return true;
}

void NativeStorage::build_missing(replay::StudyId study_id,
                                  const std::vector<std::uint64_t>& numbers,
                                  StudyObjects& objects) {
  Scratch copies(spare_copies_);
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(study_id);
    if (study == nullptr) return;
    for (const std::uint64_t number : numbers) {
      if (number >= study->trials.size()) return;
      const replay::Trial& trial = *study->trials[number];
      if (schema::is_finished(trial.state) && !objects.has(number, trial.version))
        copies->add(trial);
    }
  });
  for (const TrialCopies::Trial& trial : copies->trials()) {
    nb::object object = build_trial(*copies, trial, objects.distributions);
    if (!objects.has(trial.number, trial.version)) {
      objects.keep(trial.number, trial.version, trial.state, std::move(object));
    }
  }
}

nb::object NativeStorage::build_all_anew(replay::StudyId study_id, StateMask mask) {
  Scratch copies(spare_copies_);
  bool found = false;
  look([&](const replay::State& state) {
    const replay::Study* study = state.study(study_id);
    found = study != nullptr;
    if (!found) return;
    for (const replay::Trial* trial : study->trials) {
      if ((state_bit(trial->state) & mask) != 0) copies->add(*trial);
    }
  });
  if (!found) raise_no_study(study_id);
  DistributionObjects distributions;  // fresh ones too
  nb::list list;
  for (const TrialCopies::Trial& trial : copies->trials())
    list.append(build_trial(*copies, trial, distributions));
  return list;
}

}  // namespace oj::python
