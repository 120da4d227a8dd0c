// SPDX-License-Identifier: MIT
#include "tests/verify/processes/diary.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/clock.h"

namespace oj::verify {
namespace {

[[noreturn]] void give_up(const std::string& path) {
  std::perror(path.c_str());
  std::_Exit(70);
}

std::string all_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace

Diary::Diary(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  if (!fd_) give_up(path);
}

void Diary::write(const Entry& entry) {
  if (::write(fd_.get(), &entry, sizeof entry) != sizeof entry) give_up(path_);
}

void Diary::write_error(const std::string& text) {
  std::ofstream(path_ + ".error", std::ios::app) << text << "\n";
  write({.kind = Entry::Kind::kError, .at_ns = monotonic_ns()});
}

std::vector<Entry> read_diary(const std::string& path) {
  const std::string bytes = all_of(path);
  std::vector<Entry> entries(bytes.size() / sizeof(Entry));
  bytes.copy(reinterpret_cast<char*>(entries.data()), entries.size() * sizeof(Entry));
  return entries;
}

std::string read_error(const std::string& path) { return all_of(path + ".error"); }

}  // namespace oj::verify
