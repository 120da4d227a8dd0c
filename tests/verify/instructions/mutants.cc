// Goal: the checks find what they are for. Each operation here is wrong at one place.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>

#include "shm/views.h"
#include "shm/watermarks.h"
#include "tests/verify/instructions/operation.h"

namespace oj::verify {
namespace {

constexpr std::size_t kBytes = 200;

Operation append_wrongly(const std::string& name,
                         std::function<void(Victim&, const std::string&)> wrong) {
  Operation operation;
  operation.name = name;
  operation.prepare = [](World& world) {
    world.publish(2, 100);
    world.make_victims_slot();
  };
  operation.stage = [wrong = std::move(wrong)](Victim& victim) {
    victim.attach_as_worker();
    return [&victim, wrong, record = victim.next_record(kBytes)] { wrong(victim, record); };
  };
  return operation;
}

std::uint64_t owned_by(shm::SlotRef slot) {
  return shm::owner_word(shm::ChunkState::kOwned, slot.index, slot.incarnation);
}

void answer_published(Victim& victim, const shm::PublishCursor& cursor) {
  victim.world->report().seq.store(cursor.local - 1, std::memory_order_relaxed);
  victim.answer(Report::kPublished);
}

void publish_before_payload(Victim& victim, const std::string& record) {
  const shm::RegionView view(*victim.region);
  auto ring = view.ring();
  auto pool = view.pool();
  const std::uint64_t offset = *pool.claim(owned_by(victim.world->victim())) * pool.chunk_bytes();
  shm::PublishCursor cursor;
  ring.publish(offset / shm::kReferenceUnit, cursor);
  pool.store_entry(offset, shm::entry_crc(shm::bytes_of(record)), shm::bytes_of(record));
  answer_published(victim, cursor);
}

// Two phases: the slot is taken with a reference that says so, the record's own comes later.
void claim_then_commit(Victim& victim, const std::string& record) {
  const shm::RegionView view(*victim.region);
  auto ring = view.ring();
  auto pool = view.pool();
  shm::PublishCursor cursor;
  ring.publish(shm::kReferenceMask, cursor);
  const std::uint64_t offset = *pool.claim(owned_by(victim.world->victim())) * pool.chunk_bytes();
  pool.store_entry(offset, shm::entry_crc(shm::bytes_of(record)), shm::bytes_of(record));
  auto* const slots = reinterpret_cast<shm::ProductionWord*>(
      victim.region->base() +
      shm::geometry_of(16, 4096, 16, victim.region->sizes().worker_slots).ring);
  const std::uint64_t seq = cursor.local - 1;
  slots[seq & (ring.count() - 1)].store(
      ring.tag_of(seq) << shm::kReferenceBits | offset / shm::kReferenceUnit,
      std::memory_order_seq_cst);
  answer_published(victim, cursor);
}

// The chunk is claimed in the name of a slot that nobody has, so nobody reaps it.
void claim_in_no_name(Victim& victim, const std::string& record) {
  const shm::RegionView view(*victim.region);
  auto ring = view.ring();
  auto pool = view.pool();
  const std::uint64_t owned = owned_by({victim.region->sizes().worker_slots - 1, 1});
  const std::uint64_t offset = *pool.claim(owned) * pool.chunk_bytes();
  pool.store_entry(offset, shm::entry_crc(shm::bytes_of(record)), shm::bytes_of(record));
  shm::PublishCursor cursor;
  ring.publish(offset / shm::kReferenceUnit, cursor);
  pool.seal(offset / pool.chunk_bytes(), owned);
  answer_published(victim, cursor);
}

// The ring's word is stored, not exchanged for the one that was seen.
void store_instead_of_exchange(Victim& victim, const std::string& record) {
  const shm::RegionView view(*victim.region);
  auto ring = view.ring();
  auto pool = view.pool();
  const std::uint64_t offset = *pool.claim(owned_by(victim.world->victim())) * pool.chunk_bytes();
  pool.store_entry(offset, shm::entry_crc(shm::bytes_of(record)), shm::bytes_of(record));
  const std::uint64_t seq = ring.published_end();
  auto* const slots = reinterpret_cast<shm::ProductionWord*>(
      victim.region->base() +
      shm::geometry_of(16, 4096, 16, victim.region->sizes().worker_slots).ring);
  slots[seq & (ring.count() - 1)].store(
      ring.tag_of(seq) << shm::kReferenceBits | offset / shm::kReferenceUnit,
      std::memory_order_seq_cst);
  shm::PublishCursor cursor;
  cursor.local = seq + 1;
  answer_published(victim, cursor);
}

Operation read_unpinned() {
  Operation operation;
  operation.name = "reads after it unpinned";
  operation.kind = Kind::kWorker;
  operation.prepare = [](World& world) {
    world.make_victims_slot();
    world.publish(4, kBytes);
  };
  operation.stage = [](Victim& victim) {
    victim.attach_as_worker();
    return [&victim, expected = record_of(kBystander, 3, kBytes)] {
      const shm::Reader::Answer found = victim.reader->read(2);
      victim.reader->unpin();
      const bool right = found.found == shm::Reader::Found::kOnDisk ||
                         std::memcmp(found.bytes.data(), expected.data(), expected.size()) == 0;
      victim.answer(right ? Report::kRight : Report::kWrong, "read other bytes in place");
    };
  };
  return operation;
}

Operation frees_slot_before_chunks() {
  Operation operation;
  operation.name = "frees the slot before the chunks";
  operation.kind = Kind::kDaemon;
  operation.prepare = prepare_dead_worker;
  operation.stage = [](Victim& victim) {
    stage_reaper(victim);
    return [&victim, dead = victim.world->victim()] {
      victim.reaper->proven_dead(dead);
      victim.orders->begin_taking();
      while (const auto slot = victim.orders->take_ended()) {
        victim.reaper->slots().finish(*slot);
        victim.keeper->seal_chunks_of(*slot);
      }
      victim.answer(Report::kRight);
    };
  };
  return operation;
}

Operation synced_before_written() {
  Operation operation;
  operation.name = "raises synced before it writes";
  operation.kind = Kind::kFlush;
  operation.prepare = [](World& world) { world.publish(3, 100); };
  operation.stage = [](Victim& victim) { return flush_once(victim, true); };
  return operation;
}

Operation takes_stopped_for_dead() {
  Operation operation =
      append_wrongly("takes a stopped worker for dead",
                     [](Victim& victim, const std::string& record) { victim.append(record); });
  operation.reaps_the_stopped = true;
  return operation;
}

}  // namespace

std::vector<Mutant> mutants() {
  return {{append_wrongly("publishes before it writes", publish_before_payload), false},
          {append_wrongly("claims, then commits", claim_then_commit), false},
          {append_wrongly("claims in no name", claim_in_no_name), false},
          {append_wrongly("stores its ticket unasked", store_instead_of_exchange), true},
          {read_unpinned(), true},
          {takes_stopped_for_dead(), true},
          {frees_slot_before_chunks(), false},
          {synced_before_written(), false}};
}

}  // namespace oj::verify
