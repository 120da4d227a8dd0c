// SPDX-License-Identifier: MIT
#include "libclient/storage.h"

#include <atomic>
#include <mutex>
#include <new>
#include <utility>
#include <variant>

#include "libclient/fork_registry.h"
#include "schema/codec.h"
#include "schema/orphan_policy.h"

namespace oj::client {
namespace {

struct DefaultDurability {
  Durability operator()(const schema::CreateStudy&) const { return Durability::kSynced; }
  Durability operator()(const schema::DeleteStudy&) const { return Durability::kSynced; }
  Durability operator()(const schema::CreateTrial& create) const {
    return schema::is_finished(create.state) ? Durability::kSynced : Durability::kPublished;
  }
  Durability operator()(const schema::SetTrialStateValues& set) const {
    return schema::is_finished(set.state) ? Durability::kSynced : Durability::kPublished;
  }
  template <class Other>
  Durability operator()(const Other&) const {
    return Durability::kPublished;
  }
};

Durability default_durability(const schema::Operation& operation) {
  return std::visit(DefaultDurability{}, operation);
}

}  // namespace

struct Storage::Impl final : ForkAware {
  // What a fork child can keep only if no other thread was changing it at that moment.
  struct Core {
    std::mutex mutex;
    replay::State state;
    schema::Encoder encoder;
    schema::Decoder decoder;
    std::uint64_t generation = 0;  // in which `state` was begun
    bool begun = false;
    bool inherited = false;  // by a fork child that has not looked at its own session yet
  };
  struct Own {  // the record whose outcome is wanted
    Appended appended;
    bool found = false;
    bool bad = false;
    replay::Outcome outcome;
  };

  explicit Impl(std::shared_ptr<Session> opened) : session(std::move(opened)), core(new Core) {
    ForkGuard().add(*this);
  }
  ~Impl() override {
    ForkGuard().remove(*this);
    delete core.load(std::memory_order_acquire);  // pairs with get()
  }

  void before_fork() noexcept override {
    Core* const present = core.load(std::memory_order_acquire);  // pairs with get()
    held_over_fork = present != nullptr && present->mutex.try_lock() ? present : nullptr;
  }
  void after_fork_in_parent() noexcept override {
    if (held_over_fork != nullptr) held_over_fork->mutex.unlock();
  }
  Then after_fork_in_child() noexcept override {
    new (&making) std::mutex;  // may have been locked by another thread
    if (held_over_fork != nullptr) {
      held_over_fork->inherited = true;
      held_over_fork->mutex.unlock();
    } else {
      core.store(nullptr, std::memory_order_relaxed);  // init: this is the only thread
    }
    return Then::kStay;
  }

  Core& get() {
    if (Core* made = core.load(std::memory_order_acquire)) return *made;  // pairs with below
    const std::lock_guard lock(making);
    if (Core* made = core.load(std::memory_order_acquire)) return *made;  // pairs with below
    Core* const made = new Core;
    core.store(made, std::memory_order_release);  // pairs with get(): it is whole before it is seen
    return *made;
  }

  // REQUIRES for both: the core's mutex is held.
  Result<void> catch_up(Core& now, Own* own);
  Result<Own> publish(Core& now, const schema::Operation& operation);
  void begin(Core& now);
  void forget(Core& now) {
    now.state = replay::State();
    histories.fetch_add(1, std::memory_order_relaxed);  // stat: the core's mutex orders it
  }

