// `optjournal stop`: the daemon syncs everything and ends; nobody's work is cut off.
//
// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/session.h"

namespace oj::cli {

Result<void> stop(const StopOptions& options, Output& out) {
  auto before = client::daemon_status(options.location);
  if (!before) return before.error();
  const auto timeout_ms = static_cast<std::int64_t>(options.timeout_s * 1e3);
  if (auto stopped = client::stop_daemon(options.location, Deadline::in_ms(timeout_ms)); !stopped)
    return stopped;
  return out.write(fmt::format("the daemon of {} (pid {}) has synced everything and ended\n",
                               shown(options.location), before->daemon_pid));
}

}  // namespace oj::cli
