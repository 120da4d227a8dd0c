// What the tests of journal/ share: a folder that goes away, records to write, files to damage, and
// file systems that fail on purpose.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "journal/file_system.h"
#include "journal/folder.h"
#include "journal/reader.h"
#include "journal/recovery.h"
#include "journal/writer.h"

namespace oj::journal::testing {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

class TemporaryFolder {
 public:
  // kMemory: on tmpfs if there is one, for tests that call the file system ten thousands of times.
  enum class Where { kDisk, kMemory };
  explicit TemporaryFolder(Where where = Where::kDisk) {
    const bool memory = where == Where::kMemory && ::access("/dev/shm", W_OK) == 0;
    std::string text =
        ((memory ? fs::path("/dev/shm") : fs::temp_directory_path()) / "oj-journal-XXXXXX")
            .string();
    const char* made = ::mkdtemp(text.data());
    EXPECT_NE(made, nullptr);
    path_ = text;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  std::string at(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// For random tests: OJ_SEED, or one of its own, printed when the test fails.
inline std::uint64_t test_seed() {
  const char* given = std::getenv("OJ_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(seed));
  return seed;
}

// Record `seq` of a test: its bytes follow from seq and size alone.
inline Bytes record_of(std::uint64_t seq, std::size_t size) {
  Bytes bytes(size);
  std::uint64_t state = seq * 0x9e3779b97f4a7c15u + size;
  for (std::byte& byte : bytes) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    byte = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

inline Result<void> write_records(Writer& writer, const std::vector<Bytes>& records,
                                  std::int64_t time_us = 1) {
  std::vector<RecordBytes> batch;
  for (const Bytes& record : records) batch.push_back({record});
  return writer.write_batch(batch, time_us);
}

// `count` records from next_seq() on, each `size` bytes, as one frame.
inline Result<void> write_some(Writer& writer, std::size_t count, std::size_t size) {
  std::vector<Bytes> records;
  for (std::size_t i = 0; i < count; ++i) records.push_back(record_of(writer.next_seq() + i, size));
  return write_records(writer, records);
}

inline Folder must_open(const std::string& path) {
  auto folder = Folder::open(path, Folder::IfAbsent::kCreate);
  if (!folder) ADD_FAILURE() << folder.error().message;
  return std::move(*folder);
}

inline Writer must_write(const Folder& folder, std::uint64_t first_seq = 0,
                         const WriterOptions& options = {}, std::uint64_t generation = 1) {
  auto writer = Writer::open(folder, first_seq, generation, options);
  if (!writer) ADD_FAILURE() << writer.error().message;
  return std::move(*writer);
}

template <class T>
::testing::AssertionResult is_ok(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << code_name(result.error().code) << ": " << result.error().message;
}

template <class T>
::testing::AssertionResult fails_with(const Result<T>& result, Code code,
                                      const std::string& part = {}) {
  if (result) return ::testing::AssertionFailure() << "succeeded";
  const Error& error = result.error();
  if (error.code == code && error.message.find(part) != std::string::npos)
    return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "is " << code_name(error.code) << ": " << error.message;
}

// Records from `first` to `limit`, or as many as can be read; `error` says why it ended.
struct ReadBack {
  std::vector<Bytes> records;
  std::optional<Error> error;
};
inline ReadBack read_back(const Folder& folder, std::uint64_t first, std::uint64_t limit,
                          FileSystem& file_system = real_file_system()) {
  ReadBack back;
  Reader reader(folder, first, file_system);
  while (reader.next_seq() < limit) {
    const auto record = reader.next(limit);
    if (!record) {
      back.error = record.error();
      break;
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(record->data()) % 8, 0u);
    back.records.emplace_back(record->begin(), record->end());
  }
  return back;
}

inline Bytes read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline void write_file(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good());
}

inline std::vector<fs::path> segment_paths(const Folder& folder) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder.segments_path()))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace oj::journal::testing
