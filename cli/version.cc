// `optjournal version`: of the program, of the library it runs with, and of the formats that this
// speaks.
//
// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/verbs.h"
#include "libclient/session.h"

namespace oj::cli {

Result<void> version(Output& out) {
  const client::Formats speaks = client::formats();
  return out.write(
      fmt::format("optjournal {}\nliboptjournal {}\njournal format {}.{}\nregion format {}\n"
                  "control protocol {}\n",
                  OPTJOURNAL_VERSION, client::version(), speaks.journal_major, speaks.journal_minor,
                  speaks.region, speaks.control));
}

}  // namespace oj::cli
