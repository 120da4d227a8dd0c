// SPDX-License-Identifier: MIT
#include "libclient/keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "libclient/service_advice.h"

namespace oj::client {
namespace {

constexpr std::int64_t kPauseMsMin = 50;  // between failed tries to get a daemon
constexpr std::int64_t kPauseMsMax = 1'000;

void ring(const Fd& event) {
  const std::uint64_t one = 1;
  (void)!::write(event.get(), &one, sizeof one);  // fails only when it is rung 2^64 times already
}

// condition_variable waits with a point of CLOCK_MONOTONIC, which is what steady_clock is.
template <class Predicate>
bool wait_until(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                Deadline deadline, Predicate reached) {
  if (deadline.is_never()) {
    changed.wait(lock, reached);
    return true;
  }
  const std::chrono::steady_clock::time_point at{std::chrono::nanoseconds(deadline.at_ns)};
  return changed.wait_until(lock, at, reached);
}

schema::Hello hello_of(const ProcessIdentity& identity) {
  schema::Hello hello;
  hello.command = identity.command;
  hello.identity = identity.said;
  return hello;
}

}  // namespace

Keeper::Keeper(const Session& session, Steps steps) : session_(session), steps_(std::move(steps)) {}

Keeper::~Keeper() { stop(); }

Result<void> Keeper::start(Deadline deadline) {
  stop_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop_ || !wake_) return io_error("eventfd for " + session_.location.text, errno);
  for (bool first = true;; first = false) {
    Result<void> tied = tie(deadline, session_.options.cancel_fd, nullptr);
    if (tied) break;
    // A region that was replaced between Welcome and attaching: once more. Likewise one that was
    // damaged in between, so that it seems to be of another boot or version: at the second time it
    // is.
    const Code code = tied.error().code;
    const bool passing = code == Code::kGone || (code == Code::kIncompatible && first);
    if (!passing || deadline.passed()) return tied.error();
    if (session_.location.service && !has_traces(session_.location)) return tied.error();
    if (!sleep_unless_cancelled(session_.options.cancel_fd, Deadline::in_ms(kPauseMsMin)))
      return cancelled();
  }
  // The host program's signals are not for this thread.
  sigset_t all, before;
  sigfillset(&all);
  for (const int of_the_instruction : {SIGBUS, SIGSEGV, SIGFPE, SIGILL})
    sigdelset(&all, of_the_instruction);  // blocked they end the process; shm/lost_pages.h
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return io_error("start a thread for " + session_.location.text, error.code().value());
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

void Keeper::stop() {
  stopping_.store(true, std::memory_order_release);  // pairs with run()
  if (stop_) ring(stop_);
  if (thread_.joinable()) thread_.join();
}

void Keeper::run() {
  pthread_setname_np(pthread_self(), "oj-keeper");
  std::int64_t pause_ms = kPauseMsMin;
  while (!stopping_.load(std::memory_order_acquire)) {  // pairs with stop()
    std::shared_ptr<Attachment> current = session_.current.get();
    if (connection_.alive() && !wants_another(current->number)) {
      current.reset();
      sleep_until_something_happens();
      continue;
    }
    set_tied_to(0);
    const Deadline deadline =
        Deadline::in_ms(std::max<std::int64_t>(session_.options.open_timeout_ms, 1'000));
    Result<void> tied = tie(deadline, stop_.get(), std::move(current));
    if (tied) {
      pause_ms = kPauseMsMin;
      continue;
    }
    connection_.close();
    if (stopping_.load(std::memory_order_acquire)) return;  // pairs with stop()
    set_trouble(tied.error().message);
    sleep_unless_cancelled(stop_.get(), Deadline::in_ms(pause_ms));
    pause_ms = std::min(pause_ms * 2, kPauseMsMax);
  }
}

void Keeper::sleep_until_something_happens() {
  pollfd polled[3] = {{connection_.fd(), POLLIN | POLLRDHUP, 0},
                      {stop_.get(), POLLIN, 0},
                      {wake_.get(), POLLIN, 0}};
  (void)::poll(polled, 3, -1);
  std::uint64_t times = 0;
  if (polled[2].revents != 0) (void)!::read(wake_.get(), &times, sizeof times);
}

Result<void> Keeper::tie(Deadline deadline, int cancel_fd, std::shared_ptr<Attachment> before) {
  JoinRequest request{
      session_.location,          session_.folder, session_.options, hello_of(session_.identity),
      !session_.location.service, deadline,        cancel_fd};
  if (before && !before->lost() && !wants_another(before->number) &&
      !session_.current.given_up(before->number)) {
    request.hello.rejoin = true;
    request.hello.slot = before->seat->slot().index;
    request.hello.incarnation = before->seat->slot().incarnation;
    request.hello.session = before->session;
  }
  Result<Joined> joined = join(request, connection_);
  if (!joined && joined.error().code == Code::kGone && request.hello.rejoin) {
    request.hello.rejoin = false;  // that daemon knows nothing of our seat
    joined = join(request, connection_);
  }
  if (!joined) return joined.error();
  const schema::Welcome& welcome = joined->welcome;
  const bool same = request.hello.rejoin && welcome.session == before->session &&
                    welcome.slot == before->seat->slot().index &&
                    welcome.incarnation == before->seat->slot().incarnation &&
                    welcome.generation == before->region->identity().generation;
  if (!same) {
    if (auto done = change_attachment(*joined, before); !done) {
      connection_.close();
      return done.error();
    }
  }
  set_trouble(std::nullopt);
  set_tied_to(welcome.daemon_pid);
  return {};
}

Result<void> Keeper::change_attachment(const Joined& joined,
                                       const std::shared_ptr<Attachment>& before) {
  Result<std::shared_ptr<Attachment>> made = Attachment::make(joined, session_.folder, false);
  if (!made) return made.error();
  (*made)->number = before ? before->number + 1 : 1;
  if (!before) {
    session_.current.replace(std::move(*made));
    return {};
  }
  session_.current.give_up(before->number);
  // Where a region vanished and its daemon died nobody else retires it. The daemon at the other end
  // of our connection, which alone may serve this folder, serves another one.
  if ((*made)->region->identity().generation != before->region->identity().generation &&
      !before->region->retired())
    before->region->retire();
  steps_.drain();
  Result<RegionChange> change = compare_regions(before, *made, session_.folder);
  if (!change) return change.error();
  session_.changes.add(*change);  // before anybody can read from the new one
  steps_.announce(**made, before->session);
  session_.current.replace(std::move(*made));
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  steps_.let_go();
  return {};
}

bool Keeper::wants_another(std::uint64_t number) const {
  return unwanted_.load(std::memory_order_acquire) >= number;  // pairs with ask_for_another()
}

void Keeper::ask_for_another(std::uint64_t number) {
  std::uint64_t seen = unwanted_.load(std::memory_order_relaxed);  // hint: checked by the CAS
  while (seen < number &&
         !unwanted_.compare_exchange_weak(seen, number,
                                          std::memory_order_release,  // pairs with wants_another()
                                          std::memory_order_relaxed)) {}
  ring(wake_);
}

bool Keeper::wait_for_another(std::uint64_t number, Deadline deadline) {
  std::unique_lock lock(mutex_);
  return wait_until(changed_, lock, deadline, [&] { return session_.current.number() != number; });
}

bool Keeper::wait_tied(Deadline deadline) {
  std::unique_lock lock(mutex_);
  return wait_until(changed_, lock, deadline, [&] { return daemon_pid_ != 0; });
}

std::optional<Keeper::Trouble> Keeper::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void Keeper::set_trouble(std::optional<std::string> text) {
  const std::lock_guard lock(mutex_);
  if (!text) {
    trouble_.reset();
    return;
  }
  const std::int64_t since_ns = trouble_ ? trouble_->since_ns : monotonic_ns();
  trouble_ = Trouble{std::move(*text), since_ns};
}

std::uint32_t Keeper::daemon_pid() const {
  const std::lock_guard lock(mutex_);
  return daemon_pid_;
}

void Keeper::set_tied_to(std::uint32_t daemon_pid) {
  const std::lock_guard lock(mutex_);
  daemon_pid_ = daemon_pid;
  changed_.notify_all();
}

}  // namespace oj::client