  const std::shared_ptr<Session> session;
  std::atomic<Core*> core;
  std::mutex making;
  std::atomic<std::uint64_t> histories{0};  // written under the core's mutex
  Core* held_over_fork = nullptr;           // between before_fork() and after it
};

void Storage::Impl::begin(Core& now) {
  const std::uint64_t generation = session->generation();
  if (now.inherited && now.generation != generation) forget(now);
  now.generation = generation;
  now.inherited = false;
  now.begun = true;
}

Result<void> Storage::Impl::catch_up(Core& now, Own* own) {
  if (!now.begun || now.inherited) begin(now);
  std::optional<Error> stopped;
  const auto take = [&](std::uint64_t seq, std::span<const std::byte> bytes) {
    const bool is_own = own != nullptr && seq == own->appended.seq;
    if (bytes.empty()) {
      now.state.apply_tombstone(seq);
      if (is_own) own->bad = true;
      return true;
    }
    Result<schema::DecodedRecord> record = now.decoder.decode(bytes);
    if (!record) {
      if (record.error().code == Code::kIncompatible) {
        stopped = record.error();
        stopped->message =
            session->location().text + ", record " + std::to_string(seq) + ": " + stopped->message;
        return false;
      }
      now.state.apply_tombstone(seq);
      if (is_own) own->bad = true;
      return true;
    }
    const std::span<const replay::Outcome> outcomes = now.state.apply(seq, *record);
    if (is_own && record->header.session == own->appended.session &&
        record->header.op_no == own->appended.op_no && !outcomes.empty()) {
      own->found = true;
      own->outcome = outcomes.front();
    }
    return true;
  };
  Result<Session::ReadResult> read = session->read(now.state.next_seq(), take);
  if (!read && read.error().code == Code::kGone) {
    forget(now);  // the next call reads anew
    now.begun = false;
    return read.error();
  }
  if (stopped) return *stopped;
  if (read) return {};
  return read.error();
}

Result<Storage::Impl::Own> Storage::Impl::publish(Core& now, const schema::Operation& operation) {
  Result<Appended> appended =
      session->append(now.encoder.encode(operation), Durability::kPublished, Deadline::at_once());
  if (!appended) return appended.error();
  Own own;
  own.appended = *appended;
  const std::string name = "record " + std::to_string(own.appended.seq);
  if (auto done = catch_up(now, &own); !done) {
    // The state is of another history; whether the record is, too, the session knows.
    const Result<void> kept = session->wait_synced(own.appended, Deadline::at_once());
    if (!kept && kept.error().code == Code::kGone) return kept.error();
    return published_but(own.appended.seq, done.error());
  }
  if (own.bad) {
    return Error{Code::kCorrupt, session->location().text + ": " + name +
                                     " was damaged in shared memory and counts as not written"};
  }
  if (!own.found) {
    return Error{Code::kGone, session->location().text + ": " + name +
                                  " was lost with the shared memory that it was published in"};
  }
  return own;
}

Storage::Storage() = default;
Storage::~Storage() = default;

Result<std::shared_ptr<Storage>> Storage::open(const std::string& location,
                                               const OpenOptions& options) {
  Result<std::shared_ptr<Session>> session = Session::open(location, options);
  if (!session) return session.error();
  std::shared_ptr<Storage> storage(new Storage);
  storage->impl_ = std::make_unique<Impl>(std::move(*session));
  return storage;
}

Session& Storage::session() { return *impl_->session; }

Result<Storage::Written> Storage::try_write(const schema::Operation& operation,
                                            const WriteOptions& options) {
  const Durability durability = options.durability.value_or(default_durability(operation));
  Impl::Core& now = impl_->get();
  const std::lock_guard lock(now.mutex);
  if (auto done = impl_->catch_up(now, nullptr); !done) return done.error();
  Written written;
  written.outcome = now.state.check(operation);
  if (written.outcome.code != replay::OutcomeCode::kDone) {
    written.seq = UINT64_MAX;
    return written;
  }
  Result<Impl::Own> own = impl_->publish(now, operation);
  if (!own) return own.error();
  written.outcome = own->outcome;
  written.seq = own->appended.seq;
  written.session = own->appended.session;
  written.must_wait =
      durability == Durability::kSynced && own->outcome.code == replay::OutcomeCode::kDone;
  return written;
}

Result<void> Storage::wait_for_room(Deadline deadline) {
  return impl_->session->wait_for_room(deadline);
}

Result<void> Storage::settle(const Written& written, Deadline deadline) {
  if (!written.must_wait) return {};
  return impl_->session->wait_synced(Appended{written.seq, 0, written.session}, deadline);
}

Result<replay::Outcome> Storage::write(const schema::Operation& operation,
                                       const WriteOptions& options) {
  for (;;) {
    Result<Written> written = try_write(operation, options);
    if (written) {
      if (auto settled = settle(*written, options.deadline); !settled) {
        if (settled.error().code == Code::kGone) return settled.error();
        return published_but(written->seq, settled.error());
      }
      return written->outcome;
    }
    if (written.error().code != Code::kBusy) return written.error();
    if (auto room = wait_for_room(options.deadline); !room) return room.error();
  }
}

Result<schema::StudyId> Storage::create_study(std::string_view name,
                                              std::span<const schema::Direction> directions,
                                              bool load_if_exists, const WriteOptions& options) {
  const schema::Operation create = schema::CreateStudy{name, directions};
  Result<replay::Outcome> outcome = write(create, options);
  if (!outcome) return outcome.error();
  if (outcome->code == replay::OutcomeCode::kDone) return outcome->id;
  if (outcome->code == replay::OutcomeCode::kStudyExists && load_if_exists) return outcome->id;
  return outcome_error(*outcome, create);
}

Result<std::optional<schema::TrialId>> Storage::pop_waiting(schema::StudyId study,
                                                            const WriteOptions& options) {
  for (;;) {
    std::optional<schema::TrialId> first;
    bool exists = false;
    auto done = read([&](const replay::State& state) {
      const replay::Study* found = state.study(study);
      exists = found != nullptr;
      if (exists && !found->waiting.empty()) first = found->trials[*found->waiting.begin()]->id;
    });
    if (!done) return done.error();
    if (!exists) {
      return outcome_error({replay::OutcomeCode::kNoSuchStudy, study}, schema::DeleteStudy{study});
    }
    if (!first) return std::optional<schema::TrialId>();
    const schema::Operation take =
        schema::SetTrialStateValues{*first, schema::TrialState::kRunning, std::nullopt, utc_us()};
    Result<replay::Outcome> outcome = write(take, options);
    if (!outcome) return outcome.error();
    if (outcome->code == replay::OutcomeCode::kDone) return first;
    // Another process was faster, or the study was deleted: look again.
  }
}

Result<void> Storage::set_orphan_policy(schema::StudyId study, const schema::OrphanPolicy& policy,
                                        const WriteOptions& options) {
  const std::string text = schema::text_of(policy);
  schema::Value value;  // null: none
  if (policy.kind != schema::OrphanPolicy::Kind::kUnset)
    value = {.kind = schema::Value::Kind::kText, .text = text};
  const schema::Operation set = schema::SetStudySystemAttr{study, {schema::kOrphansAttr, value}};
  Result<replay::Outcome> outcome = write(set, options);
  if (!outcome) return outcome.error();
  if (outcome->code != replay::OutcomeCode::kDone) return outcome_error(*outcome, set);
  return {};
}

Result<void> Storage::read(const std::function<void(const replay::State&)>& use) {
  Impl::Core& now = impl_->get();
  const std::lock_guard lock(now.mutex);
  if (auto done = impl_->catch_up(now, nullptr); !done) return done.error();
  use(now.state);
  return {};
}

std::uint64_t Storage::history() const {
  return impl_->histories.load(std::memory_order_relaxed);  // stat: the core's mutex orders it
}

void Storage::peek(const std::function<void(const replay::State&)>& use) {
  Impl::Core& now = impl_->get();
  const std::lock_guard lock(now.mutex);
  use(now.state);
}

}  // namespace oj::client
