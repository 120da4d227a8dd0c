// Goal: every operation that touches the region, each in the states in which it takes another path.
//
// SPDX-License-Identifier: MIT
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "journal/folder.h"
#include "journal/recovery.h"
#include "shm/views.h"
#include "shm/wake.h"
#include "shm/watermarks.h"
#include "tests/verify/instructions/operation.h"

namespace oj::verify {
namespace {

constexpr std::size_t kShort = 40, kBatch = 900, kRun = 4500;

template <class T>
T must(Result<T> result) {
  require(result.ok(), result.ok() ? "" : result.error().message);
  return std::move(*result);
}
void must(const Result<void>& result) {
  require(result.ok(), result.ok() ? "" : result.error().message);
}

// All that is published is on disk, as far as the region knows, and nothing is freed.
void sync_all(const std::shared_ptr<shm::Region>& region) {
  const std::uint64_t end = shm::published_end(*region);
  shm::set_written(*region, end);
  shm::set_synced(*region, end);
}

void arm_everything(const std::shared_ptr<shm::Region>& region) {
  shm::ProductionWatermarks& marks = shm::RegionView(*region).marks();
  for (auto* word : {&marks.published_wake, &marks.daemon_wake, &marks.progress_wake})
    shm::arm<shm::Production>(*word);
}

Operation append(const std::string& name, std::size_t bytes, std::vector<std::size_t> before) {
  Operation operation;
  operation.name = "append, " + name;
  operation.prepare = [](World& world) {
    world.publish(2, 100);
    world.make_victims_slot();
  };
  operation.stage = [bytes, before](Victim& victim) {
    victim.attach_as_worker();
    for (const std::size_t size : before) victim.publish(size);
    return [&victim, record = victim.next_record(bytes)] { victim.append(record); };
  };
  return operation;
}

Operation append_at_wrap() {
  // The 32nd record of its producer, so that the hint is stored, into the ring's first slot.
  Operation operation = append("at the ring's wrap", kShort, {});
  operation.prepare = [](World& world) {
    world.publish(1, 100);
    world.make_victims_slot();
  };
  operation.stage = [](Victim& victim) {
    victim.attach_as_worker();
    for (int i = 0; i < 31; ++i) {
      victim.publish(kShort);
      if (i % 8 == 7) sync_all(victim.region);
    }
    return [&victim, record = victim.next_record(kShort)] { victim.append(record); };
  };
  return operation;
}

Operation append_with_sleepers() {
  Operation operation = append("waking sleepers", kShort, {kShort});
  operation.stage = [](Victim& victim) {
    victim.attach_as_worker();
    victim.publish(kShort);
    arm_everything(victim.region);
    return [&victim, record = victim.next_record(kShort)] { victim.append(record); };
  };
  return operation;
}

Operation append_when_full(const std::string& what, std::size_t records, std::size_t bytes) {
  Operation operation = append("full " + what, kShort, {});
  operation.prepare = [records, bytes](World& world) {
    world.make_victims_slot();
    world.publish(records, bytes);
  };
  return operation;
}

// Reads in place, and looks at the bytes after the call as a caller does.
Operation read(const std::string& name, std::size_t bytes) {
  Operation operation;
  operation.name = "read, " + name;
  operation.kind = Kind::kWorker;
  operation.prepare = [bytes](World& world) {
    world.make_victims_slot();
    world.publish(4, bytes);
  };
  operation.stage = [bytes](Victim& victim) {
    victim.attach_as_worker();
    return [&victim, expected = record_of(kBystander, 3, bytes)] {
      const shm::Reader::Answer found = victim.reader->read(2);
      const bool right =
          found.found == shm::Reader::Found::kOnDisk ||
          (found.found == shm::Reader::Found::kRecord && found.bytes.size() == expected.size() &&
           std::memcmp(found.bytes.data(), expected.data(), expected.size()) == 0);
      victim.answer(right ? Report::kRight : Report::kWrong, "read other bytes in place");
    };
  };
  return operation;
}

Operation map_and_validate() {
  Operation operation;
  operation.name = "attach, map and validate";
  operation.kind = Kind::kWorker;
  operation.prepare = [](World& world) {
    world.publish(2, kShort);
    world.make_victims_slot();
  };
  operation.stage = [](Victim& victim) {
    return [&victim, path = victim.world->region()->path()] {
      auto region = shm::Region::attach(path, shm::Region::Access::kReadWrite, nullptr);
      victim.answer(region ? Report::kRight : Report::kWrong, "cannot attach");
      if (region) victim.region = std::move(*region);
    };
  };
  return operation;
}

Operation take_seat() {
  Operation operation = map_and_validate();
  operation.name = "attach, take the slot";
  operation.fresh = true;
  operation.stage = [](Victim& victim) {
    victim.attach();
    return [&victim] {
      auto seat = shm::Seat::take(victim.region, victim.world->victim());
      victim.answer(seat ? Report::kRight : Report::kWrong, "cannot take the slot");
      if (seat) victim.seat.emplace(std::move(*seat));
    };
  };
  return operation;
}

Operation detach() {
  Operation operation = map_and_validate();
  operation.name = "detach";
  operation.fresh = true;
  operation.stage = [](Victim& victim) {
    victim.attach_as_worker();
    victim.publish(kShort);
    victim.reader->read(0);
    return [&victim] {
      victim.reader.reset();
      victim.producer.reset();
      victim.seat.reset();
      victim.region.reset();
      victim.answer(Report::kRight);
    };
  };
  return operation;
}

Operation hand_out_slot() {
  Operation operation;
  operation.name = "hand out a slot";
  operation.kind = Kind::kDaemon;
  operation.prepare = [](World& world) { world.publish(2, kShort); };
  operation.stage = [](Victim& victim) {
    victim.attach();
    return [&victim, slots = std::make_shared<shm::SlotTable>(victim.region)] {
      const auto slot = slots->assign({kVictim, 1, 2, 3, "a worker with a name"});
      victim.answer(slot ? Report::kRight : Report::kWrong, "no slot");
    };
  };
  return operation;
}

Operation reap() {
  Operation operation;
  operation.name = "reap";
  operation.kind = Kind::kDaemon;
  operation.prepare = prepare_dead_worker;
  operation.stage = [](Victim& victim) {
    stage_reaper(victim);
    return [&victim, dead = victim.world->victim()] {
      victim.reaper->proven_dead(dead);
      victim.orders->begin_taking();
      while (const auto slot = victim.orders->take_ended()) {
        victim.keeper->seal_chunks_of(*slot);
        victim.reaper->slots().finish(*slot);
      }
      victim.answer(Report::kRight);
    };
  };
  return operation;
}

Operation reclaim() {
  Operation operation;
  operation.name = "reclaim";
  operation.kind = Kind::kDaemon;
  operation.prepare = [](World& world) {
    world.publish(6, 2000);  // three chunks
    world.publish(1, kRun);
  };
  operation.stage = [](Victim& victim) {
    victim.attach();
    victim.source.emplace(victim.region);
    victim.keeper.emplace(victim.region, *victim.source);
    require(victim.source->gather(0, 100, 1 << 16)->size() == 7, "cannot prepare a reclaim");
    shm::set_written(*victim.region, 7);
    shm::set_synced(*victim.region, 7);
    arm_everything(victim.region);
    return [&victim] {
      victim.keeper->reclaim(victim.region->sizes().chunk_count);
      victim.answer(Report::kRight);
    };
  };
  return operation;
}

Operation flush() {
  Operation operation;
  operation.name = "flush";
  operation.kind = Kind::kFlush;
  operation.prepare = [](World& world) { world.publish(3, 100); };
  operation.stage = [](Victim& victim) { return flush_once(victim, false); };
  return operation;
}

}  // namespace

void Victim::attach() {
  region =
      must(shm::Region::attach(world->region()->path(), shm::Region::Access::kReadWrite, nullptr));
  require(madvise(region->base(), region->sizes().region_bytes(), MADV_DOFORK) == 0, "madvise");
}

void Victim::attach_as_worker() {
  attach();
  seat.emplace(must(shm::Seat::take(region, world->victim())));
  producer.emplace(region, world->victim());
  reader.emplace(region, world->victim(), 0);
}

std::string Victim::next_record(std::size_t bytes) {
  return record_of(kVictim, world->report().appended.load(std::memory_order_acquire) + 1, bytes);
}

void Victim::publish(std::size_t bytes) {
  const auto attempt = producer->try_append(shm::bytes_of(next_record(bytes)));
  require(attempt.ok() && attempt->full == shm::Full::kNo, "no room to prepare with");
  world->report().appended.fetch_add(1, std::memory_order_acq_rel);
}

void Victim::answer(Report::Answer answer, const std::string& text) {
  Report& report = world->report();
  std::strncpy(report.text, text.c_str(), sizeof report.text - 1);
  report.answer.store(answer, std::memory_order_release);
}

void Victim::append(const std::string& record) {
  const auto attempt = producer->try_append(shm::bytes_of(record));
  if (!attempt) return answer(Report::kWrong, attempt.error().message);
  world->report().seq.store(attempt->seq, std::memory_order_relaxed);
  answer(attempt->full == shm::Full::kNo ? Report::kPublished : Report::kFull);
}

// Leaves a slot whose process has died with an open chunk, a sealed run and a hazard on it.
void prepare_dead_worker(World& world) {
  world.make_victims_slot();
  const pid_t child = fork();
  if (child == 0) {
    try {
      Victim dead;
      dead.world = &world;
      dead.attach_as_worker();
      for (const std::size_t bytes : {kShort, kRun, kShort}) {
        const std::uint64_t op_no =
            world.report().appended.fetch_add(1, std::memory_order_acq_rel) + 1;
        if (!dead.producer->try_append(shm::bytes_of(record_of(kDead, op_no, bytes)))) _exit(1);
      }
      dead.reader->read(1);
      _exit(0);
    } catch (const Violation&) {
      _exit(2);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "cannot prepare a dead worker");
  world.appended(kDead) = world.report().appended.exchange(0, std::memory_order_acq_rel);
}

void stage_reaper(Victim& victim) {
  victim.attach();
  victim.source.emplace(victim.region);
  victim.keeper.emplace(victim.region, *victim.source);
  victim.orders.emplace(victim.region);
  victim.reaper.emplace(victim.region, *victim.orders);
  must(victim.reaper->take_seat());
}

// A round of daemon/flusher.cc: gather, write, `written`, sync, `synced`.
std::function<void()> flush_once(Victim& victim, bool synced_too_early) {
  victim.attach();
  const auto folder = must(
      journal::Folder::open(victim.world->journal_folder(), journal::Folder::IfAbsent::kCreate));
  const auto recovered = must(journal::recover(folder, std::nullopt));
  victim.writer.emplace(must(
      journal::Writer::open(folder, recovered.next_seq, 1, {64 * 1024, 64 * 1024, {}, nullptr})));
  victim.source.emplace(victim.region);
  arm_everything(victim.region);
  return [&victim, synced_too_early] {
    const auto gathered = victim.source->gather(victim.writer->next_seq(), 100, 4096);
    if (!gathered) return victim.answer(Report::kWrong, gathered.error().message);
    if (synced_too_early) {
      shm::set_written(*victim.region, victim.writer->next_seq() + gathered->size());
      shm::set_synced(*victim.region, victim.writer->next_seq() + gathered->size());
    }
    std::vector<journal::RecordBytes> batch;
    for (const shm::Gathered& item : *gathered) batch.push_back({item.record});
    if (!victim.writer->write_batch(batch, 1)) return victim.answer(Report::kWrong, "write");
    shm::set_written(*victim.region, victim.writer->next_seq());
    if (!victim.writer->sync()) return victim.answer(Report::kWrong, "sync");
    shm::set_synced(*victim.region, victim.writer->synced_through());
    victim.answer(Report::kRight);
  };
}

std::vector<Operation> operations() {
  Operation short_append = append("short", kShort, {kShort});
  short_append.fresh = true;
  return {std::move(short_append),
          append("batch of 900 bytes", kBatch, {kShort}),
          append("first chunk of its own", kShort, {}),
          append("needs a new chunk", kBatch, {2000, 2000}),
          append("run of chunks", kRun, {kShort}),
          append_at_wrap(),
          append_with_sleepers(),
          append_when_full("ring", 16, kShort),
          append_when_full("pool", 8, kRun),
          read("in place", 200),
          read("in place, a run", kRun),
          map_and_validate(),
          take_seat(),
          detach(),
          hand_out_slot(),
          reap(),
          reclaim(),
          flush()};
}

}  // namespace oj::verify
