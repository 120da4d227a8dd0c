// Goal: whatever process is killed or stopped at whatever moment, no record is torn, lost after its
// append returned, or duplicated, and nobody waits for the victim. Method: child processes append
// stamped records and tell through a private pipe what was acknowledged. The parent is the daemon:
// it flushes, and kills a random child with SIGKILL at a random moment, reaps it, and starts
// another. At the end the journal must hold each child's records 1..n without a gap, n at least
// what it was told of.
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "shm/views.h"
#include "tests/unit/shm/region_fixture.h"

namespace oj::shm {
namespace {

struct Stamp {
  std::uint64_t session, op_no;
};

std::string stamped(std::uint64_t session, std::uint64_t op_no, std::uint64_t most) {
  std::mt19937_64 random(session * 1'000'003 + op_no);
  std::uint64_t bytes = 24 + random() % 300;
  if (random() % 16 == 0)
    bytes = 24 + random() % (most - 24);  // runs too: killed while claiming and sealing them
  std::string record(bytes, static_cast<char>(random()));
  const Stamp stamp{session, op_no};
  std::memcpy(record.data(), &stamp, sizeof stamp);
  return record;
}

// What a child has been told is in; shared with the parent, survives the child.
struct Acknowledged {
  std::atomic<std::uint64_t> op_no[4096];
};

[[noreturn]] void live(const std::string& path, SlotRef slot, std::uint64_t session,
                       Acknowledged* acknowledged) {
  auto region = Region::attach(path, Region::Access::kReadWrite, nullptr);
  if (!region) _exit(2);
  auto seat = Seat::take(*region, slot);
  if (!seat) _exit(3);
  Producer producer(*region, slot);
  Reader reader(*region, slot, 0);
  const std::uint64_t most = (*region)->sizes().record_bytes_max();
  for (std::uint64_t op_no = 1;; ++op_no) {
    const std::string record = stamped(session, op_no, most);
    for (;;) {
      auto attempt = producer.try_append(bytes_of(record));
      if (!attempt) _exit(4);
      if (attempt->full == Full::kNo) {
        acknowledged->op_no[session].store(op_no, std::memory_order_seq_cst);  // init
        // What one has just appended is there, whole, or already on disk.
        const Reader::Answer answer = reader.read(attempt->seq);
        if (answer.found == Reader::Found::kRecord && text_of(answer.bytes) != record) _exit(5);
        if (answer.found == Reader::Found::kNotPublished || answer.found == Reader::Found::kBad)
          _exit(6);
        break;
      }
      reader.unpin();
      if (wait_for_room(*region, attempt->room_made, Deadline::in_ms(60'000)) == Waited::kDeadline)
        _exit(7);
    }
  }
}

struct Child {
  pid_t pid = 0;
  SlotRef slot;
  std::uint64_t session = 0;
};

void kill_many(const Sizes& sizes, int kills) {
  std::mt19937_64 random(test_seed());
  TempFolder folder;
  const auto region = new_region(folder, sizes);
  SlotTable slots(region);
  MemoryFlusher flusher(region);
  void* shared = mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* acknowledged = new (shared) Acknowledged{};
  std::uint64_t sessions = 0;
  const auto start = [&] {
    Child child;
    child.session = sessions++;
    child.slot = *slots.assign({child.session, 0, 0, 0, "victim"});
    child.pid = fork();
    if (child.pid == 0) live(region->path(), child.slot, child.session, acknowledged);
    return child;
  };
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.push_back(start());
  int killed = 0, stopped = 0;
  const std::uint64_t chunks = sizes.chunk_count;
  while (killed < kills) {
    const std::int64_t until = monotonic_ns() + static_cast<std::int64_t>(random() % 3'000'000);
    while (monotonic_ns() < until) {
      flusher.flush(flusher.keeper().room_wanted() ? chunks : chunks / 4, 1 + random() % 100);
    }
    Child& victim = children[random() % children.size()];
    if (random() % 4 == 0) {  // stopped for a while first: nobody waits for it
      kill(victim.pid, SIGSTOP);
      ++stopped;
      const std::uint64_t goal = flusher.next() + 50;
      while (flusher.next() < goal) flusher.flush(chunks);
    }
    kill(victim.pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(victim.pid, &status, 0), victim.pid);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "a worker ended by itself: " << status;
    ASSERT_TRUE(*slots.lock_is_free(victim.slot.index));
    slots.begin_reaping(victim.slot);
    flusher.keeper().seal_chunks_of(victim.slot);
    slots.finish(victim.slot);
    repeat_wake(*region);
    ++killed;
    victim = start();
  }
  for (Child& child : children) {
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
    slots.begin_reaping(child.slot);
    flusher.keeper().seal_chunks_of(child.slot);
    slots.finish(child.slot);
  }
  while (flusher.flush(chunks) != 0) {}
  flusher.flush(chunks);
  flusher.flush(chunks);
  EXPECT_EQ(flusher.keeper().chunks_in_use(), 0u);  // nothing leaks, whoever died where
  EXPECT_EQ(flusher.free_chunks(), chunks);

  std::map<std::uint64_t, std::uint64_t> last;
  const std::uint64_t most = sizes.record_bytes_max();
  for (const std::string& record : flusher.journal()) {
    Stamp stamp;
    ASSERT_GE(record.size(), sizeof stamp);
    std::memcpy(&stamp, record.data(), sizeof stamp);
    ASSERT_EQ(stamp.op_no, ++last[stamp.session]);  // no gap, no duplicate
    ASSERT_EQ(record, stamped(stamp.session, stamp.op_no, most));
  }
  for (std::uint64_t session = 0; session < sessions; ++session) {
    const std::uint64_t told =
        acknowledged->op_no[session].load(std::memory_order_seq_cst);  // init
    ASSERT_GE(last[session], told);
    ASSERT_LE(last[session], told + 1);  // published, and killed before it could say so
  }
  std::cout << "0 of " << flusher.journal().size() << " records torn, lost or duplicated in "
            << killed << " kills, " << stopped << " stops, " << sessions << " sessions\n";
  munmap(shared, sizeof(Acknowledged));
}

TEST(Kill, LosesNothingOnATinyRing) { kill_many({8, 4096, 16, 8}, 60); }
TEST(Kill, LosesNothingWithRoom) { kill_many({1024, 4096, 256, 8}, 60); }

}  // namespace
}  // namespace oj::shm
