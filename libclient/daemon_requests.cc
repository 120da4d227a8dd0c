// What can be asked of a daemon without a session: its status, and to end. See session.h.
//
// SPDX-License-Identifier: MIT
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "journal/folder.h"
#include "libclient/control_connection.h"
#include "libclient/join.h"
#include "libclient/service_advice.h"
#include "libclient/session.h"

namespace oj::client {
namespace {

constexpr std::int64_t kAnswerMs = 10'000;  // a daemon that says nothing for so long is stopped
constexpr std::int64_t kEndedLookMs = 10;

struct Conversation {
  Location location;
  std::optional<journal::Folder> folder;
  ControlConnection connection;
};

// Connects to who serves the location. kGone if nobody does.
Result<void> reach(const std::string& text, Conversation& conversation, Deadline deadline) {
  Result<Location> location = parse_location(text);
  if (!location) return location.error();
  conversation.location = std::move(*location);
  std::string runtime_folder = conversation.location.runtime_folder;
  if (!conversation.location.service) {
    Result<journal::Folder> folder =
        journal::Folder::open(conversation.location.folder, journal::Folder::IfAbsent::kRefuse);
    if (!folder) return folder.error();
    conversation.folder.emplace(std::move(*folder));
    Result<std::string> serving =
        serving_runtime_folder(conversation.location, *conversation.folder);
    if (!serving) return serving.error();
    runtime_folder = std::move(*serving);
    if (runtime_folder.empty()) return Error{Code::kGone, "no daemon serves " + text};
  }
  auto connected = conversation.connection.connect(runtime_folder, deadline, -1);
  if (!connected) return with_advice(conversation.location, connected.error());
  return {};
}

Result<schema::ControlMessage> ask(Conversation& conversation, const schema::ControlMessage& what,
                                   Deadline deadline) {
  ControlConnection& connection = conversation.connection;
  // A daemon that refuses whoever comes has closed the connection before it read this.
  if (auto sent = connection.send(what, ControlConnection::Pass::kNothing, deadline, -1);
      !sent && sent.error().code != Code::kGone) {
    return sent.error();
  }
  Result<schema::ControlMessage> answer = connection.receive(deadline, -1);
  if (!answer) return answer.error();
  if (auto* refusal = std::get_if<schema::Refusal>(&*answer)) {
    const bool known = refusal->code <= static_cast<std::uint32_t>(Code::kIo);
    return Error{known ? static_cast<Code>(refusal->code) : Code::kRefused,
                 std::move(refusal->message)};
  }
  return answer;
}

}  // namespace

Result<schema::Status> daemon_status(const std::string& location) {
  return daemon_status(location, Deadline::in_ms(kAnswerMs));
}

Result<schema::Status> daemon_status(const std::string& location, Deadline deadline) {
  Conversation conversation;
  if (auto reached = reach(location, conversation, deadline); !reached) return reached.error();
  Result<schema::ControlMessage> answer = ask(conversation, schema::StatusRequest{}, deadline);
  if (!answer) return answer.error();
  if (auto* status = std::get_if<schema::Status>(&*answer)) return std::move(*status);
  return Error{Code::kCorrupt,
               location + ": the daemon answered a status request with something else"};
}

Result<void> stop_daemon(const std::string& location, Deadline deadline) {
  Conversation conversation;
  if (auto reached = reach(location, conversation, deadline); !reached) return reached.error();
  Result<schema::ControlMessage> answer = ask(conversation, schema::StopRequest{}, deadline);
  if (!answer) return answer.error();
  if (!std::holds_alternative<schema::Stopping>(*answer)) {
    return Error{Code::kCorrupt,
                 location + ": the daemon answered a stop request with something else"};
  }
  // End of file: it has drained. Then its lock: it has ended.
  while (conversation.connection.alive()) {
    if (deadline.passed()) {
      return Error{Code::kBusy,
                   location + ": the daemon is stopping and has not ended until the deadline"};
    }
    sleep_unless_cancelled(-1, Deadline::in_ms(kEndedLookMs));
  }
  if (!conversation.folder) return {};
  for (;;) {
    Result<std::optional<journal::Holder>> holder = conversation.folder->holder();
    if (holder && !holder->has_value()) return {};
    if (deadline.passed()) {
      return Error{Code::kBusy,
                   location + ": the daemon is stopping and has not ended until the deadline"};
    }
    sleep_unless_cancelled(-1, Deadline::in_ms(kEndedLookMs));
  }
}

}  // namespace oj::client
