// SPDX-License-Identifier: MIT
#include "shm/watermarks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "shm/views.h"
#include "shm/wake.h"

namespace oj::shm {
namespace {

constexpr std::int64_t kMonitorLookMs = 50;
constexpr std::int64_t kRoomAskMs =
    100;  // what frees a chunk may be a reader's unpin, of which nobody is told: ask again

// Record `seq` is published, or was. For a look after arming.
bool is_published(const OrderRing<Production>& ring, const ProductionWatermarks& marks,
                  std::uint64_t seq) noexcept {
  if (marks.synced.load(std::memory_order_seq_cst) > seq) return true;  // pair: sleep
  const Lap lap = ring.lap(ring.load_before_sleep(seq), seq);
  return lap == Lap::kThis || lap == Lap::kNewer;
}

// Sleeps on `word` until done(), the deadline, or `slice_ns` passed (kLook). done() loads seq_cst.
template <class Done>
Waited sleep_slice(Production::Atomic<std::uint32_t>& word, const Done& done, Deadline deadline,
                   std::int64_t slice_ns) noexcept {
  const Deadline slice = Deadline::in_ns(slice_ns);
  for (;;) {
    if (done()) return Waited::kReached;
    if (deadline.passed()) return Waited::kDeadline;
    if (slice.passed()) return Waited::kLook;
    const std::uint32_t armed = arm<Production>(word);
    if (done()) return Waited::kReached;
    Production::futex_wait(word, armed, std::min(deadline.left_ns(), slice.left_ns()));
  }
}

void ask_daemon(ProductionWatermarks& marks) noexcept {
  marks.daemon_asks.fetch_add(1, std::memory_order_seq_cst);  // pair: sleep
  wake_sleepers<Production>(marks.asked_wake);
  wake_sleepers<Production>(marks.daemon_wake);
}

void wake_all(Production::Atomic<std::uint32_t>& word) noexcept {
  word.fetch_add(kWakeStep, std::memory_order_seq_cst);  // pair: sleep
  Production::futex_wake_all(word);
}

// "synced stands at 17 for 3.2 s"
std::string describe_synced(const RegionView& view) {
  const std::int64_t since_ns = view.marks().synced_at_ns.load(std::memory_order_relaxed);  // stat
  std::string text = "synced stands at " +
                     std::to_string(view.marks().synced.load(std::memory_order_relaxed));  // stat
  if (since_ns > 0) {
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(), seconds.size(), " for %.1f s",
                  static_cast<double>(monotonic_ns() - since_ns) / kNsPerS);
    text += seconds.data();
  }
  return text;
}

struct Holding {
  SlotTable::Snapshot who;
  std::uint64_t writes = 0, reads = 0, waiting = 0;  // chunks
  std::uint64_t total() const { return writes + reads + waiting; }
};

// Whoever holds chunks, most first.
std::vector<Holding> holdings(const RegionView& view, const SlotTable& slots) {
  std::vector<Holding> all(slots.size());
  for (std::uint32_t slot = 0; slot < slots.size(); ++slot) {
    all[slot].who = slots.snapshot(slot);
    view.hazards().each_of(slot, [&](std::uint64_t first, std::uint64_t count) {
      const std::uint64_t chunks = view.pool().count();
      if (first < chunks) all[slot].reads += std::min(count, chunks - first);
    });
  }
  for (std::uint64_t chunk = 0; chunk < view.pool().count(); ++chunk) {
    const std::uint64_t word = view.pool().owner(chunk);
    if (owner_slot(word) >= slots.size()) continue;
    Holding& owner = all[owner_slot(word)];
    if (((word ^ owner.who.slot.incarnation) & kOwnerIncarnationMask) != 0) continue;  // has ended
    if (chunk_state(word) == ChunkState::kOwned) ++owner.writes;
    if (chunk_state(word) == ChunkState::kSealed) ++owner.waiting;
  }
  std::erase_if(all, [](const Holding& one) { return one.total() == 0; });
  std::sort(all.begin(), all.end(),
            [](const Holding& a, const Holding& b) { return a.total() > b.total(); });
  return all;
}

std::string describe_holders(const Region& region) {
  constexpr std::size_t kNamedMax = 4;
  const SlotTable slots(std::const_pointer_cast<Region>(
      std::shared_ptr<const Region>(&region, [](const Region*) {})));
  const std::vector<Holding> all = holdings(RegionView(region), slots);
  std::string text;
  for (std::size_t i = 0; i < all.size() && i < kNamedMax; ++i) {
    const SlotIdentity& who = all[i].who.identity;
    text += "; session " + std::to_string(who.session) + " (pid " + std::to_string(who.pid) +
            ", uid " + std::to_string(who.uid) + (who.command.empty() ? "" : ", " + who.command) +
            ") filled " + std::to_string(all[i].waiting) + " that wait, writes " +
            std::to_string(all[i].writes) + " and reads " + std::to_string(all[i].reads);
  }
  if (all.size() > kNamedMax)
    text += "; " + std::to_string(all.size() - kNamedMax) + " others have fewer";
  return text;
}

}  // namespace

