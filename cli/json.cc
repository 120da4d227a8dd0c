// SPDX-License-Identifier: MIT
#include "cli/json.h"

#include "cli/numbers.h"
#include "cli/text.h"

namespace oj::cli {

void Json::separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

Json& Json::open(char bracket) {
  separate();
  out_ += bracket;
  first_ = true;
  return *this;
}

Json& Json::close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}

Json& Json::key(std::string_view name) {
  separate();
  out_ += json_string(name);
  out_ += ':';
  first_ = true;
  return *this;
}

Json& Json::text(std::string_view bytes) { return raw(json_string(bytes)); }
Json& Json::number(double value) { return raw(json_number(value)); }

Json& Json::raw(std::string_view json) {
  separate();
  out_ += json;
  return *this;
}

}  // namespace oj::cli
