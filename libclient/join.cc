// SPDX-License-Identifier: MIT
#include "libclient/join.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "libclient/daemon_process.h"
#include "libclient/service_advice.h"

namespace oj::client {
namespace {

constexpr std::int64_t kPauseMsMin = 1;
constexpr std::int64_t kPauseMsMax = 25;
constexpr std::int64_t kServicePatienceMs = 5'000;  // with one that shows no sign of life
constexpr int kStartsMax = 5;  // of daemons that end for a reason that may pass

struct Tried {
  std::optional<Joined> joined;
  Error error;
  bool passing = false;  // the error may go away by itself: try again
};

// One attempt with the daemon that listens in `runtime_folder`.
Tried say_hello(const JoinRequest& request, const std::string& runtime_folder,
                ControlConnection& connection) {
  const auto failed = [&connection](const Error& error) {
    connection.close();
    // A daemon that ends while we connect, or that does not listen yet, is replaced or ready soon.
    return Tried{std::nullopt, error, error.code == Code::kGone};
  };
  if (auto done = connection.connect(runtime_folder, request.deadline, request.cancel_fd); !done) {
    return failed(done.error());
  }
  const auto pass = request.hello.monitor ? ControlConnection::Pass::kNothing
                                          : ControlConnection::Pass::kOwnPidfd;
  // A daemon that refuses whoever comes has closed the connection before it read this.
  if (auto done = connection.send(request.hello, pass, request.deadline, request.cancel_fd);
      !done && done.error().code != Code::kGone) {
    return failed(done.error());
  }
  Result<schema::ControlMessage> answer = connection.receive(request.deadline, request.cancel_fd);
  if (!answer) return failed(answer.error());
  if (auto* welcome = std::get_if<schema::Welcome>(&*answer)) {
    return Tried{Joined{std::move(*welcome), runtime_folder}, {}, false};
  }
  connection.close();
  if (auto* refusal = std::get_if<schema::Refusal>(&*answer)) {
    Tried tried;
    tried.error = Error{refusal->code <= static_cast<std::uint32_t>(Code::kIo)
                            ? static_cast<Code>(refusal->code)
                            : Code::kRefused,
                        std::move(refusal->message)};
    // "Gone" answers a rejoin whose slot is no more: the caller's to decide. To a newcomer it says:
    // I am ending.
    tried.passing = tried.error.code == Code::kGone && !request.hello.rejoin;
    return tried;
  }
  return Tried{std::nullopt, {Code::kCorrupt, "the daemon answered Hello with something else"}};
}

// Starts a daemon if nobody else is doing so. An error is final; success says only: look again.
struct Starting {
  Deadline patience = Deadline::in_ms(kStarterPatienceMs);
  int failures = 0;

  Result<void> try_once(const JoinRequest& request) {
    Result<std::optional<Fd>> lock = request.folder.try_lock_for_starting();
    if (!lock) return lock.error();
    if (!lock->has_value() && !patience.passed()) return {};
    patience = Deadline::in_ms(kStarterPatienceMs);
    // Between our look and the lock somebody else may have started one.
    Result<std::string> served = serving_runtime_folder(request.location, request.folder);
    if (served && !served->empty()) return {};
    DaemonStart start;
    start.folder = request.folder.path();
    start.program = request.options.daemon_path;
    start.pool_bytes = request.options.pool_bytes;
    start.idle_exit_ms = request.options.idle_exit_ms;
    Result<void> started = start_embedded_daemon(start, request.deadline, request.cancel_fd);
    if (started) return {};
    served = serving_runtime_folder(request.location, request.folder);
    if (served && !served->empty()) return {};  // it lost against another one, which is as good
    // Killed on its way, or out of something for a moment; what is wrong for good stays wrong.
    if (started.error().code == Code::kIo && ++failures < kStartsMax) return {};
    return started.error();
  }
};

}  // namespace

Result<std::string> serving_runtime_folder(const Location& location,
                                           const journal::Folder& folder) {
  if (location.service) return location.runtime_folder;
  Result<std::optional<journal::Holder>> holder = folder.holder();
  if (!holder) return holder.error();
  return holder->has_value() ? (*holder)->runtime_folder : std::string();
}

Result<Joined> join(const JoinRequest& request, ControlConnection& connection) {
  Starting starting;
  Deadline service_patience = Deadline::in_ms(kServicePatienceMs);
  Error last{Code::kGone, "nobody serves it"};
  for (std::int64_t pause_ms = kPauseMsMin;; pause_ms = std::min(pause_ms * 2, kPauseMsMax)) {
    Result<std::string> runtime_folder = serving_runtime_folder(request.location, request.folder);
    if (!runtime_folder) {
      last = runtime_folder.error();  // a daemon that is writing DIR/LOCK at this moment
    } else if (!runtime_folder->empty()) {
      Tried tried = say_hello(request, *runtime_folder, connection);
      if (tried.joined) return std::move(*tried.joined);
      if (!tried.passing) return tried.error;
      last = std::move(tried.error);
      starting.patience = Deadline::in_ms(kStarterPatienceMs);
      if (!request.location.service || has_traces(request.location)) {
        service_patience = Deadline::in_ms(kServicePatienceMs);
      } else if (service_patience.passed()) {
        return last;  // not being restarted: it does not run
      }
    } else if (!request.may_start) {
      return Error{Code::kGone, "no daemon serves " + request.location.text};
    } else if (auto started = starting.try_once(request); !started) {
      return started.error();
    }
    if (request.deadline.passed()) {
      return Error{
          Code::kGone,
          "no daemon for " + request.location.text + " until the deadline: " + last.message,
          last.os_error};
    }
    if (!sleep_unless_cancelled(request.cancel_fd, Deadline::in_ms(pause_ms))) return cancelled();
  }
}

}  // namespace oj::client