std::uint64_t published_end(const Region& region) noexcept {
  return RegionView(region).ring().published_end();
}

std::uint64_t written(const Region& region) noexcept {
  return RegionView(region).marks().written.load(std::memory_order_acquire);  // pair: synced
}

std::uint64_t synced(const Region& region) noexcept {
  return RegionView(region).marks().synced.load(std::memory_order_acquire);  // pair: synced
}

std::uint64_t retained(const Region& region) noexcept {
  return RegionView(region).hazards().retained();
}

Waited wait_published(const std::shared_ptr<Region>& region, const SlotRef* slot, std::uint64_t seq,
                      Deadline deadline) noexcept {
  const RegionView view(*region);
  ProductionWatermarks& marks = view.marks();
  const OrderRing<Production> ring = view.ring();
  const auto done = [&] { return is_published(ring, marks, seq); };
  if (done()) return Waited::kReached;
  if (region->retired()) return Waited::kLook;
  if (slot != nullptr && region->writable()) {
    const auto look = [&] { return done() || region->retired(); };
    const Waited waited = sleep_slice(marks.published_wake, look, deadline, kSleepMsMax * kNsPerMs);
    if (done()) return Waited::kReached;
    return waited == Waited::kReached ? Waited::kLook : waited;
  }
  // Without arming: woken if somebody else's wake comes by, else every kMonitorLookMs.
  const Deadline slice = Deadline::in_ms(kSleepMsMax);
  while (!done()) {
    if (deadline.passed()) return Waited::kDeadline;
    if (slice.passed() || region->retired()) return Waited::kLook;
    const std::uint32_t now = marks.published_wake.load(std::memory_order_seq_cst);  // pair: sleep
    if (done()) break;
    Production::futex_wait(marks.published_wake, now,
                           std::min(deadline.left_ns(), kMonitorLookMs * kNsPerMs));
  }
  return Waited::kReached;
}

Waited wait_synced(const std::shared_ptr<Region>& region, std::uint64_t seq_end,
                   Deadline deadline) noexcept {
  ProductionWatermarks& marks = RegionView(*region).marks();
  const auto done = [&] {
    return marks.synced.load(std::memory_order_seq_cst) >= seq_end;  // pair: sleep
  };
  const auto look = [&] { return region->retired() || degraded(*region) != 0; };
  if (done()) return Waited::kReached;
  if (deadline.passed()) return Waited::kDeadline;
  raise_mark<Production>(marks.sync_wanted, seq_end);
  wake_sleepers<Production>(marks.asked_wake);
  wake_sleepers<Production>(marks.daemon_wake);  // whoever published it may have died before
  const Waited waited = sleep_slice(
      marks.progress_wake, [&] { return done() || look(); }, deadline, kSleepMsMax * kNsPerMs);
  if (done()) return Waited::kReached;
  return waited == Waited::kReached ? Waited::kLook : waited;
}

Waited wait_for_room(const std::shared_ptr<Region>& region, std::uint64_t room_made,
                     Deadline deadline) noexcept {
  ProductionWatermarks& marks = RegionView(*region).marks();
  const auto done = [&] {
    return marks.room_made.load(std::memory_order_seq_cst) != room_made;  // pair: sleep
  };
  const Deadline longest = Deadline::in_ms(kSleepMsMax);
  for (;;) {
    if (done()) return Waited::kReached;
    if (region->retired()) return Waited::kLook;
    marks.room_wanted.store(1, std::memory_order_seq_cst);  // pair: sleep
    ask_daemon(marks);
    const Waited waited = sleep_slice(
        marks.progress_wake, [&] { return done() || region->retired(); }, deadline,
        kRoomAskMs * kNsPerMs);
    if (done()) return Waited::kReached;
    if (waited == Waited::kDeadline) return waited;
    if (longest.passed()) return Waited::kLook;
  }
}

std::string describe_full(const Region& region) {
  const RegionView view(region);
  const OrderRing<Production> ring = view.ring();
  const std::uint64_t end = ring.published_end();
  const std::uint64_t on_disk = synced(region);
  const std::uint64_t waiting = end > on_disk ? end - on_disk : 0;
  if (waiting >= ring.count()) {
    return "the order ring is full: " + std::to_string(waiting) + " of " +
           std::to_string(ring.count()) + " records not yet on disk, " + describe_synced(view);
  }
  const ChunkPool<Production> pool = view.pool();
  std::uint64_t empty = 0, sealed = 0;
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) {
    const ChunkState state = chunk_state(pool.owner(chunk));
    if (state == ChunkState::kEmpty) ++empty;
    if (state == ChunkState::kSealed) ++sealed;
  }
  return std::string("the chunk pool is ") + (empty == 0 ? "full" : "too full") + ": of " +
         std::to_string(pool.count()) + " chunks of " + std::to_string(pool.chunk_bytes()) +
         " bytes " + std::to_string(empty) + " are free, " + std::to_string(sealed) +
         " wait for the disk or for a reader, and workers hold " +
         std::to_string(pool.count() - empty - sealed) + "; " + describe_synced(view) +
         describe_holders(region);
}

