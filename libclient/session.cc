// SPDX-License-Identifier: MIT
#include "libclient/session.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "libclient/fork_registry.h"
#include "libclient/process_session.h"

namespace oj::client {

// What survives a fork: location and options. The ProcessSession does not; the child leaks its copy
// of it (threads that do not exist there may have held its locks, and its mapping is gone) and
// opens another one at its first call.
struct Session::Impl final : ForkAware {
  Impl(Location where, OpenOptions how) : location(std::move(where)), options(std::move(how)) {
    ForkGuard().add(*this);
  }
  ~Impl() override {
    ForkGuard().remove(*this);
    delete current.load(std::memory_order_acquire);  // pairs with get()
  }

  Then after_fork_in_child() noexcept override {
    current.store(nullptr, std::memory_order_relaxed);  // init: this is the only thread
    new (&opening) std::mutex;                          // may have been locked by another thread
    return Then::kStay;
  }

  Result<ProcessSession*> get() {
    if (ProcessSession* open = current.load(std::memory_order_acquire))
      return open;  // pairs with below
    const std::lock_guard lock(opening);
    if (ProcessSession* open = current.load(std::memory_order_acquire))
      return open;  // pairs with below
    Result<std::unique_ptr<ProcessSession>> opened = ProcessSession::open(location, options);
    if (!opened) return opened.error();
    ProcessSession* const open = opened->release();
    current.store(open,
                  std::memory_order_release);  // pairs with get(): it is whole before it is seen
    return open;
  }

  const Location location;
  OpenOptions options;
  std::mutex opening;
  std::atomic<ProcessSession*> current{nullptr};
};

Error published_but(std::uint64_t seq, const Error& error) {
  return Error{Code::kPublished,
               "published as record " + std::to_string(seq) + ", but " + error.message,
               error.os_error};
}

Session::Session() = default;
Session::~Session() = default;

Result<std::shared_ptr<Session>> Session::open(const std::string& location,
                                               const OpenOptions& options) {
  Result<Location> parsed = parse_location(location);
  if (!parsed) return parsed.error();
  std::shared_ptr<Session> session(new Session);
  session->impl_ = std::make_unique<Impl>(std::move(*parsed), options);
  if (auto open = session->impl_->get(); !open) return open.error();
  session->impl_->options.cancel_fd = -1;  // a fork child opens again
  return session;
}

const Location& Session::location() const { return impl_->location; }
bool Session::read_only() const { return impl_->options.mode != OpenOptions::Mode::kWorker; }

schema::SessionId Session::id() {
  const auto open = impl_->get();
  return open ? (*open)->id() : 0;
}

std::uint64_t Session::generation() {
  const auto open = impl_->get();
  return open ? (*open)->generation() : 0;
}

Result<Appended> Session::append(std::span<std::byte> record, Durability durability,
                                 Deadline deadline) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->append(record, durability, deadline);
}

Result<void> Session::wait_for_room(Deadline deadline) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->wait_for_room(deadline);
}

Result<void> Session::wait_synced(std::uint64_t seq_end, Deadline deadline) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->wait_synced(seq_end, deadline);
}

Result<void> Session::wait_synced(const Appended& appended, Deadline deadline) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->wait_synced(appended, deadline);
}

std::uint64_t Session::published_end() {
  const auto open = impl_->get();
  return open ? (*open)->published_end() : 0;
}

std::uint64_t Session::synced_end() {
  const auto open = impl_->get();
  return open ? (*open)->synced_end() : 0;
}

Result<bool> Session::wait_published(std::uint64_t seq, Deadline deadline) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->wait_published(seq, deadline);
}

Result<Session::ReadResult> Session::read(std::uint64_t from, const Take& take,
                                          std::uint64_t records_max) {
  const auto open = impl_->get();
  if (!open) return open.error();
  return (*open)->read(from, take, records_max);
}

Result<schema::Status> Session::status() { return daemon_status(impl_->location.text); }

}  // namespace oj::client
