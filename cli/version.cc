// `optjournal version`: of the program, of the library it runs with, and of the formats that this
// speaks.
//
// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/verbs.h"
#include "libclient/session.h"

namespace oj::cli {

Result<void> version(Output& out) {
  return out.write(fmt::format("optjournal {}\nliboptjournal {}\ncontrol protocol {}\n",
                               OPTJOURNAL_VERSION, client::version(), schema::kControlVersion));
}

}  // namespace oj::cli
