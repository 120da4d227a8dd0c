// SPDX-License-Identifier: MIT
#include "daemon/heartbeat.h"

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace oj::daemon {
namespace {

constexpr std::int64_t kOpeningBeatNs = 10 * kNsPerS;  // without a watchdog

}  // namespace

Heartbeat::Heartbeat(const Supervisor& supervisor, Flusher& flusher)
    : supervisor_(supervisor),
      flusher_(flusher),
      interval_ns_(supervisor.patience_ns() / kBeatsInPatience) {}

int Heartbeat::left_ms(std::int64_t now_ns) const {
  if (interval_ns_ == 0) return -1;
  return static_cast<int>(std::max<std::int64_t>(0, (next_ns_ - now_ns + kNsPerMs - 1) / kNsPerMs));
}

bool Heartbeat::beat(std::int64_t now_ns) {
  if (interval_ns_ == 0 || now_ns < next_ns_) return false;
  next_ns_ = now_ns + interval_ns_;
  const bool alive = flusher_.orders().beat_answered() || flusher_.in_disk_call_since_ns() != 0;
  if (alive) supervisor_.tell("WATCHDOG=1");
  flusher_.orders().post_beat();
  return true;
}

void Heartbeat::look(std::int64_t now_ns, const std::string& status) {
  if (beat(now_ns)) say(status);
}

void Heartbeat::say(const std::string& status) {
  if (!supervisor_.listens() || status == said_) return;
  said_ = status;
  supervisor_.tell("STATUS=" + status);
}

void Heartbeat::look_while_stopping(std::int64_t now_ns) {
  if (!beat(now_ns) || flusher_.in_disk_call_since_ns() == 0) return;
  const std::int64_t more_us = supervisor_.patience_ns() / 1000;
  supervisor_.tell("EXTEND_TIMEOUT_USEC=" + std::to_string(more_us));
}

OpeningBeat::OpeningBeat(const Supervisor& supervisor) : supervisor_(supervisor) {
  if (supervisor_.listens()) thread_ = std::thread([this] { run(); });
}

OpeningBeat::~OpeningBeat() {
  {
    const std::scoped_lock lock(mutex_);
    opened_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void OpeningBeat::run() {
  const std::int64_t patience_ns = supervisor_.patience_ns();
  const std::int64_t interval_ns =
      patience_ns > 0 ? patience_ns / Heartbeat::kBeatsInPatience : kOpeningBeatNs;
  const std::string more_us = std::to_string(interval_ns * Heartbeat::kBeatsInPatience / 1000);
  std::unique_lock lock(mutex_);
  do
    supervisor_.tell("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=" + more_us + "\nSTATUS=opening the journal");
  while (
      !changed_.wait_for(lock, std::chrono::nanoseconds(interval_ns), [this] { return opened_; }));
}

}  // namespace oj::daemon
