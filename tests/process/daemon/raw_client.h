// A client of optjournald that is made of nothing but the contracts: packets, a seat, a producer.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "journal/folder.h"
#include "schema/codec.h"
#include "schema/control.h"
#include "shm/producer.h"
#include "shm/region.h"
#include "shm/worker_slots.h"

namespace oj::testing {

class ControlClient {
 public:
  explicit ControlClient(const std::string& runtime_folder);

  bool connected() const { return static_cast<bool>(fd_); }
  bool send(std::span<const std::byte> packet, std::span<const int> descriptors = {});
  bool send(const schema::ControlMessage& message, std::span<const int> descriptors = {});
  // The next message; none when the daemon has closed the connection.
  std::optional<schema::ControlMessage> receive();
  // As a worker, with this process's pidfd.
  std::optional<schema::ControlMessage> hello(schema::Hello hello = {});
  void close() { fd_.reset(); }

 private:
  Fd fd_;
};

std::optional<schema::Status> status_of(const std::string& runtime_folder);

// A worker in this process.
class RawWorker {
 public:
  // Fails the test if it cannot attach.
  RawWorker(const std::string& runtime_folder, const std::string& folder);
  ~RawWorker();

  // Publishes a record with the mark; waits for room. The seq.
  std::uint64_t mark(const std::string& text);
  std::optional<std::uint64_t> try_mark(const std::string& text);  // none: full
  void wait_synced();
  void close();  // as liboptjournal does: SessionEnded{closed}, slot CLOSED, then the connection

  const schema::Welcome& welcome() const { return welcome_; }
  ControlClient& connection() { return connection_; }
  const std::shared_ptr<shm::Region>& region() const { return region_; }
  bool held() const { return seat_->held(); }

 private:
  void attach(const std::string& runtime_folder, const std::string& folder);
  Result<shm::Producer::Attempt> append(const schema::Operation& operation);

  ControlClient connection_;
  schema::Welcome welcome_;
  std::shared_ptr<shm::Region> region_;
  std::optional<shm::Seat> seat_;
  std::optional<shm::Producer> producer_;
  schema::Encoder encoder_;
  std::uint64_t op_no_ = 0;
};

// A worker in a process of its own, which runs `act`, says so, and then waits to be killed.
class WorkerProcess {
 public:
  WorkerProcess(const std::string& runtime_folder, const std::string& folder,
                const std::function<void(RawWorker&)>& act);
  ~WorkerProcess();
  void kill();
  pid_t pid() const { return pid_; }
  schema::SessionId session() const { return session_; }

 private:
  pid_t pid_ = -1;
  schema::SessionId session_ = 0;
};

}  // namespace oj::testing
