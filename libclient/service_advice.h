// What to do about a service that cannot be used: the error of a client, with what to type.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/result.h"
#include "libclient/session.h"

namespace oj::client {

// `error`, met on the way to `location`. For a service that does not exist, does not run, or whose
// group this process is not in, the message says so and names the commands; else it is as before.
Error with_advice(const Location& location, const Error& error);

// The same about the group alone: why this process may not use a service that is there, and what to
// do, "; " in between. "": it may, or no group would help.
std::string group_advice(const Location& location);

// Is there anything of a daemon of this service: socket or region? A service that is being
// restarted has left something, unless nobody used it.
bool has_traces(const Location& location);

}  // namespace oj::client