Waited daemon_wait_published(const std::shared_ptr<Region>& region, std::uint64_t seq,
                             std::int64_t timeout_ns) noexcept {
  const RegionView view(*region);
  ProductionWatermarks& marks = view.marks();
  const OrderRing<Production> ring = view.ring();
  const std::uint64_t answered = marks.asks_seen_idle.load(std::memory_order_relaxed);  // own
  std::uint64_t asks = answered;
  const auto done = [&] {
    asks = marks.daemon_asks.load(std::memory_order_seq_cst);  // pair: sleep
    return asks != answered || is_published(ring, marks, seq) || region->lost();
  };
  const Waited waited =
      sleep_slice(marks.daemon_wake, done, Deadline::in_ns(timeout_ns), timeout_ns);
  marks.asks_seen_idle.store(asks, std::memory_order_relaxed);  // own
  return waited == Waited::kReached ? waited : Waited::kDeadline;
}

Waited daemon_wait_asked(const std::shared_ptr<Region>& region, std::int64_t timeout_ns) noexcept {
  const RegionView view(*region);
  ProductionWatermarks& marks = view.marks();
  const OrderRing<Production> ring = view.ring();
  const std::uint64_t answered = marks.asks_seen_window.load(std::memory_order_relaxed);  // own
  const std::uint64_t wanted_before =
      marks.sync_wanted_seen.load(std::memory_order_relaxed);                  // own
  const std::uint64_t now = marks.synced.load(std::memory_order_relaxed);      // own
  const bool moved = now > marks.synced_seen.load(std::memory_order_relaxed);  // own
  std::uint64_t asks = answered, wanted = wanted_before;
  const auto done = [&] {                                        // M3
    asks = marks.daemon_asks.load(std::memory_order_seq_cst);    // pair: sleep
    wanted = marks.sync_wanted.load(std::memory_order_seq_cst);  // pair: sleep
    if (asks != answered || region->lost()) return true;
    return wanted > now && (moved || wanted > wanted_before) && ring.published_end() > now;
  };
  const Waited waited =
      sleep_slice(marks.asked_wake, done, Deadline::in_ns(timeout_ns), timeout_ns);
  marks.asks_seen_window.store(asks, std::memory_order_relaxed);    // own
  marks.sync_wanted_seen.store(wanted, std::memory_order_relaxed);  // own
  marks.synced_seen.store(now, std::memory_order_relaxed);          // own
  return waited == Waited::kReached ? waited : Waited::kDeadline;
}

void wake_daemon(Region& region) noexcept { ask_daemon(RegionView(region).marks()); }

void repeat_wake(Region& region) noexcept {
  const RegionView view(region);
  ProductionWatermarks& marks = view.marks();
  const std::uint64_t end = view.ring().published_end();
  if (end == marks.wake_repeated.load(std::memory_order_relaxed)) return;  // own
  marks.wake_repeated.store(end, std::memory_order_relaxed);               // own
  wake_sleepers<Production>(marks.published_wake);
  wake_sleepers<Production>(marks.daemon_wake);
}

void wake_everybody(Region& region) noexcept {
  ProductionWatermarks& marks = RegionView(region).marks();
  for (auto* word :
       {&marks.published_wake, &marks.daemon_wake, &marks.progress_wake, &marks.asked_wake})
    wake_all(*word);
}

void set_degraded(Region& region, int os_error) noexcept {
  ProductionWatermarks& marks = RegionView(region).marks();
  marks.degraded.store(static_cast<std::uint32_t>(os_error),
                       std::memory_order_seq_cst);  // pair: sleep
  wake_sleepers<Production>(marks.progress_wake);
}

int degraded(const Region& region) noexcept {
  const ProductionWatermarks& marks = RegionView(region).marks();
  return static_cast<int>(marks.degraded.load(std::memory_order_seq_cst) & 0xffff);  // pair: sleep
}

void set_written(Region& region, std::uint64_t seq) noexcept {
  RegionView(region).marks().written.store(seq, std::memory_order_release);  // pair: synced
}

void set_synced(Region& region, std::uint64_t seq) noexcept {
  ProductionWatermarks& marks = RegionView(region).marks();
  raise_mark<Production>(marks.synced, seq);
  marks.synced_at_ns.store(monotonic_ns(), std::memory_order_relaxed);  // stat
  marks.room_made.fetch_add(1, std::memory_order_seq_cst);              // pair: sleep, room
  wake_sleepers<Production>(marks.progress_wake);
}

std::uint64_t next_session(Region& region) noexcept {
  const std::uint64_t n =
      RegionView(region).marks().sessions.fetch_add(1, std::memory_order_relaxed) + 1;  // own
  return region.identity().generation << 32 | (n & 0xffffffff);
}

}  // namespace oj::shm
