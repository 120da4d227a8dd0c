// SPDX-License-Identifier: MIT
#include <cstdio>
#include <exception>
#include <utility>

#include "daemon/background.h"
#include "daemon/exit_codes.h"
#include "daemon/logging.h"
#include "daemon/options.h"
#include "daemon/server.h"

int main(int argc, char** argv) {
  using namespace oj::daemon;  // NOLINT(google-build-using-namespace): main is the daemon's
  try {
    const Parsed parsed = parse_options(argc, argv);
    if (parsed.instead) {
      if (parsed.instead->exit_code == kExitOk) {
        std::fputs(parsed.instead->text.c_str(), stdout);
      } else {
        std::fputs(as_errors(parsed.instead->text).c_str(), stderr);
      }
      return parsed.instead->exit_code;
    }
    Announcement announcement;
    if (parsed.options.embedded) {
      auto background = Announcement::go_to_background();
      if (!background) {
        announcement.failed(kExitFailed, background.error().message);
        return kExitFailed;
      }
      announcement = std::move(*background);
    }
    start_logging_to_stderr(parsed.options.level);
    return serve(parsed.options, announcement);
  } catch (const std::exception& failed) {
    std::fprintf(stderr, "optjournald: %s\n", failed.what());
    return kExitFailed;
  }
}
