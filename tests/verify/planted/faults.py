"""The faults that plant.py plants: what is changed where, and which test is to find it.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    name: str
    breaks: tuple[str, ...]  # labels of the claims in shm/*.h
    file: str
    was: str  # once in the file
    now: str
    program: str  # schedules, a GoogleTest program, or daemon_test with a daemon that has the fault
    test: str = ""  # of GoogleTest
    says: str = ""  # what must be in what the program says, a regular expression
    compiled: tuple[str, ...] = ()  # if the file is a header: the sources compiled with it
    fast: bool = False  # also with --fast

    @property
    def sources(self) -> tuple[str, ...]:
        return self.compiled or (self.file,)


FAULTS = [
    Fault(
        "hazards-not-looked-at",
        ("C2", "F2"),
        "shm/chunk_keeper.cc",
        "if (pinned_[candidate.chunk] != 0) continue;",
        "",
        "unit_shm",
        test="Reader.KeepsAPinnedChunkAndAPinnedRun",
        fast=True,
    ),
    Fault(
        "retained-not-raised",
        ("H1", "C2"),
        "shm/chunk_keeper.cc",
        "if (hazards.retained() < seq) hazards.raise_retained(seq);",
        "",
        "schedules",
    ),
    Fault(
        "freed-before-synced",
        ("F2", "C2"),
        "shm/chunk_keeper.cc",
        "if (upper > on_disk) continue;",
        "",
        "schedules",
    ),
    Fault(
        "incarnation-ignored",
        ("F4", "C1"),
        "shm/producer.cc",
        "owned_ = owner_word(ChunkState::kOwned, owner.index, owner.incarnation);",
        "owned_ = owner_word(ChunkState::kOwned, owner.index, 1);",
        "schedules",
        fast=True,
    ),
    Fault(
        "hint-trusted",
        ("I1",),
        "shm/order_ring.h",
        "return lap(load(hint - 1), hint - 1) == Lap::kThis ? hint : b;",
        "return hint;",
        "schedules",
        compiled=("shm/producer.cc",),
        fast=True,
    ),
    Fault(
        "slot-refilled-one-early",
        ("I2",),
        "shm/order_ring.h",
        "if (b >= cursor.synced + count_) return PublishEnd::kFull;  // I2",
        "if (b > cursor.synced + count_) return PublishEnd::kFull;",
        "schedules",
        compiled=("shm/producer.cc",),
    ),
    Fault(
        "slot-stored-not-exchanged",
        ("I3",),
        "shm/order_ring.h",
        """      if (slot(b).compare_exchange_strong(seen, ticket,
                                          std::memory_order_seq_cst,     // pair: ticket, sleep
                                          std::memory_order_acquire)) {  // pair: ticket
""",
        """      if (slot(b).store(ticket, std::memory_order_seq_cst); true) {
""",
        "schedules",
        compiled=("shm/producer.cc",),
    ),
    Fault(
        "ticket-before-payload",
        ("P1", "C1"),
        "shm/producer.cc",
        """  pool_.store_entry(offset, entry_crc(record), record);
  const End end = publish(offset);
  if (end == End::kPublished) chunk_used_ += padded(entry);
""",
        """  const End end = publish(offset);
  pool_.store_entry(offset, entry_crc(record), record);
  if (end == End::kPublished) chunk_used_ += padded(entry);
""",
        "schedules",
        fast=True,
    ),
    Fault(
        "bytes-written-twice",
        ("C1", "P1"),
        "shm/producer.cc",
        "if (end == End::kPublished) chunk_used_ += padded(entry);",
        "if (end == End::kPublished) chunk_used_ += padded(entry) / 2;",
        "schedules",
    ),
    Fault(
        "claimed-before-sealed",
        ("P2",),
        "shm/producer.cc",
        """    seal();
    const std::optional<std::uint64_t> chunk = pool_.claim(owned_);
    if (!chunk) return End::kPoolFull;
""",
        """    const std::optional<std::uint64_t> chunk = pool_.claim(owned_);
    if (!chunk) return End::kPoolFull;
    seal();
""",
        "unit_shm",
        test="Append.DoesNotLockUpWhenEverybodyHoldsTheLastChunks",
    ),
    Fault(
        "owner-not-compared",
        ("C1",),
        "shm/chunk_pool.h",
        """    return owners_[chunk].compare_exchange_strong(
        empty, owned, std::memory_order_acq_rel,  // pair: chunk
        std::memory_order_relaxed);               // hint: somebody else has it
""",
        """    owners_[chunk].store(owned, std::memory_order_seq_cst);
    return true;
""",
        "schedules",
        compiled=("shm/producer.cc",),
    ),
    Fault(
        "published-in-silence",
        ("M2",),
        "shm/producer.cc",
        "wake_sleepers<Production>(marks_->published_wake);",
        "",
        "schedules",
        says="sleep",
    ),
    Fault(
        "armed-cleared-anyway",
        ("W1",),
        "shm/wake.h",
        "if ((mine & kArmed) != 0) {",
        "if ((mine & kArmed) != 0) {\n    mine = word.load(std::memory_order_seq_cst);",
        "schedules",
        says="sleep",
        compiled=("shm/producer.cc", "shm/watermarks.cc"),
    ),
    Fault(
        "armed-without-a-change",
        ("W2",),
        "shm/wake.h",
        "const std::uint32_t armed = (seen + kWakeStep) | kArmed;",
        "const std::uint32_t armed = seen | kArmed;",
        "unit_shm",
        test="Waits.KeepWakeWordsArmedForWhoeverArmedSinceTheWake",
        compiled=("tests/unit/shm/watermarks_test.cc",),
    ),
    Fault(
        "wake-not-repeated",
        ("M2",),
        "shm/watermarks.cc",
        "marks.wake_repeated.store(end, std::memory_order_relaxed);               // own\n",
        "marks.wake_repeated.store(end, std::memory_order_relaxed);\n  return;\n",
        "schedules",
        says="sleep",
        fast=True,
    ),
    Fault(
        "request-seen-again-and-again",
        ("M3",),
        "shm/watermarks.cc",
        "return wanted > now && (moved || wanted > wanted_before) && ring.published_end() > now;",
        "return wanted > now && ring.published_end() > now;",
        "unit_shm",
        test="Waits.ForARequestDoNotSpinWhileTheDiskFails",
    ),
    Fault(
        "pin-not-confirmed",
        ("R1", "H1"),
        "shm/reader.cc",
        "if (!held && !pin(place.chunk, 1, seq)) {",
        "if (!held && !pin(place.chunk, 1, seq) && false) {",
        "schedules",
    ),
    Fault(
        "chunk-held-is-any",
        ("H2", "R1"),
        "shm/reader.cc",
        "const bool held = place.chunk >= pinned_first_ && "
        "place.chunk - pinned_first_ < pinned_count_;",
        "const bool held = pinned_count_ > 0;",
        "schedules",
    ),
    Fault(
        "checksum-not-compared",
        ("R2",),
        "shm/reader.cc",
        "if (entry_crc(bytes) != header >> 32)\n    return {Found::kBad",
        "if (false)\n    return {Found::kBad",
        "unit_shm",
        test="Reader.ReportsBadBytesLengthsAndReferencesAsBad",
    ),
    Fault(
        "bad-record-flushed",
        ("F1",),
        "shm/flush_source.cc",
        'if (entry_crc(bytes) != header >> 32) return {seq, {}, "its checksum does not fit its '
        'bytes"};',
        "",
        "unit_daemon",
        test="FlusherOfARegion.WritesADamagedRecordAsATombstone",
    ),
    Fault(
        "synced-before-fdatasync",
        ("M1",),
        "daemon/flusher.cc",
        "if (Result<void> synced = writer_.sync(); !synced) return synced;",
        "shm::set_synced(*region_, writer_.next_seq());\n"
        "    if (Result<void> synced = writer_.sync(); !synced) return synced;",
        "unit_daemon",
        test="FlusherOfARegion.RaisesSyncedOnlyWhenTheDiskHasIt",
    ),
    Fault(
        "last-record-forgotten",
        ("F3",),
        "shm/flush_source.cc",
        "last_seq_[place.chunk + i] = std::max(last_seq_[place.chunk + i], seq + 1);",
        "last_seq_[place.chunk + i] = std::max<std::uint64_t>(last_seq_[place.chunk + i], 1);",
        "schedules",
    ),
    Fault(
        "life-not-ended",
        ("S1",),
        "shm/worker_slots.cc",
        "change(shared, word, word_of(SlotState::kFree, slot.incarnation + 1));",
        "change(shared, word, word_of(SlotState::kFree, slot.incarnation));",
        "unit_shm",
        test="Slots.AreAssignedTakenClosedAndAssignedAgainInANewLife",
    ),
    Fault(
        "reaped-without-a-look-at-the-lock",
        ("S2",),
        "daemon/roster.cc",
        "Result<bool> free = reaper_.slots().lock_is_free(i); free && *free",
        "Result<bool> free = reaper_.slots().lock_is_free(i); free",
        "daemon_test",
        test="Death.IsNotProvenByAClosedConnection",
    ),
    Fault(
        "hazards-of-the-dead-stay",
        ("S3",),
        "shm/worker_slots.cc",
        "for (auto& hazard : shared.hazards) hazard.store(0, std::memory_order_release);  "
        "// pair: unpin",
        "",
        "unit_shm",
        test="Slots.AreReapedWithTheirChunksAndHazards",
    ),
    Fault(
        "assigned-with-its-lock-held",
        ("S4",),
        "shm/worker_slots.cc",
        "if (const auto free = lock_is_free(index); !free || !*free) continue;   // S4",
        "",
        "unit_shm",
        test="Slots.AreNotAssignedWhileSomebodyHoldsTheirLockByte",
    ),
    Fault(
        "fork-child-keeps-the-slot",
        ("S1",),
        "libclient/fork_registry.cc",
        "return thing->after_fork_in_child() == ForkAware::Then::kForget;",
        "return thing == nullptr;",
        "client_test",
        test="Storage.ForkChildrenGoOnWithTheirOwnSessions",
    ),
    Fault(
        "old-cursor-believed",
        ("I4",),
        "shm/order_ring.h",
        "const std::uint64_t b = std::max(cursor.local, cursor.synced);",
        "const std::uint64_t b = cursor.local;",
        "unit_shm",
        test="OrderRing.IsEnteredByANewProducerWhenLapTagsHaveComeRound",
        compiled=("tests/unit/shm/protocol_test.cc",),
    ),
    Fault(
        "loss-not-told",
        ("L1",),
        "shm/lost_pages.cc",
        "lost->store(true, std::memory_order_seq_cst);  // pair: lost. L1: before there are zeros "
        "to see",
        "(void)lost;",
        "unit_shm",
        test="Region.TellsThatItIsLostToWhoeverFindsZerosForItsPages",
    ),
]
