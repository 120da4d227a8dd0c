// SPDX-License-Identifier: MIT
#include "base/result.h"

#include <cstring>
#include <system_error>

namespace oj {

const char* code_name(Code code) {
  switch (code) {
    case Code::kBusy: return "busy";
    case Code::kGone: return "gone";
    case Code::kInvalid: return "invalid";
    case Code::kRefused: return "refused";
    case Code::kIncompatible: return "incompatible";
    case Code::kCorrupt: return "corrupt";
    case Code::kIo: return "io";
    case Code::kPublished: return "published";
  }
  return "unknown";
}

Error io_error(std::string what, int os_error) {
  what += ": ";
  what += std::generic_category().message(os_error);
  return Error{Code::kIo, std::move(what), os_error};
}

}  // namespace oj
