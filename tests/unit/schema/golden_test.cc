// Goal: records written by every released version are read for ever, and this version still writes
// the same bytes.
//
// Method: tests/golden/records-<format>/<sample>.rec. A kind of record that has got new fields
// since (kGrown) is written with them; its old file is read for ever all the same. With
// OPTJOURNAL_WRITE_GOLDEN=1 the files that are missing are written; existing ones are never
// touched, by hand neither.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "schema/codec.h"
#include "tests/described.h"
#include "tests/unit/schema/sample_operations.h"

namespace oj::schema {
namespace {

using testing::described;

std::filesystem::path folder() {
  return std::filesystem::path(OJ_SOURCE_ROOT) / "tests/golden/records-1";
}

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

constexpr std::array kGrown = {std::string_view("sessionStarted")};

TEST(GoldenRecords, AreReadAndWrittenAsEver) {
  std::size_t checked = 0;
  for (const auto& [name, operations] : testing::sample_operations()) {
    Encoder encoder;
    const std::span<std::byte> bytes = encoder.encode(operations);
    stamp(bytes, testing::kSampleHeader);
    const auto path = folder() / (name + ".rec");
    if (std::getenv("OPTJOURNAL_WRITE_GOLDEN") && !std::filesystem::exists(path)) {
      std::ofstream(path, std::ios::binary)
          .write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    const std::vector<std::byte> golden = read_file(path);
    ASSERT_FALSE(golden.empty()) << path << " is missing";
    const bool same = std::equal(bytes.begin(), bytes.end(), golden.begin(), golden.end());
    const bool grown = std::find(kGrown.begin(), kGrown.end(), name) != kGrown.end();
    EXPECT_NE(same, grown) << name << " is written otherwise, or not";

    Decoder decoder;
    const auto decoded = decoder.decode(golden);
    ASSERT_TRUE(decoded) << name << ": " << decoded.error().message;
    EXPECT_EQ(decoded->header.session, testing::kSampleHeader.session);
    EXPECT_EQ(decoded->header.op_no, testing::kSampleHeader.op_no);
    EXPECT_EQ(decoded->header.time_us, testing::kSampleHeader.time_us);
    EXPECT_EQ(described(decoded->operations), described(operations)) << name;
    ++checked;
  }
  EXPECT_EQ(static_cast<std::ptrdiff_t>(checked),
            std::distance(std::filesystem::directory_iterator(folder()), {}));
}

}  // namespace
}  // namespace oj::schema
