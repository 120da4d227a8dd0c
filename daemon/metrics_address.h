// Where metrics are served: what --metrics takes.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"

namespace oj::daemon {

// "9464" -> "127.0.0.1:9464"; "0.0.0.0:9464", "[::1]:9464" and "localhost:9464" likewise, as an
// address literal and a port. Port 0: any free one, which the daemon's first message tells.
// kInvalid with what is wrong.
Result<std::string> parse_metrics_address(const std::string& text);

// Can be listened on now? kIo with address and reason: the port is taken, the address is no other's
// to give. REQUIRES: what parse_metrics_address() returned.
Result<void> check_listening(const std::string& address);

}  // namespace oj::daemon
