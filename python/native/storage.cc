// SPDX-License-Identifier: MIT
#include "python/native/storage.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "base/fd.h"
#include "python/native/borrowed.h"
#include "python/native/datetimes.h"
#include "python/native/errors.h"
#include "python/native/scratch.h"
#include "python/native/trial_builder.h"
#include "python/native/values.h"
#include "replay/orphans.h"
#include "schema/orphan_policy.h"

namespace oj::python {
namespace {

constexpr std::int64_t kSignalCheckMs = 100;
// Replaying so many records takes about a millisecond: longer catching up is done without the GIL.
constexpr std::uint64_t kCatchUpWithGilMax = 2048;

client::OpenOptions::Mode mode_from(const std::string& mode) {
  if (mode == "worker") return client::OpenOptions::Mode::kWorker;
  if (mode == "monitor") return client::OpenOptions::Mode::kMonitor;
  if (mode == "offline") return client::OpenOptions::Mode::kOffline;
  raise(PyExc_ValueError, "mode must be 'worker', 'monitor' or 'offline', not '" + mode + "'");
}

std::optional<client::Durability> durability_from(const std::string& durability) {
  if (durability.empty()) return std::nullopt;
  if (durability == "published") return client::Durability::kPublished;
  if (durability == "synced") return client::Durability::kSynced;
  raise(PyExc_ValueError,
        "durability must be None, 'published' or 'synced', not '" + durability + "'");
}

schema::OrphanPolicy policy_from(const std::optional<std::string>& text) {
  if (!text) return {};
  Result<schema::OrphanPolicy> policy = schema::parse_orphan_policy(*text);
  if (!policy) raise(PyExc_ValueError, policy.error().message);
  return *policy;
}

std::string text_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

// Opens on a thread of its own while this one looks at signals.
Result<std::shared_ptr<client::Storage>> open(const std::string& location,
                                              client::OpenOptions options) {
  const Fd cancel(::eventfd(0, EFD_CLOEXEC));
  options.cancel_fd = cancel.get();
  auto opening =
      std::async(std::launch::async, [&] { return client::Storage::open(location, options); });
  while (true) {
    const bool done = [&] {
      nb::gil_scoped_release without_gil;
      return opening.wait_for(std::chrono::milliseconds(kSignalCheckMs)) ==
             std::future_status::ready;
    }();
    if (done) return opening.get();
    if (PyErr_CheckSignals() == 0) continue;
    const nb::python_error interrupted;
    (void)::eventfd_write(cancel.get(), 1);
    {
      nb::gil_scoped_release without_gil;
      opening.wait();
    }
    throw interrupted;
  }
}

}  // namespace

NativeStorage::NativeStorage(const nb::bytes& location, const std::string& mode,
                             const std::string& durability, std::int64_t timeout_ms,
                             std::int64_t open_timeout_ms, std::uint64_t pool_bytes,
                             std::int64_t idle_exit_ms, const nb::bytes& daemon_path,
                             const std::string& name, const std::optional<std::string>& orphans)
    : durability_(durability_from(durability)), timeout_ms_(timeout_ms) {
  client::OpenOptions options;
  options.mode = mode_from(mode);
  options.open_timeout_ms = open_timeout_ms;
  options.pool_bytes = pool_bytes;
  options.idle_exit_ms = idle_exit_ms;
  options.daemon_path = text_of(daemon_path);
  options.command = name;
  options.orphans = policy_from(orphans);
  const Result<std::shared_ptr<client::Storage>> storage = open(text_of(location), options);
  if (!storage) raise_error(storage.error());
  storage_ = *storage;
}

NativeStorage::~NativeStorage() { close(); }

void NativeStorage::close() {
  std::shared_ptr<client::Storage> storage = std::exchange(storage_, nullptr);
  if (storage == nullptr) return;
  nb::gil_scoped_release without_gil;
  storage.reset();
}

std::shared_ptr<client::Storage> NativeStorage::opened() const {
  if (storage_ == nullptr) raise_error(Error{Code::kGone, "this JournalStorage was closed", 0});
  return storage_;
}

Deadline NativeStorage::call_deadline() const {
  return timeout_ms_ < 0 ? Deadline::never() : Deadline::in_ms(timeout_ms_);
}

Result<void> NativeStorage::wait(Deadline deadline,
                                 const std::function<Result<void>(Deadline)>& wait) const {
  while (true) {
    Result<void> result = [&] {
      nb::gil_scoped_release without_gil;
      return wait({std::min(deadline.at_ns, Deadline::in_ms(kSignalCheckMs).at_ns)});
    }();
    if (result || result.error().code != Code::kBusy || deadline.passed()) return result;
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
  }
}

void NativeStorage::look(const std::function<void(const replay::State&)>& use) {
  const std::shared_ptr<client::Storage> storage = opened();
  if (storage->session().published_end() > seen_seq_ + kCatchUpWithGilMax) {
    const Result<void> caught_up = [&] {
      nb::gil_scoped_release without_gil;
      return storage->read([](const replay::State&) {});
    }();
    check(caught_up);
  }
  bool other_history = false;
  const auto look_once = [&](const replay::State& state) {
    // Another thread may have met the error that says so.
    other_history = storage->history() != seen_history_;
    seen_history_ = storage->history();
    if (other_history) return;
    seen_seq_ = state.next_seq();
    use(state);
  };
  check(storage->read(look_once));
  if (!other_history) return;
  forget_objects();
  check(storage->read(look_once));
}

void NativeStorage::check(const Result<void>& result) {
  if (result) return;
  if (result.error().code == Code::kGone) forget_objects();
  raise_error(result.error());
}

void NativeStorage::forget_objects() {
  seen_seq_ = 0;
  const auto objects = std::exchange(objects_, {});
}

std::shared_ptr<StudyObjects> NativeStorage::objects_of(replay::StudyId study) {
  std::shared_ptr<StudyObjects>& objects = objects_[study];
  if (objects == nullptr) objects = std::make_shared<StudyObjects>();
  return objects;
}

replay::Outcome NativeStorage::write(const schema::Operation& operation) {
  const std::shared_ptr<client::Storage> storage = opened();
  const client::WriteOptions options{durability_, Deadline::at_once()};
  Result<client::Storage::Written> written = storage->try_write(operation, options);
  std::optional<Deadline> deadline;
  while (!written && written.error().code == Code::kBusy) {
    if (!deadline) deadline = call_deadline();
    check(wait(*deadline, [&](Deadline slice) { return storage->wait_for_room(slice); }));
    if (PyErr_CheckSignals() != 0) throw nb::python_error();  // there may be room, again and again
    written = storage->try_write(operation, options);
  }
  if (!written) check(written.error());
  if (written->must_wait) {
    if (!deadline) deadline = call_deadline();
    const Result<void> settled =
        wait(*deadline, [&](Deadline slice) { return storage->settle(*written, slice); });
    if (!settled && settled.error().code != Code::kGone)
      raise_error(client::published_but(written->seq, settled.error()));
    check(settled);
  }
  using replay::OutcomeCode;
  const OutcomeCode code = written->outcome.code;
  if (code != OutcomeCode::kDone && code != OutcomeCode::kUnchanged)
    raise_refused(*written, operation);
  return written->outcome;
}

void NativeStorage::raise_refused(const client::Storage::Written& written,
                                  const schema::Operation& operation) {
  const auto* set = std::get_if<schema::SetTrialParam>(&operation);
  if (written.outcome.code == replay::OutcomeCode::kIncompatible && set != nullptr) {
    bool other_kind = false;
    opened()->peek([&](const replay::State& state) {
      const replay::Trial* trial = state.trial(set->trial);
      const replay::Study* study = trial == nullptr ? nullptr : state.study(trial->study);
      if (study == nullptr) return;
      const auto known = study->distributions.find(std::string(set->param.name));
      other_kind = known != study->distributions.end() &&
                   known->second->kind != set->param.distribution.kind;
    });
    if (other_kind)
      raise(PyExc_ValueError, "Cannot set different distribution kind to the same parameter name.");
  }
  raise_outcome(written.outcome, operation);
}

nb::object NativeStorage::stale_trials(nb::handle study_id, std::int64_t grace_ms) {
  const std::uint64_t id = id_from_python(study_id);
  const std::int64_t until_us = utc_us() - grace_ms * 1000;
  bool found = false;
  std::vector<replay::TrialId> stale;
  look([&](const replay::State& state) {
    found = state.study(id) != nullptr;
    for (const replay::Orphan& orphan : replay::orphans(state, {})) {
      if (orphan.policy.kind == schema::OrphanPolicy::Kind::kOptuna && orphan.died_us <= until_us &&
          state.trial(orphan.trial)->study == id)
        stale.push_back(orphan.trial);
    }
  });
  if (!found) raise_no_study(id);
  nb::list list;
  for (const replay::TrialId trial : stale) list.append(trial);
  return list;
}

void NativeStorage::set_orphan_policy(nb::handle study_id,
                                      const std::optional<std::string>& policy) {
  const schema::OrphanPolicy wanted = policy_from(policy);
  const std::string text = schema::text_of(wanted);
  schema::Value value;  // null: none
  if (policy) value = {.kind = schema::Value::Kind::kText, .text = text};
  write(schema::SetStudySystemAttr{id_from_python(study_id), {schema::kOrphansAttr, value}});
}

std::string NativeStorage::digest() {
  std::string digest;
  look([&](const replay::State& state) { digest = state.digest(); });
  return digest;
}

std::uint64_t NativeStorage::next_seq() {
  std::uint64_t seq = 0;
  look([&](const replay::State& state) { seq = state.next_seq(); });
  return seq;
}

void NativeStorage::sync() {
  const std::shared_ptr<client::Storage> storage = opened();
  const std::uint64_t end = storage->session().published_end();
  check_or_raise(wait(call_deadline(),
                      [&](Deadline slice) { return storage->session().wait_synced(end, slice); }));
}

nb::object NativeStorage::status() {
  const std::shared_ptr<client::Storage> storage = opened();
  const Result<schema::Status> result = [&] {
    nb::gil_scoped_release without_gil;
    return storage->session().status();
  }();
  if (!result) raise_error(result.error());
  const schema::Status& status = *result;
  nb::list workers;
  for (const schema::WorkerStatus& worker : status.workers) {
    nb::dict entry;
    entry["slot"] = worker.slot;
    entry["pid"] = worker.pid;
    entry["uid"] = worker.uid;
    entry["session"] = worker.session;
    entry["name"] = text_to_python(worker.command);
    entry["started"] = datetime_to_python(worker.started_us);
    entry["user"] = text_to_python(worker.identity.user);
    entry["container"] = text_to_python(worker.identity.container);
    entry["cuda_visible_devices"] = worker.identity.cuda_visible_devices
                                        ? text_to_python(*worker.identity.cuda_visible_devices)
                                        : nb::none();
    nb::list gpus;
    for (const schema::GpuIdentity& gpu : worker.identity.gpus) {
      nb::dict one;
      one["uuid"] = text_to_python(gpu.uuid);
      one["name"] = text_to_python(gpu.name);
      gpus.append(one);
    }
    entry["gpus"] = gpus;
    entry["records"] = worker.records;
    entry["chunks"] = worker.chunks;
    workers.append(entry);
  }
  nb::dict dict;
  dict["daemon_version"] = text_to_python(status.daemon_version);
  dict["folder"] = text_to_python(status.folder);
  dict["daemon_pid"] = status.daemon_pid;
  dict["embedded"] = status.embedded;
  dict["started"] = datetime_to_python(status.started_us);
  dict["generation"] = status.generation;
  dict["published"] = status.published;
  dict["written"] = status.written;
  dict["synced"] = status.synced;
  dict["retained"] = status.retained;
  dict["ring_slots"] = status.ring_slots;
  dict["chunk_bytes"] = status.chunk_bytes;
  dict["chunk_count"] = status.chunk_count;
  dict["chunks_in_use"] = status.chunks_in_use;
  dict["region_bytes"] = status.region_bytes;
  dict["segments"] = status.segments;
  dict["disk_bytes"] = status.disk_bytes;
  dict["syncs"] = status.syncs;
  dict["sync_ns_last"] = status.sync_ns_last;
  dict["sync_ns_max"] = status.sync_ns_max;
  dict["degraded"] = text_to_python(status.degraded);
  dict["workers"] = workers;
  return dict;
}

}  // namespace oj::python
