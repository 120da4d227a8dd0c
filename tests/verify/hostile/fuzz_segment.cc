// Any bytes as the only segment of a journal: its end is found or refused, and every record below
// it is read or refused.
//
// SPDX-License-Identifier: MIT
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "journal/folder.h"
#include "journal/reader.h"

namespace {

// A folder whose journal has the id that the golden segments were written with.
std::string folder() {
  std::string path = "/dev/shm/oj-fuzz-" + std::to_string(getpid());
  mkdir(path.c_str(), 0700);
  mkdir((path + "/segments").c_str(), 0700);
  if (FILE* const file = std::fopen((path + "/FORMAT").c_str(), "w")) {
    std::fputs(OJ_FORMAT, file);
    std::fclose(file);
  }
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string path = folder();
  static const auto opened =
      oj::journal::Folder::open(path, oj::journal::Folder::IfAbsent::kRefuse);
  if (!opened) std::abort();
  const std::string segment = path + "/segments/00000000000000000000-0000000001.seg";
  FILE* const file = std::fopen(segment.c_str(), "wb");
  if (file == nullptr) std::abort();
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  const auto end = oj::journal::find_end(*opened);
  if (!end) return 0;
  oj::journal::Reader reader(*opened, 0);
  while (reader.next_seq() < *end && reader.next(*end)) {}
  return 0;
}
