// SPDX-License-Identifier: MIT
#include "tests/verify/schedules/journal_seen.h"

#include <algorithm>
#include <cstring>

#include "shm/producer.h"
#include "shm/views.h"
#include "shm/worker_slots.h"

namespace oj::schedules {
namespace {

using shm::scheduled::Operation;

std::string at_record(std::uint64_t seq) { return " (record " + std::to_string(seq) + ")"; }

}  // namespace

std::string JournalSeen::after(const shm::scheduled::Access& access, const Word& word,
                               const Thread& thread) {
  if (access.operation == Operation::kLoad || !access.done) return "";
  const std::uint64_t value =
      access.operation == Operation::kAdd ? access.value + access.operand : access.operand;
  switch (word.part) {
    case Part::kRing: return on_ticket(word.index, value, thread);
    case Part::kOwner: return on_owner(word.index, access.value, value);
    case Part::kMark: return on_mark(word, value);
    case Part::kSlot:
      if (word.offset == kSlotState) return on_slot(word.index, access.value, value);
      if (Words::is_hazard(word)) counts_.pins += value != 0;
      return "";
    default: return "";
  }
}

// I1, I2, P1: a ticket.
std::string JournalSeen::on_ticket(std::uint64_t slot, std::uint64_t ticket, const Thread& thread) {
  const shm::RegionView view(*region_);
  const auto ring = view.ring();
  const auto pool = view.pool();
  const std::uint64_t seq = end();
  if (slot != (seq & (ring.count() - 1)) || ring.lap(ticket, seq) != shm::Lap::kThis)
    return "a ticket that is not the next of the order" + at_record(seq);
  if (seq >= synced_ + ring.count())
    return "a slot is refilled although its record is not synced" + at_record(seq);
  const shm::EntryPlace place = shm::entry_place(pool, ticket);
  if (place.bad != nullptr) return place.bad;
  const std::uint64_t header = pool.load_word(place.offset);
  Record record;
  record.chunk = place.chunk;
  record.bytes.resize(std::min<std::uint64_t>(header & 0xffffffff, 4096) + sizeof header);
  record.chunks =
      shm::entry_chunks(pool, place, header & 0xffffffff, region_->sizes().record_bytes_max());
  if (record.chunks == 0) return "a ticket whose entry has no length that can be" + at_record(seq);
  pool.copy_words(place.offset + shm::kEntryHeaderBytes, header & 0xffffffff, record.bytes.data());
  record.bytes.resize(header & 0xffffffff);
  if (shm::entry_crc(record.bytes) != header >> 32)
    return "a ticket whose entry is not complete" + at_record(seq);
  if (!thread.in_flight.empty()) {
    if (!std::ranges::equal(record.bytes, thread.in_flight))
      return "a ticket that names other bytes than its producer's" + at_record(seq);
    std::uint64_t& last = last_number_[thread.author];
    if (thread.number <= last) return "a record is published twice" + at_record(seq);
    last = thread.number;
  }
  counts_.refilled += seq >= first_seq_ + ring.count();
  ++counts_.records;
  records_.push_back(std::move(record));
  return "";
}

// C2 and F2: a chunk is given back or freed.
std::string JournalSeen::on_owner(std::uint64_t chunk, std::uint64_t before, std::uint64_t word) {
  if (word != 0) return "";
  if (shm::chunk_state(before) == shm::ChunkState::kSealed) ++counts_.chunk_lives;
  for (std::uint64_t seq = std::max(retained_, first_seq_); seq < end(); ++seq) {
    const Record& record = records_[seq - first_seq_];
    if (chunk >= record.chunk && chunk < record.chunk + record.chunks)
      return "chunk " + std::to_string(chunk) + " is freed while a reader may look" +
             at_record(seq);
  }
  return "";
}

// S3: a worker slot is free.
std::string JournalSeen::on_slot(std::uint64_t slot, std::uint64_t before,
                                 std::uint64_t word) const {
  if ((word & 0xff) != static_cast<std::uint64_t>(shm::SlotState::kFree)) return "";
  const shm::RegionView view(*region_);
  for (const auto& hazard : view.slot(static_cast<std::uint32_t>(slot)).hazards) {
    if (hazard.load(std::memory_order_relaxed) != 0) return "a slot is free with a hazard set";
  }
  const std::uint64_t owned =
      shm::owner_word(shm::ChunkState::kOwned, static_cast<std::uint32_t>(slot),
                      before >> shm::kSlotIncarnationShift);
  for (std::uint64_t chunk = 0; chunk < region_->sizes().chunk_count; ++chunk) {
    if (view.pool().owner(chunk) == owned) return "a slot is free while it owns a chunk";
  }
  return "";
}

// M1: the watermarks.
std::string JournalSeen::on_mark(const Word& word, std::uint64_t value) {
  if (word.offset == kSynced) {
    if (value < synced_) return "`synced` goes back";
    if (value > first_seq_ + disk_.synced) return "`synced` is past what the disk has";
    synced_ = value;
  } else if (word.offset == kWritten) {
    if (value > first_seq_ + disk_.written.size()) return "`written` is past what was written";
    if (value < synced_) return "`written` is below `synced`";
  } else if (word.offset == kRetained) {
    if (value < retained_) return "`retained` goes back";
    if (value > synced_) return "`retained` is past `synced`";
    retained_ = value;
  }
  return "";
}

bool JournalSeen::is(std::uint64_t seq, std::span<const std::byte> bytes) const {
  return seq >= first_seq_ && seq < end() &&
         std::ranges::equal(records_[seq - first_seq_].bytes, bytes);
}

bool JournalSeen::acknowledge(std::uint64_t seq, std::span<const std::byte> bytes) {
  if (!is(seq, bytes) || records_[seq - first_seq_].acknowledged) return false;
  return records_[seq - first_seq_].acknowledged = true;
}

std::string JournalSeen::at_end() const {
  if (disk_.synced != records_.size() || disk_.written.size() != records_.size())
    return "at the end the disk has " + std::to_string(disk_.synced) + " records, the order " +
           std::to_string(records_.size());
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (disk_.written[i] != records_[i].bytes)
      return "the disk has another record" + at_record(first_seq_ + i);
  }
  return "";
}

}  // namespace oj::schedules
