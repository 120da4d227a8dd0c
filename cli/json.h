// Writes JSON in the order in which it is told, into one string without line breaks.
//
// Not nlohmann::json: it cannot write lone surrogates, nor integers beyond 64 bits, both of which a
// journal may hold and both of which our text must give back exactly (docs/decisions/0062). Commas
// are its own business.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace oj::cli {

class Json {
 public:
  Json& object() { return open('{'); }
  Json& array() { return open('['); }
  Json& end_object() { return close('}'); }
  Json& end_array() { return close(']'); }
  Json& key(std::string_view name);

  Json& text(std::string_view bytes);
  Json& number(double value);
  template <std::integral T>
  Json& integer(T value) {
    return raw(std::to_string(value));
  }
  Json& boolean(bool value) { return raw(value ? "true" : "false"); }
  Json& null() { return raw("null"); }
  Json& raw(std::string_view json);  // already JSON

  const std::string& str() const { return out_; }
  std::string take() { return std::move(out_); }

 private:
  Json& open(char bracket);
  Json& close(char bracket);
  void separate();

  std::string out_;
  bool first_ = true;  // in the innermost bracket, or right after a key
};

}  // namespace oj::cli
