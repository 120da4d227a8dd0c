// Goal: a region is either attached with everything checked, or refused with a message that says
// what differs.
//
// SPDX-License-Identifier: MIT
#include "shm/region.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "shm/views.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

void overwrite(const std::string& path, std::uint64_t offset, const void* bytes, std::size_t size) {
  const int fd = open(path.c_str(), O_WRONLY);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(pwrite(fd, bytes, size, static_cast<off_t>(offset)), static_cast<ssize_t>(size));
  close(fd);
}

TEST(Region, IsCreatedWithItsSizesModeAndWatermarks) {
  TempFolder folder;
  CreateOptions options = options_of(small_sizes(16, 8), 1000);
  options.mode = 0660;
  const mode_t before = umask(0077);
  auto region = Region::create(folder.file("region"), options);
  umask(before);
  ASSERT_TRUE(region.ok()) << region.error().message;
  struct stat file {};
  ASSERT_EQ(stat(folder.file("region").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0660u);
  EXPECT_EQ(static_cast<std::uint64_t>(file.st_size), options.sizes.region_bytes());
  EXPECT_GE(static_cast<std::uint64_t>(file.st_blocks) * 512,
            options.sizes.region_bytes());  // no holes
  EXPECT_NE(access(folder.file("region.new").c_str(), F_OK), 0);
  for (auto mark :
       {published_end(**region), written(**region), synced(**region), retained(**region)})
    EXPECT_EQ(mark, 1000u);
  EXPECT_EQ((*region)->first_seq(), 1000u);
  EXPECT_FALSE((*region)->retired());
  EXPECT_NE(fcntl((*region)->fd(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Region, ReplacesWhatAKilledCreatorLeft) {
  TempFolder folder;
  const int fd = open(folder.file("region.new").c_str(), O_CREAT | O_WRONLY, 0600);
  ASSERT_EQ(write(fd, "half", 4), 4);
  close(fd);
  const auto region = new_region(folder, small_sizes());
  EXPECT_NE(access(folder.file("region.new").c_str(), F_OK), 0);
  EXPECT_TRUE(Region::attach(region->path(), Region::Access::kReadWrite, &region->identity()).ok());
}

TEST(Region, IsAttachedWithTheSameSizesAndIdentity) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes(16, 8), 7);
  for (const auto access : {Region::Access::kReadWrite, Region::Access::kReadOnly}) {
    auto attached = Region::attach(region->path(), access, &region->identity());
    ASSERT_TRUE(attached.ok()) << attached.error().message;
    EXPECT_EQ((*attached)->sizes().ring_slots, 16u);
    EXPECT_EQ((*attached)->sizes().chunk_count, 8u);
    EXPECT_EQ((*attached)->identity().generation, 5u);
    EXPECT_EQ((*attached)->identity().journal_id, region->identity().journal_id);
    EXPECT_EQ((*attached)->writable(), access == Region::Access::kReadWrite);
    EXPECT_EQ(published_end(**attached), 7u);
  }
}

// Each field in turn holds something else; the message names it and both values.
TEST(Region, RefusesWhatDiffersAndSaysBothValues) {
  struct Case {
    const char* what;
    std::uint64_t offset;
    std::vector<std::uint8_t> bytes;
    Code code;
    std::vector<std::string> said;
  };
  const auto u64 = [](std::uint64_t value) {
    std::vector<std::uint8_t> bytes(8);
    std::memcpy(bytes.data(), &value, 8);
    return bytes;
  };
  const std::vector<std::uint8_t> other_id(16, 0xcc);
  const std::vector<Case> cases{
      {"magic",
       offsetof(HeaderFields, magic),
       u64(0x1122334455667788),
       Code::kIncompatible,
       {"magic", "0x1122334455667788", "0x6e6f696765726a6f"}},
      {"format",
       offsetof(HeaderFields, format),
       {9, 0, 0, 0},
       Code::kIncompatible,
       {"format 9", "expected 1"}},
      {"layout",
       offsetof(HeaderFields, layout_hash),
       u64(0x1234),
       Code::kIncompatible,
       {"layout", "0x0000000000001234", "expected 0x"}},
      {"boot id",
       offsetof(HeaderFields, boot_id),
       other_id,
       Code::kGone,
       {"boot id", "cccccccc", "b0b0b0b0"}},
      {"journal id",
       offsetof(HeaderFields, journal_id),
       other_id,
       Code::kGone,
       {"journal id", "cccccccc", "10101010"}},
      {"generation",
       offsetof(HeaderFields, generation),
       u64(6),
       Code::kGone,
       {"generation 6", "expected 5"}},
      {"ring_slots",
       offsetof(HeaderFields, ring_slots),
       u64(3),
       Code::kCorrupt,
       {"ring_slots", "power of two", "not 3"}},
      {"ring_slots",
       offsetof(HeaderFields, ring_slots),
       u64(std::uint64_t{1} << 63),
       Code::kCorrupt,
       {"ring_slots", "16777216"}},
      {"chunk_bytes",
       offsetof(HeaderFields, chunk_bytes),
       u64(0),
       Code::kCorrupt,
       {"chunk_bytes", "not 0"}},
      {"chunk_count",
       offsetof(HeaderFields, chunk_count),
       u64(~std::uint64_t{0}),
       Code::kCorrupt,
       {"chunk_count", "18446744073709551615"}},
      {"worker_slots",
       offsetof(HeaderFields, worker_slots),
       {0, 0, 0, 0},
       Code::kCorrupt,
       {"worker_slots", "not 0"}},
      {"other sizes", offsetof(HeaderFields, chunk_count), u64(9), Code::kCorrupt, {"bytes"}},
      {"region_bytes", offsetof(HeaderFields, region_bytes), u64(5), Code::kCorrupt, {"header: 5"}},
      {"state",
       offsetof(ProductionHeader, state),
       {2, 0, 0, 0},
       Code::kGone,
       {"RETIRED", "RUNNING"}},
      {"state",
       offsetof(ProductionHeader, state),
       {77, 0, 0, 0},
       Code::kCorrupt,
       {"state 77", "RUNNING"}},
  };
  for (const Case& c : cases) {
    TempFolder folder;
    const auto region = new_region(folder, small_sizes());
    overwrite(region->path(), c.offset, c.bytes.data(), c.bytes.size());
    auto attached = Region::attach(region->path(), Region::Access::kReadWrite, &region->identity());
    ASSERT_FALSE(attached.ok()) << c.what;
    EXPECT_EQ(attached.error().code, c.code) << attached.error().message;
    EXPECT_NE(attached.error().message.find(region->path()), std::string::npos)
        << attached.error().message;
    for (const std::string& text : c.said) {
      EXPECT_NE(attached.error().message.find(text), std::string::npos)
          << text << " not in: " << attached.error().message;
    }
  }
}

TEST(Region, RefusesFilesThatAreNoRegion) {
  TempFolder folder;
  const auto code_of = [&](const std::string& path) {
    auto attached = Region::attach(path, Region::Access::kReadOnly, nullptr);
    EXPECT_FALSE(attached.ok()) << path;
    return attached.error().code;
  };
  EXPECT_EQ(code_of(folder.file("absent")), Code::kGone);
  EXPECT_EQ(code_of(folder.file(".")), Code::kIncompatible);
  ASSERT_EQ(mkfifo(folder.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(code_of(folder.file("fifo")), Code::kIncompatible);
  {
    const int fd = open(folder.file("empty").c_str(), O_CREAT | O_WRONLY, 0600);
    close(fd);
  }
  EXPECT_EQ(code_of(folder.file("empty")), Code::kIncompatible);
  const auto region = new_region(folder, small_sizes());
  ASSERT_EQ(symlink(region->path().c_str(), folder.file("link").c_str()), 0);
  EXPECT_EQ(code_of(folder.file("link")), Code::kIo);
  ASSERT_EQ(
      truncate(region->path().c_str(), static_cast<off_t>(region->sizes().region_bytes() - 4096)),
      0);
  EXPECT_EQ(code_of(region->path()), Code::kCorrupt);
  ASSERT_EQ(
      truncate(region->path().c_str(), static_cast<off_t>(region->sizes().region_bytes() + 4096)),
      0);
  EXPECT_EQ(code_of(region->path()), Code::kCorrupt);
}

TEST(Region, TellsThatItIsLostToWhoeverFindsZerosForItsPages) {
  TempFolder folder;
  const auto region = new_region(folder, small_sizes());
  const auto attached = *Region::attach(region->path(), Region::Access::kReadWrite, nullptr);
  ProductionWord& last = RegionView(*attached).slot(7).state;
  ASSERT_NE(last.load(std::memory_order_seq_cst), 0u);
  EXPECT_FALSE(attached->lost());
  ASSERT_EQ(truncate(region->path().c_str(), 0), 0);
  EXPECT_EQ(last.load(std::memory_order_seq_cst), 0u);  // no SIGBUS
  EXPECT_TRUE(attached->lost());
}

TEST(Region, SaysHowMuchRoomItNeedsWhenItDoesNotFit) {
  TempFolder folder;
  CreateOptions options = options_of({1u << 24, 1u << 20, 1u << 20, 4096});  // 1 TiB
  auto region = Region::create(folder.file("region"), options);
  ASSERT_FALSE(region.ok());
  EXPECT_EQ(region.error().code, Code::kBusy) << region.error().message;
  EXPECT_NE(
      region.error().message.find(std::to_string(options.sizes.region_bytes()) + " bytes needed"),
      std::string::npos);
  EXPECT_NE(region.error().message.find(" available"), std::string::npos);
  EXPECT_NE(access(folder.file("region.new").c_str(), F_OK), 0);
  EXPECT_NE(access(folder.file("region").c_str(), F_OK), 0);
}

TEST(Region, IsNotInheritedByAForkChild) {
  TempFolder folder;
  auto region = new_region(folder, small_sizes());
  Producer producer(region, assigned(region));
  ASSERT_TRUE(producer.try_append(bytes_of("x")).ok());
  const pid_t child = fork();
  if (child == 0) {
    producer.abandon_after_fork();
    region->abandon_after_fork();
    const bool gone = region->base() == nullptr && region->fd() == -1;
    region.reset();  // must not unmap what now may be something else
    _exit(gone ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(producer.try_append(bytes_of("y")).ok());
  EXPECT_EQ(published_end(*region), 2u);
}

TEST(Region, KnowsThisBoot) {
  auto one = this_boot_id(), two = this_boot_id();
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(*one, *two);
  EXPECT_NE(*one, Id{});
}

TEST(Sizes, FitAThirdOfWhatIsFree) {
  const std::uint64_t mib = 1 << 20;
  for (const std::uint64_t available : {3 * mib, 4 * mib, 16 * mib, 64 * mib, 100 * mib, 300 * mib,
                                        419 * mib, 1024 * mib, 100'000 * mib}) {
    auto sizes = sizes_for(available);
    ASSERT_TRUE(sizes.ok()) << available;
    EXPECT_TRUE(check_sizes(*sizes).ok());
    EXPECT_LE(sizes->region_bytes(), available / 3);
    EXPECT_EQ(sizes->chunk_bytes, 16 * 1024u);
    if (available < 400 * mib) {
      EXPECT_GT(sizes->region_bytes(), available / 3 * 9 / 10);
    }
    EXPECT_LE(sizes->worker_slots, sizes->chunk_count / 2);  // everybody can hold an open chunk
  }
  // Docker's /dev/shm: 64 workers and records of 1 MiB.
  EXPECT_GE(sizes_for(64 * mib)->worker_slots, 64u);
  EXPECT_GE(sizes_for(64 * mib)->record_bytes_max(), mib);
  const Sizes defaults;
  EXPECT_EQ(sizes_for(100'000 * mib)->region_bytes(), defaults.region_bytes());
  EXPECT_EQ(defaults.record_bytes_max(), 16 * mib - 8);
  EXPECT_EQ(defaults.chunk_bytes * defaults.chunk_count, 128 * mib);
}

TEST(Sizes, AreRefusedWhenTheyDoNotFitAndSayBothFigures) {
  auto sizes = sizes_for(1 << 20);
  ASSERT_FALSE(sizes.ok());
  EXPECT_EQ(sizes.error().code, Code::kBusy);
  EXPECT_NE(sizes.error().message.find("3145728 bytes needed, 1048576 available"),
            std::string::npos)
      << sizes.error().message;
  auto wished = sizes_for_pool(1 << 20, 1 << 20);
  ASSERT_FALSE(wished.ok());
  EXPECT_EQ(wished.error().code, Code::kBusy);
  wished = sizes_for_pool(1 << 20, 4 << 20);
  ASSERT_TRUE(wished.ok());
  EXPECT_EQ(wished->chunk_count * wished->chunk_bytes, 1u << 20);
  EXPECT_EQ(sizes_for_pool(100, 1 << 30).error().code, Code::kInvalid);
  EXPECT_EQ(sizes_for_pool(std::uint64_t{1} << 50, std::uint64_t{1} << 60).error().code,
            Code::kInvalid);
}

TEST(Sizes, HaveLimitsThatAreNamed) {
  const auto refused = [](Sizes sizes, const char* name) {
    auto ok = check_sizes(sizes);
    ASSERT_FALSE(ok.ok());
    EXPECT_EQ(ok.error().code, Code::kInvalid);
    EXPECT_NE(ok.error().message.find(name), std::string::npos) << ok.error().message;
  };
  EXPECT_TRUE(check_sizes({kRingSlotsMin, kChunkBytesMin, kChunkCountMin, kWorkerSlotsMin}).ok());
  EXPECT_TRUE(check_sizes({kRingSlotsMax, kChunkBytesMax, kChunkCountMax, kWorkerSlotsMax}).ok());
  refused({1, 4096, 4, 1}, "ring_slots");
  refused({2, kChunkBytesMax, kChunkCountMax, 1}, "ring_slots must be at least 16384 for a pool");
  refused({kRingSlotsMax * 2, 4096, 4, 1}, "ring_slots");
  refused({12, 4096, 4, 1}, "ring_slots");
  refused({2, 2048, 4, 1}, "chunk_bytes");
  refused({2, kChunkBytesMax * 2, 4, 1}, "chunk_bytes");
  refused({2, 5000, 4, 1}, "chunk_bytes");
  refused({2, 4096, 3, 1}, "chunk_count");
  refused({2, 4096, kChunkCountMax + 1, 1}, "chunk_count");
  refused({2, 4096, 4, 0}, "worker_slots");
  refused({2, 4096, 4, kWorkerSlotsMax + 1}, "worker_slots");
}

}  // namespace
}  // namespace oj::shm
