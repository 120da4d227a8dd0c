// Goal: kill -9 of a writer at any moment leaves a folder that recovers, with everything that it
// had reported synced. Method: a child writes and tells the highest synced seq through shared
// memory; the parent kills it at random, recovers (every other time trusting what the child told),
// reads all, and lets the next child go on.
//
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/unit/journal/journal_fixture.h"

namespace oj::journal::testing {
namespace {

std::size_t size_of(std::uint64_t seq) { return seq * 7919 % 700; }

[[noreturn]] void write_for_ever(const Folder& folder, std::uint64_t from, std::uint64_t generation,
                                 std::atomic<std::uint64_t>& told) {
  auto writer = Writer::open(folder, from, generation,
                             {.segment_bytes_min = 16384, .segment_bytes_max = 65536});
  if (!writer) ::_exit(1);
  for (std::uint64_t round = 0;; ++round) {
    std::vector<Bytes> records;
    for (std::uint64_t i = 0; i < round % 9 + 1; ++i) {
      const std::uint64_t seq = writer->next_seq() + i;
      records.push_back(record_of(seq, size_of(seq)));
    }
    if (!write_records(*writer, records)) ::_exit(2);
    if (round % 3 == 0) continue;
    if (!(round % 11 == 10 ? writer->write_idle_marker(1) : writer->sync())) ::_exit(3);
    told.store(writer->synced_through(), std::memory_order_release);  // pair: the parent's load
  }
}

TEST(Kill, OfAWriterAtRandomMomentsLosesNothingSynced) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE("OJ_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const TemporaryFolder temporary(TemporaryFolder::Where::kMemory);
  const Folder folder = must_open(temporary.at("j"));
  void* shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto& told = *new (shared) std::atomic<std::uint64_t>(0);
  std::uint64_t next = 0;
  for (std::uint64_t kill = 1; kill <= 100; ++kill) {
    const pid_t pid = ::fork();
    if (pid == 0) write_for_ever(folder, next, kill, told);
    // Not a synchronisation: the moment of the kill is what is random.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 6000));
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer ended by itself: " << WEXITSTATUS(status);
    const std::uint64_t synced = told.load(std::memory_order_acquire);  // pair: the child's store
    const auto recovered = recover(folder, kill % 2 == 0 ? std::optional(synced) : std::nullopt);
    ASSERT_TRUE(is_ok(recovered));
    ASSERT_GE(recovered->next_seq, synced);
    ASSERT_LE(recovered->generation, kill);
    const std::uint64_t from = kill % 20 == 0 ? 0 : std::min(next, recovered->next_seq);
    next = recovered->next_seq;
    const ReadBack back = read_back(folder, from, next);
    ASSERT_EQ(back.records.size(), next - from) << (back.error ? back.error->message : "");
    for (std::uint64_t seq = from; seq < next; ++seq)
      ASSERT_EQ(back.records[seq - from], record_of(seq, size_of(seq)));
  }
  RecordProperty("records", std::to_string(next));
  ::munmap(shared, 4096);
  EXPECT_GT(next, 0u);
}

}  // namespace
}  // namespace oj::journal::testing
