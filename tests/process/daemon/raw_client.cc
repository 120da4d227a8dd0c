// SPDX-License-Identifier: MIT
#include "tests/process/daemon/raw_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "shm/watermarks.h"

namespace oj::testing {

ControlClient::ControlClient(const std::string& runtime_folder)
    : fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  const std::string path = runtime_folder + "/control.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fd_.reset();
  }
  const int bytes = 1 << 20;
  setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool ControlClient::send(std::span<const std::byte> packet, std::span<const int> descriptors) {
  iovec part{const_cast<std::byte*>(packet.data()), packet.size()};
  std::vector<char> beside(CMSG_SPACE(descriptors.size_bytes()));
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = beside.data();
    message.msg_controllen = beside.size();
    cmsghdr* item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_SOCKET;
    item->cmsg_type = SCM_RIGHTS;
    item->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(item), descriptors.data(), descriptors.size_bytes());
  }
  return sendmsg(fd_.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size());
}

bool ControlClient::send(const schema::ControlMessage& message, std::span<const int> descriptors) {
  return send(schema::encode_control(message), descriptors);
}

std::optional<schema::ControlMessage> ControlClient::receive() {
  std::vector<std::byte> packet(schema::kControlMessageBytesMax);
  const ssize_t got = recv(fd_.get(), packet.data(), packet.size(), 0);
  if (got <= 0) return std::nullopt;
  auto message = schema::decode_control({packet.data(), static_cast<std::size_t>(got)});
  if (message) return std::move(*message);
  ADD_FAILURE() << message.error().message;
  return std::nullopt;
}

std::optional<schema::ControlMessage> ControlClient::hello(schema::Hello hello) {
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (hello.command.empty()) hello.command = "daemon_test";
  const int number = pidfd.get();
  if (!send(hello, {&number, 1})) return std::nullopt;
  return receive();
}

std::optional<schema::Status> status_of(const std::string& runtime_folder) {
  ControlClient client(runtime_folder);
  if (!client.connected() || !client.send(schema::StatusRequest{})) return std::nullopt;
  auto answer = client.receive();
  if (!answer || !std::holds_alternative<schema::Status>(*answer)) return std::nullopt;
  return std::get<schema::Status>(*answer);
}

RawWorker::RawWorker(const std::string& runtime_folder, const std::string& path)
    : connection_(runtime_folder) {
  attach(runtime_folder, path);
}

void RawWorker::attach(const std::string& runtime_folder, const std::string& path) {
  auto answer = connection_.hello();
  if (!answer || !std::holds_alternative<schema::Welcome>(*answer)) {
    const auto* refusal = answer ? std::get_if<schema::Refusal>(&*answer) : nullptr;
    ADD_FAILURE() << "no Welcome: "
                  << (refusal != nullptr ? refusal->message : "connection closed");
    return;
  }
  welcome_ = std::get<schema::Welcome>(*answer);
  auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  auto boot_id = shm::this_boot_id();
  ASSERT_TRUE(folder && boot_id);
  const shm::Identity expected{*boot_id, folder->journal_id(), welcome_.generation};
  auto region = shm::Region::attach(runtime_folder + "/" + welcome_.region_file,
                                    shm::Region::Access::kReadWrite, &expected);
  ASSERT_TRUE(region) << region.error().message;
  region_ = std::move(*region);
  const shm::SlotRef slot{welcome_.slot, welcome_.incarnation};
  auto seat = shm::Seat::take(region_, slot);
  ASSERT_TRUE(seat) << seat.error().message;
  seat_.emplace(std::move(*seat));
  producer_.emplace(region_, slot);
}

RawWorker::~RawWorker() = default;

Result<shm::Producer::Attempt> RawWorker::append(const schema::Operation& operation) {
  const std::span<std::byte> record = encoder_.encode(operation);
  schema::stamp(record, {welcome_.session, op_no_ + 1, utc_us()});
  auto attempt = producer_->try_append(record);
  if (attempt && attempt->full == shm::Full::kNo) ++op_no_;
  return attempt;
}

std::optional<std::uint64_t> RawWorker::try_mark(const std::string& text) {
  auto attempt = append(schema::SetStudyUserAttr{0, {text, {}}});
  if (!attempt) {
    ADD_FAILURE() << attempt.error().message;
    return std::nullopt;
  }
  if (attempt->full != shm::Full::kNo) return std::nullopt;
  return attempt->seq;
}

std::uint64_t RawWorker::mark(const std::string& text) {
  for (;;) {
    auto attempt = append(schema::SetStudyUserAttr{0, {text, {}}});
    if (!attempt) {
      ADD_FAILURE() << attempt.error().message;
      return 0;
    }
    if (attempt->full == shm::Full::kNo) return attempt->seq;
    shm::wait_for_room(region_, attempt->room_made, Deadline::in_ms(60'000));
  }
}

void RawWorker::wait_synced() {
  const std::uint64_t end = shm::published_end(*region_);
  const Deadline deadline = Deadline::in_ms(60'000);
  shm::Waited waited = shm::Waited::kLook;
  while (waited == shm::Waited::kLook) waited = shm::wait_synced(region_, end, deadline);
  EXPECT_EQ(waited, shm::Waited::kReached);
}

void RawWorker::close() {
  auto ended =
      append(schema::SessionEnded{welcome_.session, schema::SessionEnded::Reason::kClosed});
  EXPECT_TRUE(ended && ended->full == shm::Full::kNo);
  producer_.reset();
  seat_.reset();
  connection_.close();
}

WorkerProcess::WorkerProcess(const std::string& runtime_folder, const std::string& folder,
                             const std::function<void(RawWorker&)>& act) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const Fd ours(ends[0]);
  Fd theirs(ends[1]);
  pid_ = fork();
  if (pid_ == 0) {
    RawWorker worker(runtime_folder, folder);
    if (!::testing::Test::HasFailure()) act(worker);
    const schema::SessionId session = ::testing::Test::HasFailure() ? 0 : worker.welcome().session;
    if (write(theirs.get(), &session, sizeof session) != sizeof session) _exit(1);
    for (;;) pause();
  }
  theirs.reset();
  EXPECT_EQ(read(ours.get(), &session_, sizeof session_), static_cast<ssize_t>(sizeof session_));
  EXPECT_NE(session_, 0u) << "the worker process failed";
}

WorkerProcess::~WorkerProcess() { kill(); }

void WorkerProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

}  // namespace oj::testing
