// Any bytes as a record: an answer, whose text can be read, or kCorrupt or kIncompatible.
//
// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "schema/codec.h"

namespace {

#ifdef OJ_PLANTED
// What a decoder without a bounds check would do: believes a length in the record.
void planted(const std::uint8_t* data, std::size_t size) {
  if (size < 32) return;
  unsigned sum = 0;
  for (std::size_t i = 0; i < data[24]; ++i) sum += data[i];
  if (sum == 1) std::abort();
}
#endif

std::size_t bytes_of(const oj::schema::Attr& attr) {
  std::size_t sum = 0;
  for (const char c : attr.key) sum += static_cast<unsigned char>(c);
  for (const char c : attr.value.text) sum += static_cast<unsigned char>(c);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static oj::schema::Decoder decoder;
#ifdef OJ_PLANTED
  planted(data, size);
#endif
  const auto decoded = decoder.decode(std::as_bytes(std::span(data, size)));
  if (!decoded) {
    const oj::Code code = decoded.error().code;
    if (code != oj::Code::kCorrupt && code != oj::Code::kIncompatible) std::abort();
    return 0;
  }
  if (decoded->operations.empty()) std::abort();
  std::size_t sum = 0;
  for (const oj::schema::Operation& operation : decoded->operations) {
    if (const auto* trial = std::get_if<oj::schema::CreateTrial>(&operation)) {
      for (const oj::schema::Attr& attr : trial->user_attrs) sum += bytes_of(attr);
    }
    if (const auto* set = std::get_if<oj::schema::SetStudyUserAttr>(&operation))
      sum += bytes_of(set->attr);
  }
  return sum == static_cast<std::size_t>(-1) ? 1 : 0;
}
