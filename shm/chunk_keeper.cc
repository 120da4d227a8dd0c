// SPDX-License-Identifier: MIT
#include "shm/chunk_keeper.h"

#include <algorithm>
#include <utility>

#include "shm/views.h"
#include "shm/wake.h"
#include "shm/watermarks.h"

namespace oj::shm {

ChunkKeeper::ChunkKeeper(std::shared_ptr<Region> region, FlushSource& source)
    : region_(std::move(region)),
      source_(source),
      synced_at_start_(synced(*region_)),
      sealed_end_(region_->sizes().chunk_count, 0),
      pinned_(region_->sizes().chunk_count, 0) {
  OJ_CHECK(region_->writable());
  candidates_.reserve(region_->sizes().chunk_count);
}

void ChunkKeeper::seal_chunks_of(SlotRef slot) noexcept {
  ChunkPool<Production> pool = RegionView(*region_).pool();
  const std::uint64_t owned = owner_word(ChunkState::kOwned, slot.index, slot.incarnation);
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) {
    if (pool.owner(chunk) == owned) pool.seal(chunk, owned);
  }
}

namespace {

// F4. REQUIRES: `word` was loaded with acquire, so that the life that claimed with it is seen.
bool owner_can_be(const RegionView& view, std::uint32_t slots, std::uint64_t word) noexcept {
  const ChunkState state = chunk_state(word);
  if (word == 0) return true;
  if ((state != ChunkState::kOwned && state != ChunkState::kSealed) || owner_slot(word) >= slots)
    return false;
  const std::uint64_t life =
      view.slot(owner_slot(word)).state.load(std::memory_order_acquire) >>  // pair: life
      kSlotIncarnationShift;
  const std::uint64_t named = word & kOwnerIncarnationMask;
  return state == ChunkState::kOwned ? named == (life & kOwnerIncarnationMask)
                                     : named >= 1 && named <= life;
}

}  // namespace

// F3: what the end of each sealed chunk is, and whether all of it is synced.
ChunkKeeper::Sweep ChunkKeeper::sweep() noexcept {
  const RegionView view(*region_);
  const ChunkPool<Production> pool = view.pool();
  const std::uint64_t on_disk = synced(*region_);
  std::uint64_t end_now = 0;  // published_end, once needed
  Sweep result;
  candidates_.clear();
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) {
    const std::uint64_t word = pool.owner(chunk);
    if (!owner_can_be(view, region_->sizes().worker_slots, word)) damaged_chunk_ = chunk;
    if (chunk_state(word) != ChunkState::kSealed) {
      sealed_end_[chunk] = 0;
      if (word == 0) ++(chunk < pool.low_zone() ? result.free_low : result.free_high);
      continue;
    }
    if (sealed_end_[chunk] == 0) {
      // Must be a look at the ring after the chunk was seen sealed: hence not `end_now` of an
      // earlier chunk.
      end_now = view.ring().published_end();
      sealed_end_[chunk] = end_now + 1;
    }
    const std::uint64_t upper = sealed_end_[chunk] - 1;
    if (upper > on_disk) continue;
    // All below `upper` went through the flusher or was synced before it began.
    const std::uint64_t last = source_.last_seq_[chunk];
    candidates_.push_back(
        {last != 0 ? std::min(last, upper) : std::min(upper, synced_at_start_), chunk, word});
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.end != b.end ? a.end < b.end : a.chunk < b.chunk;
  });
  return result;
}

