// SPDX-License-Identifier: MIT
#include "cli/exit_code.h"

#include <cerrno>

namespace oj::cli {

Exit exit_of(const Error& error) {
  if (error.os_error == ENOENT || error.os_error == ENOTDIR) return Exit::kNotFound;
  switch (error.code) {
    case Code::kInvalid: return Exit::kNotFound;  // usage was checked before: it is no journal
    case Code::kGone: return Exit::kNotFound;
    case Code::kBusy: return Exit::kBusy;
    case Code::kRefused: return Exit::kRefused;
    case Code::kIncompatible: return Exit::kIncompatible;
    case Code::kCorrupt: return Exit::kCorrupt;
    case Code::kIo:
    case Code::kPublished: return Exit::kWorld;
  }
  return Exit::kWorld;
}

Error not_found(std::string message) { return {Code::kInvalid, std::move(message), ENOENT}; }

}  // namespace oj::cli
