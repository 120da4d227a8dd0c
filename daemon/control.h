// The control thread: who is attached, who has died, what is asked over the socket, when to end.
//
//   epoll   control.sock | connections | pidfds of workers | signals | the eventfd of the other
//           threads | the runtime folder
//
// Who has a slot, and who has died, is in roster.h. It never waits for the disk, so it also repeats
// wakes that were left out: left_out_wakes.h.
//
// A client's bug costs that client its connection, never the daemon.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/fd.h"
#include "base/result.h"
#include "daemon/control_socket.h"
#include "daemon/flusher.h"
#include "daemon/heartbeat.h"
#include "daemon/left_out_wakes.h"
#include "daemon/logging.h"
#include "daemon/orphan_keeper.h"
#include "daemon/roster.h"
#include "daemon/runtime_folder.h"
#include "daemon/troubles.h"
#include "schema/control.h"
#include "shm/region.h"

namespace oj::daemon {

struct ControlSettings {
  std::string folder, runtime_folder;
  Rights rights;
  bool embedded = false;
  std::optional<std::int64_t> idle_exit_ms;
  std::int64_t started_us = 0;
  const Supervisor* supervisor = nullptr;  // never null when a Control is made, as `troubles`
  Troubles* troubles = nullptr;
};

class Control {
 public:
  enum class End : std::uint8_t {
    kStop,           // a signal, a StopRequest, or idle long enough
    kRegionGone,     // somebody removed the region file or its folder: make another one
    kRegionDamaged,  // somebody wrote or cut what is not his: likewise
  };

  // `signals`: a signalfd of SIGTERM, SIGINT, SIGHUP; `event`: the eventfd that the other threads
  // write. Not owned.
  static Result<std::unique_ptr<Control>> start(const ControlSettings& settings,
                                                std::shared_ptr<shm::Region> region,
                                                Flusher& flusher, OrphanKeeper& orphans,
                                                int signals, int event);
  ~Control();

  // Serves until there is a reason to end.
  End serve();
  // Afterwards: no new clients, no more records of the daemon's own.
  void close();
  // Slots that a worker, alive as far as is known, still has.
  std::uint32_t workers() const { return roster_.workers(); }

 private:
  struct Connection {
    Fd fd;
    Peer peer;
    std::optional<shm::SlotRef> slot;
  };

  Control(const ControlSettings& settings, std::shared_ptr<shm::Region> region, Flusher& flusher,
          OrphanKeeper& orphans, int signals);
  Result<void> open(int event);
  bool watch(int fd, std::uint64_t key, std::uint32_t events);

  void dispatch(std::uint64_t key);
  void on_signal();
  void on_listener();
  void on_connection(std::uint64_t id);
  void on_folder();
  bool file_is_sound();
  void on_time();

  void answer(std::uint64_t id, Connection& connection, Packet& packet);
  void refuse(std::uint64_t id, Code code, const std::string& message);
  void reply(std::uint64_t id, const schema::ControlMessage& message);
  void drop(std::uint64_t id);
  void hello(std::uint64_t id, Connection& connection, const schema::Hello& hello, Fd pidfd);
  void welcome(std::uint64_t id, const shm::SlotRef* slot);
  void stop_asked(std::uint64_t id);
  schema::Status status();
  std::string status_line() const;

  void look_at_slots();
  void tell_deaths();
  int timeout_ms() const;
  bool idle_for_long() const;

  const ControlSettings settings_;
  std::shared_ptr<shm::Region> region_;
  Flusher& flusher_;
  Heartbeat heartbeat_;
  OrphanKeeper& orphans_;
  Roster roster_;
  LeftOutWakes left_out_wakes_;
  const int signals_;
  Fd epoll_, listener_, folder_watch_;
  bool listening_paused_ = false;
  std::uint64_t next_connection_ = 0;
  std::size_t connections_max_ = 0;
  std::unordered_map<std::uint64_t, Connection> connections_;
  std::int64_t idle_since_ns_ = 0;
  bool had_clients_ = false;
  std::uint64_t deaths_told_ = 0;
  std::optional<End> end_;
  RepeatLimit bad_packet_limit_, full_limit_;
};

}  // namespace oj::daemon
