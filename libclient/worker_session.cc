// SPDX-License-Identifier: MIT
#include "libclient/worker_session.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "libclient/service_advice.h"
#include "schema/codec.h"
#include "schema/operation.h"
#include "shm/watermarks.h"

namespace oj::client {
namespace {

// Sleepers look again this often: whether a daemon is to be had, whether the region is another one.
constexpr std::int64_t kLookMs = 500;
constexpr std::int64_t kCloseMs =
    2'000;  // for ending cleanly although the ring is full or the daemon just died
constexpr std::int64_t kAnnounceMs = 2'000;  // likewise for beginning again in another region

// This thread's last append, while that found no room: what counts as room made since, and how long
// this has lasted.
struct Missed {
  schema::SessionId session = 0;  // 0: it found room
  std::uint64_t room_made = 0;
  std::int64_t since_ns = 0;
};
thread_local Missed missed;

Deadline sooner(Deadline a, Deadline b) { return a.at_ns <= b.at_ns ? a : b; }
Deadline next_look(Deadline deadline) { return sooner(deadline, Deadline::in_ms(kLookMs)); }

// kGone is for what is lost: that there is no daemon says nothing about what was published.
Error no_sync(const Error& error) {
  return error.code == Code::kGone ? Error{Code::kIo, error.message, error.os_error} : error;
}

std::string seconds(std::int64_t ns) {
  const std::int64_t tenths = ns / (kNsPerS / 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

WorkerSession::WorkerSession(const Location& location, const OpenOptions& options,
                             journal::Folder folder)
    : location_(location),
      options_(options),
      folder_(std::move(folder)),
      identity_(ProcessIdentity::of_this_process(options_)),
      lanes_(current_),
      places_(folder_),
      keeper_({location_, folder_, options_, identity_, current_, changes_},
              {.drain =
                   [this] {
                     lanes_.drain();
                     places_.drain();
                   },
               .announce = [this](const Attachment& next,
                                  schema::SessionId former) { announce_in(next, former); },
               .let_go =
                   [this] {
                     lanes_.refresh();
                     places_.refresh(current_.get().get());
                   }}) {}

Result<std::unique_ptr<ProcessSession>> WorkerSession::open(const Location& location,
                                                            const OpenOptions& options) {
  const Deadline deadline = Deadline::in_ms(options.open_timeout_ms);
  Result<journal::Folder> folder =
      journal::Folder::open(location.folder, location.service ? journal::Folder::IfAbsent::kRefuse
                                                              : journal::Folder::IfAbsent::kCreate);
  if (!folder) return with_advice(location, folder.error());
  std::unique_ptr<WorkerSession> session(new WorkerSession(location, options, std::move(*folder)));
  if (auto done = session->keeper_.start(deadline); !done)
    return with_advice(location, done.error());
  if (auto done = session->announce(deadline); !done) return done.error();
  return std::unique_ptr<ProcessSession>(std::move(session));
}

WorkerSession::~WorkerSession() {
  if (current_.number() != 0) {
    // A daemon that died a moment ago is replaced first, so that what we published last is synced.
    (void)keeper_.wait_tied(Deadline::in_ms(kCloseMs));
    schema::Encoder encoder;
    const schema::Operation ended =
        schema::SessionEnded{id(), schema::SessionEnded::Reason::kClosed};
    (void)append(encoder.encode(ended), Durability::kPublished, Deadline::in_ms(kCloseMs));
  }
  keeper_.stop();
  current_.replace(nullptr);
  lanes_.refresh();
  places_.refresh(nullptr);
}

Result<void> WorkerSession::announce(Deadline deadline) {
  std::vector<schema::Gpu> gpus;
  schema::Encoder encoder;
  auto appended = append(encoder.encode(schema::Operation(identity_.started(gpus))),
                         Durability::kPublished, deadline);
  if (!appended) return appended.error();
  return {};
}

// With a producer of its own: the lanes do not know `next` yet. Without room the new session is
// announced by nothing but its records: it works all the same.
void WorkerSession::announce_in(const Attachment& next, schema::SessionId former) {
  std::vector<schema::Gpu> gpus;
  schema::SessionStarted started = identity_.started(gpus);
  started.former = former;
  const std::array<schema::Operation, 2> both = {
      schema::Operation(started),
      schema::Operation(schema::SessionEnded{former, schema::SessionEnded::Reason::kClosed})};
  schema::Encoder encoder;
  const std::span<std::byte> record = encoder.encode(std::span(both));
  // stat: nothing but uniqueness is asked of it
  const std::uint64_t op_no = op_no_.fetch_add(1, std::memory_order_relaxed) + 1;
  shm::Producer producer(next.region, next.seat->slot());
  for (const Deadline deadline = Deadline::in_ms(kAnnounceMs);;) {
    schema::stamp(record, {next.session, op_no, utc_us()});
    const Result<shm::Producer::Attempt> attempt = producer.try_append(record);
    if (!attempt || attempt->full == shm::Full::kNo || deadline.passed()) return;
    (void)shm::wait_for_room(next.region, attempt->room_made, deadline);
  }
}

schema::SessionId WorkerSession::id() {
  const auto attachment = current_.get();
  return attachment ? attachment->session : 0;
}

std::uint64_t WorkerSession::generation() {
  const auto attachment = current_.get();
  return attachment ? attachment->region->identity().generation : 0;
}

Result<Appended> WorkerSession::append(std::span<std::byte> record, Durability durability,
                                       Deadline deadline) {
  if (record.size() <
      schema::kRecordHeaderBytes) {  // what an Encoder gives for one that is far too long
    return Error{Code::kInvalid, location_.text + ": a record has at least " +
                                     std::to_string(schema::kRecordHeaderBytes) + " bytes, not " +
                                     std::to_string(record.size())};
  }
  // stat: nothing but uniqueness is asked of it
  const std::uint64_t op_no = op_no_.fetch_add(1, std::memory_order_relaxed) + 1;
  Appended appended;
  for (;;) {
    std::uint64_t used = 0;
    Result<AppendLanes::Attempt> attempt = lanes_.try_append(record, op_no, used);
    if (!attempt) {
      if (attempt.error().code != Code::kGone) return attempt.error();
      if (auto done = wait_for_other_attachment(used, deadline); !done) return done.error();
      continue;
    }
    if (attempt->full == shm::Full::kNo) {
      missed.session = 0;
      appended = Appended{attempt->seq, op_no, attempt->session};
      break;
    }
    if (missed.session != attempt->session) missed = {attempt->session, 0, monotonic_ns()};
    missed.room_made = attempt->room_made;
    if (auto room = wait_for_room(deadline); !room) return room.error();
  }
  if (durability == Durability::kPublished) return appended;
  if (auto synced = wait_synced(appended, deadline); !synced) {
    // Lost with its region: that is all that there is to say.
    if (auto kept = changes_.check_kept(appended.session, appended.seq + 1); !kept)
      return kept.error();
    return published_but(appended.seq, synced.error());
  }
  return appended;
}

// Ends at each slice, too: then the append is tried again.
Result<void> WorkerSession::wait_for_room(Deadline deadline) {
  const auto attachment = current_.get();
  // Not what this thread found full, or not any more: the next append finds out.
  if (!attachment || attachment->lost() || current_.given_up(attachment->number) ||
      attachment->session != missed.session)
    return {};
  if (deadline.passed()) {
    return Error{Code::kBusy, location_.text + ": " + shm::describe_full(*attachment->region) +
                                  "; waited " + seconds(monotonic_ns() - missed.since_ns) +
                                  " for " + daemon()};
  }
  if (auto daemon = check_daemon(); !daemon) return daemon.error();
  (void)shm::wait_for_room(attachment->region, missed.room_made, next_look(deadline));
  return {};
}

Result<void> WorkerSession::wait_for_other_attachment(std::uint64_t used, Deadline deadline) {
  keeper_.ask_for_another(used);
  for (;;) {
    if (keeper_.wait_for_another(used, next_look(deadline))) return {};
    if (auto daemon = check_daemon(); !daemon) return daemon.error();
    if (deadline.passed()) {
      return Error{Code::kBusy,
                   location_.text + ": the region was replaced and another is not yet there"};
    }
  }
}

Result<std::shared_ptr<Attachment>> WorkerSession::usable_attachment(Deadline deadline) {
  for (;;) {
    std::shared_ptr<Attachment> attachment = current_.get();
    if (!attachment || !(attachment->lost() || current_.given_up(attachment->number)))
      return attachment;
    if (auto done = wait_for_other_attachment(attachment->number, deadline); !done) {
      return done.error();
    }
  }
}

std::string WorkerSession::daemon() const {
  const std::uint32_t pid = keeper_.daemon_pid();
  return pid == 0 ? "the next daemon" : "daemon " + std::to_string(pid);
}

Result<void> WorkerSession::check_daemon() const {
  const std::optional<Keeper::Trouble> trouble = keeper_.trouble();
  if (!trouble) return {};
  const std::int64_t lasted_ns = monotonic_ns() - trouble->since_ns;
  if (lasted_ns < options_.open_timeout_ms * kNsPerMs) return {};
  return Error{Code::kGone, location_.text + ": no daemon to be had for " + seconds(lasted_ns) +
                                ": " + trouble->text};
}

Result<void> WorkerSession::wait_synced(const Appended& appended, Deadline deadline) {
  for (;;) {
    if (auto kept = changes_.check_kept(appended.session, appended.seq + 1); !kept) {
      return kept.error();
    }
    const auto attachment = current_.get();
    // In a later region and not lost: it came there from the disk.
    if (attachment && attachment->session != appended.session && !attachment->lost()) {
      const bool kept = changes_.check_kept(appended.session, appended.seq + 1).ok();
      if (kept && shm::synced(*attachment->region) > appended.seq) return {};
    }
    Result<void> synced = wait_synced(appended.seq + 1, next_look(deadline));
    if (synced) {
      // Loaded before a change and looked at after it, the answer would be of another history.
      if (id() == appended.session) return {};
      continue;
    }
    if (synced.error().code != Code::kBusy || deadline.passed()) return synced.error();
  }
}

Result<void> WorkerSession::wait_synced(std::uint64_t seq_end, Deadline deadline) {
  for (;;) {
    const auto usable = usable_attachment(deadline);
    if (!usable) return no_sync(usable.error());
    if (const std::shared_ptr<Attachment>& attachment = *usable) {
      const std::shared_ptr<shm::Region>& region = attachment->region;
      if (shm::synced(*region) >= seq_end) return {};
      if (const int os_error = shm::degraded(*region); os_error != 0) {
        return io_error("the daemon of " + location_.text + " cannot sync at present", os_error);
      }
      if (auto daemon = check_daemon(); !daemon) return no_sync(daemon.error());
      if (shm::wait_synced(region, seq_end, next_look(deadline)) == shm::Waited::kReached)
        return {};
    }
    if (deadline.passed()) {
      const std::uint64_t synced = synced_end();
      return Error{Code::kBusy, location_.text + ": not synced until the deadline by " + daemon() +
                                    ": synced stands at " + std::to_string(synced) +
                                    ", asked for " + std::to_string(seq_end)};
    }
  }
}

std::uint64_t WorkerSession::published_end() {
  const auto usable = usable_attachment(Deadline::in_ms(options_.open_timeout_ms));
  const auto attachment = usable ? *usable : current_.get();
  return attachment ? shm::published_end(*attachment->region) : 0;
}

std::uint64_t WorkerSession::synced_end() {
  const auto attachment = current_.get();
  return attachment ? shm::synced(*attachment->region) : 0;
}

Result<bool> WorkerSession::wait_published(std::uint64_t seq, Deadline deadline) {
  for (;;) {
    const auto usable = usable_attachment(deadline);
    if (!usable && usable.error().code == Code::kBusy) return false;
    if (!usable) return usable.error();
    const std::shared_ptr<Attachment>& attachment = *usable;
    if (!attachment) return Error{Code::kGone, location_.text + ": the session is being closed"};
    const shm::SlotRef slot = attachment->seat->slot();
    const shm::Waited waited =
        shm::wait_published(attachment->region, &slot, seq, next_look(deadline));
    if (waited == shm::Waited::kReached) return true;
    if (deadline.passed()) return false;
    if (auto daemon = check_daemon(); !daemon) return daemon.error();
  }
}

Result<Session::ReadResult> WorkerSession::read(std::uint64_t from, const Session::Take& take,
                                                std::uint64_t records_max) {
  const Deadline deadline = Deadline::in_ms(options_.open_timeout_ms);
  for (;;) {
    const auto usable = usable_attachment(deadline);
    if (!usable) return usable.error();
    const std::uint64_t number = *usable ? (*usable)->number : 0;
    // What was lost before that one became current is known by now.
    if (auto position = changes_.check_position(from); !position) return position.error();
    auto read = places_.read(current_, number, 0, from, take, records_max);
    if (records_max == 0 || !read || read->caught_up || read->next_seq != from) return read;
    // Replaced in between, so nothing was read.
  }
}

}  // namespace oj::client
