// SPDX-License-Identifier: MIT
#include "libclient/process_session.h"

#include "libclient/read_only_session.h"
#include "libclient/worker_session.h"

namespace oj::client {

Result<std::unique_ptr<ProcessSession>> ProcessSession::open(const Location& location,
                                                             const OpenOptions& options) {
  return options.mode == OpenOptions::Mode::kWorker ? WorkerSession::open(location, options)
                                                    : ReadOnlySession::open(location, options);
}

}  // namespace oj::client
