// The processes of a round: a real daemon and real clients, on a journal of their own.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace oj::verify {

constexpr int kClients = 2;
constexpr std::uint64_t kSyncedMax = 4096;

// What a client has done so far; in memory shared with the checker.
struct Progress {
  std::atomic<std::uint64_t> appended{0}, read{0}, errors{0}, begun_anew{0}, wrong{0};
  // Numbers that wait_synced() said are on disk.
  std::atomic<std::uint64_t> synced_count{0};
  std::array<std::atomic<std::uint64_t>, kSyncedMax> synced;
  std::atomic<bool> enough{false};  // told by the checker
  char error[300] = {};             // the last one
};

// The number that a client's n-th record carries, under the key of the same name.
constexpr std::uint64_t number_of(int client, std::uint64_t n) {
  return (static_cast<std::uint64_t>(client) + 1) << 32 | n;
}
// What the record must hold beside its key, so that half of one record and half of another show.
std::int64_t value_of(std::uint64_t number);

class Stage {
 public:
  explicit Stage(const std::string& daemon_path);
  ~Stage();  // kills what still runs, removes everything
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Throws std::runtime_error if the daemon does not serve.
  void start_daemon();
  void start_clients();
  Progress& progress(int client) const { return *progress_[static_cast<std::size_t>(client)]; }
  std::uint64_t appended() const;  // by all clients
  // Until the clients have appended or met errors `steps` more times, or 2 s.
  void let_them(std::uint64_t steps) const;
  // Until the clients have appended more; false: they are stuck.
  bool recovers() const;
  // Opens and closes one more session: "" or the error.
  std::string visit() const;

  // Each ends what it says and returns "" or what was wrong with the end: a signal, a hang.
  std::string end_clients();
  std::string end_daemon();
  void hurt_daemon(int signal) const;
  void hurt_client(int signal) const;

  std::string folder() const { return base_ + "/journal"; }
  std::string region_file() const;  // of the newest generation; "" if there is none
  std::string daemon_said() const;

 private:
  std::string daemon_path_, base_;
  pid_t daemon_ = -1;
  std::vector<pid_t> clients_;
  std::array<Progress*, kClients> progress_{};
};

}  // namespace oj::verify
