// Any bytes as the start of a region's file: refused, or attached and harmless to every role that
// only looks.
//
// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "shm/layout.h"
#include "shm/reader.h"
#include "shm/region.h"
#include "shm/watermarks.h"
#include "shm/worker_slots.h"

namespace {

constexpr std::uint64_t kFileBytesMax = std::uint64_t{1} << 20;

// As long as the header says, if that can be: then what comes after the check is tried, too.
std::uint64_t file_bytes(const std::uint8_t* data, std::size_t size) {
  oj::shm::HeaderFields header{};
  if (size >= sizeof header) std::memcpy(&header, data, sizeof header);
  return header.region_bytes > size && header.region_bytes <= kFileBytesMax ? header.region_bytes
                                                                            : size;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = "/dev/shm/oj-fuzz-" + std::to_string(getpid());
  FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  if (truncate(path.c_str(), static_cast<off_t>(file_bytes(data, size))) != 0) std::abort();
  {
    auto region = oj::shm::Region::attach(path, oj::shm::Region::Access::kReadOnly, nullptr);
    if (region) {
      const std::uint64_t end = oj::shm::published_end(**region);
      oj::shm::Reader reader(*region);
      for (std::uint64_t seq = end > 4 ? end - 4 : 0; seq < end + 2; ++seq) reader.read(seq);
      const oj::shm::SlotTable slots(*region);
      for (std::uint32_t i = 0; i < slots.size() && i < 8; ++i) slots.snapshot(i);
      oj::shm::describe_full(**region);
    }
  }
  unlink(path.c_str());
  return 0;
}
