// Goal: docs/region-format.md says what the code does.
// Method: every field of the layout is looked up in the page's tables; and the page's worked
// example is carried out.
//
// SPDX-License-Identifier: MIT
#include "shm/layout.h"

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "shm/views.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

std::string page() {
  std::ifstream file(std::string(OJ_SOURCE_ROOT) + "/docs/region-format.md");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(RegionFormat, PageListsEveryFieldWithItsOffsetAndSize) {
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> listed;
  std::istringstream lines(page());
  for (std::string line; std::getline(lines, line);) {
    char name[100];
    unsigned long offset = 0, bytes = 0;
    if (std::sscanf(line.c_str(), "| `%99[a-z_.]` | %lu | %lu |", name, &offset, &bytes) == 3) {
      listed[name] = {offset, bytes};
    }
  }
  EXPECT_EQ(listed.size(), kLayoutFields.size());
  for (const LayoutField& field : kLayoutFields) {
    ASSERT_TRUE(listed.contains(field.name)) << field.name;
    EXPECT_EQ(listed[field.name].first, field.offset) << field.name;
    EXPECT_EQ(listed[field.name].second, field.bytes) << field.name;
  }
}

TEST(RegionFormat, PageGivesTheDefaultGeometry) {
  const Sizes sizes;
  const Geometry g =
      geometry_of(sizes.ring_slots, sizes.chunk_bytes, sizes.chunk_count, sizes.worker_slots);
  const std::string text = page();
  for (const std::uint64_t number : {g.slots, g.owners, g.ring, g.pool, g.end}) {
    EXPECT_NE(text.find(std::to_string(number)), std::string::npos) << number;
  }
  EXPECT_EQ(g.end, sizes.region_bytes());
}

// A layout that changed by accident shows here: then raise kFormat, change the page, and put the
// new hash.
TEST(RegionFormat, HasTheFingerprintOfFormat1) {
  EXPECT_EQ(kFormat, 1u);
  EXPECT_EQ(kLayoutHash, 0x39011a5c70b9a41cu);
}

TEST(RegionFormat, WorkedExampleIsWhatHappens) {
  TempFolder folder;
  const auto region = new_region(folder, {8, 4096, 16, 8});
  const auto word = [&](std::uint64_t offset) {
    return reinterpret_cast<ProductionWord*>(region->base() + offset)
        ->load(std::memory_order_seq_cst);  // ticket
  };
  MemoryFlusher flusher(region);
  {
    Producer first(region, assigned(region));
    for (int i = 0; i < 8; ++i) ASSERT_EQ(first.try_append(bytes_of("before"))->full, Full::kNo);
    flusher.flush(16);
    ASSERT_EQ(first.try_append(bytes_of("before"))->full, Full::kNo);
  }
  flusher.flush(16);
  flusher.flush(16);
  RegionView(*region).marks().next_chunk.store(0, std::memory_order_relaxed);  // hint
  Producer producer(region, {3, 1});
  ASSERT_EQ(producer.try_append(bytes_of("hello"))->seq, 9u);
  EXPECT_EQ(region->sizes().region_bytes(), 86016u);
  EXPECT_EQ(word(12288), 0x0100030000000001u);
  EXPECT_EQ(word(20480) & 0xffffffff, 5u);
  EXPECT_EQ(std::memcmp(region->base() + 20488, "hello", 5), 0);
  EXPECT_EQ(word(16392), 0x0000020000000000u);
  ASSERT_EQ(producer.try_append(bytes_of("next"))->seq, 10u);
  EXPECT_EQ(word(16400), 0x0000020000000001u);
  producer.seal();
  EXPECT_EQ(word(12288), 0x0200030000000001u);
  flusher.flush(16);
  flusher.flush(16);
  EXPECT_EQ(word(12288), 0u);
}

}  // namespace
}  // namespace oj::shm