// H1, in this order: raise, look at the hazards, free. Frees every candidate that ends at or below
// `seq`.
std::uint64_t ChunkKeeper::free_below(std::uint64_t seq) noexcept {
  const RegionView view(*region_);
  ChunkPool<Production> pool = view.pool();
  Hazards<Production> hazards = view.hazards();
  if (hazards.retained() < seq) hazards.raise_retained(seq);
  std::fill(pinned_.begin(), pinned_.end(), std::uint8_t{0});
  hazards.each([&](std::uint64_t first, std::uint64_t count) {
    const std::uint64_t longest =
        chunks_for(region_->sizes().record_bytes_max(), pool.chunk_bytes());
    if (first >= pool.count() || count > longest || first + count > pool.count()) {
      damaged_chunk_ = first;  // no reader pins that
      return;
    }
    for (std::uint64_t chunk = first; chunk < first + count; ++chunk) pinned_[chunk] = 1;
  });
  std::uint64_t freed = 0;
  for (const Candidate& candidate : candidates_) {
    if (candidate.end > seq) break;
    if (pinned_[candidate.chunk] != 0) continue;
    // Forgotten before it is free: from then on it may have a new life at any time.
    source_.last_seq_[candidate.chunk] = 0;
    sealed_end_[candidate.chunk] = 0;
    if (pool.free(candidate.chunk, candidate.word)) ++freed;
  }
  return freed;
}

std::uint64_t ChunkKeeper::reclaim(std::uint64_t free_target) noexcept {
  const ChunkPool<Production> pool = RegionView(*region_).pool();
  // Each zone is to have its share of free chunks: free room for runs is of no use to small
  // records, and the other way round it would be spent on them.
  const std::uint64_t target = std::min(free_target, pool.count());
  const std::uint64_t target_high = target / 4;
  const std::uint64_t target_low = target - target_high;
  std::uint64_t freed = 0;
  Sweep seen = sweep();
  for (int round = 0; round < kRoundsMax && !candidates_.empty(); ++round) {
    std::uint64_t low = seen.free_low, high = seen.free_high;
    std::uint64_t up_to = retained(*region_);  // whatever is below it can be read by nobody
    for (const Candidate& candidate : candidates_) {
      if (low >= target_low && high >= target_high) break;
      std::uint64_t& zone = candidate.chunk < pool.low_zone() ? low : high;
      if (zone >= (candidate.chunk < pool.low_zone() ? target_low : target_high)) continue;
      ++zone;
      up_to = std::max(up_to, candidate.end);
    }
    const bool nothing_due = candidates_.front().end > up_to;
    if (nothing_due) break;
    const std::uint64_t now = free_below(up_to);
    freed += now;
    seen = sweep();
    if (seen.free_low >= target_low && seen.free_high >= target_high) break;
    if (now == 0 && !candidates_.empty() && candidates_.back().end <= up_to)
      break;  // all that is left is pinned
    // Pinned ones count as freed no longer: leave them out, and look further.
    std::erase_if(candidates_, [&](const Candidate& c) { return c.end <= up_to; });
  }
  if (freed > 0) {
    ProductionWatermarks& marks = RegionView(*region_).marks();
    marks.room_made.fetch_add(1, std::memory_order_seq_cst);  // pair: sleep, room
    wake_sleepers<Production>(marks.progress_wake);
  }
  return seen.free_low + seen.free_high;
}

std::uint64_t ChunkKeeper::chunks_in_use() const noexcept {
  const ChunkPool<Production> pool = RegionView(*region_).pool();
  std::uint64_t used = 0;
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) used += pool.owner(chunk) != 0;
  return used;
}

std::uint64_t ChunkKeeper::chunks_held_by(std::uint32_t slot_index) const noexcept {
  const ChunkPool<Production> pool = RegionView(*region_).pool();
  std::uint64_t held = 0;
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) {
    const std::uint64_t word = pool.owner(chunk);
    held += chunk_state(word) == ChunkState::kOwned && owner_slot(word) == slot_index;
  }
  return held;
}

bool ChunkKeeper::room_wanted() noexcept {
  ProductionWatermarks& marks = RegionView(*region_).marks();
  if (marks.room_wanted.load(std::memory_order_relaxed) == 0)
    return false;  // hint: the exchange decides
  return marks.room_wanted.exchange(0, std::memory_order_seq_cst) != 0;  // pair: sleep
}

}  // namespace oj::shm
