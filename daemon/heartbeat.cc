// SPDX-License-Identifier: MIT
#include "daemon/heartbeat.h"

#include <algorithm>

#include "base/clock.h"

namespace oj::daemon {

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

}  // namespace oj::daemon
