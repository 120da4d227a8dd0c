// optjournal._native.Storage: what optjournal.JournalStorage is made of. One call for each call of
// BaseStorage that needs the journal; ids and states in Python's types, errors as errors.h says.
//
// The lock and the GIL
//   client::Storage guards its state with a lock of its own. Why the two never wait for each other:
//   L1  While that lock is held no Python API is called, and the GIL is neither awaited nor given
//       up: what is done inside read() copies plain data (trial_copies.h) or looks at numbers, and
//       client::Storage knows nothing of Python.
//   L2  So whoever holds the lock gives it back without waiting for the GIL, and a thread may take
//       the lock with the GIL held: it waits for copying and replaying only, never for room, disk
//       or another process.
//   L3  What may wait for those (room, durability, a long catching up, opening, closing) runs
//       without the GIL, in slices between which signals are looked at, so that Ctrl-C works.
//   Python objects are built after the lock was given back. Python code may run then (the garbage
//   collector, json), other threads too; study_objects.h says how a stale result is noticed.
//
// Threads: any, any time. Fork: client::Storage's business; the objects cached here are valid in
// the child as well.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "libclient/storage.h"
#include "python/native/python_types.h"
#include "python/native/study_objects.h"
#include "python/native/trial_copies.h"

namespace oj::python {

class NativeStorage {
 public:
  // `mode`: "worker", "monitor" or "offline". `durability`: "published", "synced" or empty for
  // Optuna's contract. `timeout_ms` bounds every call; below 0: none.
  // Paths come as bytes, because they need not be UTF-8.
  NativeStorage(const nb::bytes& location, const std::string& mode, const std::string& durability,
                std::int64_t timeout_ms, std::int64_t open_timeout_ms, std::uint64_t pool_bytes,
                std::int64_t idle_exit_ms, const nb::bytes& daemon_path, const std::string& name,
                const std::optional<std::string>& orphans);
  ~NativeStorage();
  NativeStorage(const NativeStorage&) = delete;
  NativeStorage& operator=(const NativeStorage&) = delete;
  void close();  // again: nothing happens

  std::uint64_t create_new_study(nb::handle directions, nb::handle name);
  void delete_study(nb::handle study_id);
  void set_study_user_attr(nb::handle study_id, nb::handle key, nb::handle value);
  void set_study_system_attr(nb::handle study_id, nb::handle key, nb::handle value);
  std::uint64_t get_study_id_from_name(nb::handle name);
  nb::object get_study_name_from_id(nb::handle study_id);
  nb::object get_study_directions(nb::handle study_id);
  nb::object get_study_user_attrs(nb::handle study_id);
  nb::object get_study_system_attrs(nb::handle study_id);
  // Tuples (id, name, directions, user_attrs, system_attrs), by id.
  nb::object get_all_studies();

  std::uint64_t create_new_trial(nb::handle study_id, nb::handle template_trial);
  void set_trial_param(nb::handle trial_id, nb::handle name, nb::handle internal,
                       nb::handle distribution);
  bool set_trial_state_values(nb::handle trial_id, nb::handle state, nb::handle values);
  void set_trial_intermediate_value(nb::handle trial_id, nb::handle step, nb::handle value);
  void set_trial_user_attr(nb::handle trial_id, nb::handle key, nb::handle value);
  void set_trial_system_attr(nb::handle trial_id, nb::handle key, nb::handle value);
  std::uint64_t get_trial_id_from_study_id_trial_number(nb::handle study_id, nb::handle number);
  std::uint64_t get_trial_number_from_id(nb::handle trial_id);
  double get_trial_param(nb::handle trial_id, nb::handle name);
  nb::object get_trial(nb::handle trial_id);
  nb::object get_all_trials(nb::handle study_id, bool deepcopy, nb::handle states);
  std::uint64_t get_n_trials(nb::handle study_id, nb::handle states);
  nb::object get_best_trial(nb::handle study_id);

  // A list of the RUNNING trials of processes that left them to Optuna's heartbeat and died more
  // than `grace_ms` ago.
  nb::object stale_trials(nb::handle study_id, std::int64_t grace_ms);
  void set_orphan_policy(nb::handle study_id, const std::optional<std::string>& policy);

  std::string digest();
  std::uint64_t next_seq();
  void sync();
  nb::object status();

 private:
  std::shared_ptr<client::Storage> opened() const;  // raises when closed
  Deadline call_deadline() const;
  // Waits in slices, without the GIL; `wait` is called with each slice's deadline.
  Result<void> wait(Deadline deadline, const std::function<Result<void>(Deadline)>& wait) const;
  // Catches up and looks; see L1 for what `use` may do.
  void look(const std::function<void(const replay::State&)>& use);
  // Publishes, waits as is asked for, and raises for every outcome that is no success.
  replay::Outcome write(const schema::Operation& operation);
  [[noreturn]] void raise_refused(const client::Storage::Written& written,
                                  const schema::Operation& operation);
  nb::object study_attrs(nb::handle study_id, const replay::AttrMap replay::Study::*which);
  // Copies of what look() found; built after it.
  nb::object build_one(const TrialCopies& copies, bool keep);
  // Raises an error; after kGone (records were lost with their region) all objects are forgotten.
  void check(const Result<void>& result);
  // Forgets all objects: they are of another history.
  void forget_objects();
  std::shared_ptr<StudyObjects> objects_of(replay::StudyId study);

  // One pass over a study's trials for get_all_trials(); false: look again.
  bool collect(replay::StudyId study, StateMask mask, StudyObjects& objects, nb::object& list);
  void build_missing(replay::StudyId study, const std::vector<std::uint64_t>& numbers,
                     StudyObjects& objects);
  nb::object build_all_anew(replay::StudyId study, StateMask mask);

  std::shared_ptr<client::Storage> storage_;  // none: closed
  std::optional<client::Durability> durability_;
  std::int64_t timeout_ms_ = -1;
  // The state's next_seq, and its history, when we last looked.
  std::uint64_t seen_seq_ = 0, seen_history_ = 0;
  std::unordered_map<replay::StudyId, std::shared_ptr<StudyObjects>> objects_;
  std::vector<std::unique_ptr<TrialCopies>> spare_copies_;
};

}  // namespace oj::python
