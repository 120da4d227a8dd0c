// SPDX-License-Identifier: MIT
#include "libclient/read_only_session.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "journal/reader.h"
#include "libclient/join.h"
#include "libclient/service_advice.h"
#include "libclient/unannounced_region.h"
#include "shm/watermarks.h"

namespace oj::client {
namespace {

constexpr std::int64_t kLookMs = 100;
constexpr int kReadAttempts = 3;  // of a folder that changes hands

Deadline next_look(Deadline deadline) {
  const Deadline look = Deadline::in_ms(kLookMs);
  return deadline.at_ns <= look.at_ns ? deadline : look;
}

}  // namespace

ReadOnlySession::ReadOnlySession(const Location& location, const OpenOptions& options,
                                 journal::Folder folder)
    : location_(location), options_(options), folder_(std::move(folder)), places_(folder_) {}

Result<std::unique_ptr<ProcessSession>> ReadOnlySession::open(const Location& location,
                                                              const OpenOptions& options) {
  Result<journal::Folder> folder =
      journal::Folder::open(location.folder, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return with_advice(location, folder.error());
  std::unique_ptr<ReadOnlySession> session(
      new ReadOnlySession(location, options, std::move(*folder)));
  const Deadline deadline = Deadline::in_ms(options.open_timeout_ms);
  if (auto done = session->look(deadline); !done) return with_advice(location, done.error());
  return std::unique_ptr<ProcessSession>(std::move(session));
}

ReadOnlySession::~ReadOnlySession() {
  current_.replace(nullptr);
  places_.refresh(nullptr);
}

Result<void> ReadOnlySession::look(Deadline deadline) {
  if (options_.mode == OpenOptions::Mode::kOffline) return {};
  const std::lock_guard lock(mutex_);
  const auto current = current_.get();
  if (connection_.alive() && !(current && current->lost())) return {};
  const std::int64_t now_ns = monotonic_ns();
  if (looked_ns_ != 0 && now_ns - looked_ns_ < kLookMs * kNsPerMs) return {};
  looked_ns_ = now_ns;
  Result<void> attached = attach(deadline);
  if (attached) return {};
  connection_.close();
  // Nobody serves, or a daemon is about to: until then the region that we have, or the disk, is all
  // there is.
  const Code code = attached.error().code;
  if (code == Code::kGone || code == Code::kBusy) return {};
  return attached.error();
}

Result<void> ReadOnlySession::attach(Deadline deadline) {
  schema::Hello hello;
  hello.monitor = true;
  hello.command = options_.command;
  JoinRequest request{location_, folder_, options_, hello, false, deadline, options_.cancel_fd};
  if (location_.service) request.deadline = next_look(deadline);  // there is no lock to ask
  Result<Joined> joined = join(request, connection_);
  // The socket takes the right to write it, and a daemon that answers; the region neither.
  const bool busy = !joined && joined.error().code == Code::kBusy;
  const Error why = joined ? Error{} : joined.error();
  if (busy || (!joined && why.os_error == EACCES)) {
    if (const auto runtime_folder = serving_runtime_folder(location_, folder_);
        runtime_folder && !runtime_folder->empty()) {
      if (Result<Joined> found = find_region(*runtime_folder)) joined = std::move(found);
    }
  }
  if (!joined) return joined.error();
  const auto before = current_.get();
  if (before && before->region->identity().generation == joined->welcome.generation) return {};
  Result<std::shared_ptr<Attachment>> made = Attachment::make(*joined, folder_, true);
  if (!made) return busy ? why : made.error();
  (*made)->number = before ? before->number + 1 : 1;
  if (before) {
    Result<RegionChange> change = compare_regions(before, *made, folder_);
    if (!change) return change.error();
    changes_.add(*change);
  }
  const Attachment* current = made->get();
  current_.replace(std::move(*made));
  places_.refresh(current);
  return {};
}

Error ReadOnlySession::read_only_error() const {
  return Error{Code::kRefused, location_.text + " was opened read-only"};
}

Result<Appended> ReadOnlySession::append(std::span<std::byte>, Durability, Deadline) {
  return read_only_error();
}
Result<void> ReadOnlySession::wait_for_room(Deadline) { return read_only_error(); }
Result<void> ReadOnlySession::wait_synced(const Appended&, Deadline) { return read_only_error(); }

Result<void> ReadOnlySession::wait_synced(std::uint64_t seq_end, Deadline deadline) {
  for (;;) {
    if (synced_end() >= seq_end) return {};
    if (deadline.passed()) {
      return Error{Code::kBusy,
                   location_.text + ": not synced until the deadline: synced stands at " +
                       std::to_string(synced_end()) + ", asked for " + std::to_string(seq_end)};
    }
    sleep_unless_cancelled(-1, next_look(deadline));
  }
}

Result<std::uint64_t> ReadOnlySession::disk_end() const { return journal::find_end(folder_); }

std::uint64_t ReadOnlySession::published_end() {
  (void)look(Deadline::at_once());
  if (const auto attachment = current_.get()) return shm::published_end(*attachment->region);
  const Result<std::uint64_t> end = disk_end();
  return end ? *end : 0;
}

std::uint64_t ReadOnlySession::synced_end() {
  (void)look(Deadline::at_once());
  if (const auto attachment = current_.get()) return shm::synced(*attachment->region);
  const Result<std::uint64_t> end = disk_end();
  return end ? *end : 0;
}

Result<bool> ReadOnlySession::wait_published(std::uint64_t seq, Deadline deadline) {
  for (;;) {
    if (auto looked = look(next_look(deadline)); !looked) return looked.error();
    if (const auto attachment = current_.get()) {
      const auto waited =
          shm::wait_published(attachment->region, nullptr, seq, next_look(deadline));
      if (waited == shm::Waited::kReached) return true;
    } else {
      const Result<std::uint64_t> end = disk_end();
      if (!end) return end.error();
      if (*end > seq) return true;
      sleep_unless_cancelled(-1, next_look(deadline));
    }
    if (deadline.passed()) return false;
  }
}

Result<Session::ReadResult> ReadOnlySession::read(std::uint64_t from, const Session::Take& take,
                                                  std::uint64_t records_max) {
  std::uint64_t next = from;
  const Session::Take counted = [&](std::uint64_t seq, std::span<const std::byte> record) {
    next = seq + 1;
    return take(seq, record);
  };
  for (int attempt = 1;; ++attempt) {
    if (auto looked = look(Deadline::in_ms(kLookMs)); !looked) return looked.error();
    if (auto position = changes_.check_position(next); !position) return position.error();
    std::uint64_t end = 0;
    const std::uint64_t number = current_.number();
    const bool from_disk = number == 0;
    if (from_disk) {
      const Result<std::uint64_t> found = disk_end();
      if (!found) return found.error();
      end = *found;
      if (next > end) return Session::ReadResult{next, true};
    }
    const std::uint64_t begun = next;
    auto read = places_.read(current_, number, end, next, counted, records_max - (next - from));
    const bool replaced = read && !read->caught_up && read->next_seq == begun && records_max != 0;
    if (replaced && current_.number() != number) continue;  // nothing was read
    // While nobody served, a daemon may have come and cut what the former one had written and not
    // synced, to write it again: what was missing is then above the end, or elsewhere.
    const bool again = !read && from_disk && read.error().code == Code::kCorrupt;
    if (!again || attempt == kReadAttempts) return read;
  }
}

std::uint64_t ReadOnlySession::generation() {
  const auto attachment = current_.get();
  return attachment ? attachment->region->identity().generation : 0;
}

}  // namespace oj::client
