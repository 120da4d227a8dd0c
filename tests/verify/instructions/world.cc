// SPDX-License-Identifier: MIT
#include "tests/verify/instructions/world.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <new>

#include "daemon/flusher_orders.h"
#include "daemon/reaper.h"
#include "daemon/runtime_folder.h"
#include "journal/folder.h"
#include "schema/codec.h"
#include "shm/views.h"
#include "shm/wake.h"

namespace oj::verify {
namespace {

using shm::ChunkState;
using shm::Lap;

constexpr std::uint64_t kStampBytes = 24;

std::uint64_t word_at(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data() + offset, sizeof word);
  return word;
}

// The stamp, if the record is one of ours.
struct Stamp {
  std::uint64_t session = 0, op_no = 0;
};
std::optional<Stamp> stamp_of(std::span<const std::byte> record) {
  if (record.size() < kStampBytes || word_at(record, 16) != ~word_at(record, 0)) return {};
  return Stamp{word_at(record, 0), word_at(record, 8)};
}

std::string number(std::uint64_t value) { return std::to_string(value); }

void check_slots(const World& world) {
  const shm::RegionView view(*world.region());
  const std::uint64_t chunks = world.region()->sizes().chunk_count;
  for (std::uint32_t i = 0; i < world.region()->sizes().worker_slots; ++i) {
    const std::uint64_t word = view.slot(i).state.load(std::memory_order_acquire);
    require((word & 0xff) <= static_cast<std::uint8_t>(shm::SlotState::kReaping) &&
                word >> shm::kSlotIncarnationShift >= 1,
            "slot " + number(i) + " is in no legal state: " + number(word));
    for (const auto& hazard : view.slot(i).hazards) {
      const std::uint64_t pin = hazard.load(std::memory_order_acquire);
      const std::uint64_t count = pin >> shm::kHazardCountShift, first = (pin & 0xffffffff) - 1;
      require(pin == 0 || (count >= 1 && first < chunks && first + count <= chunks),
              "slot " + number(i) + " pins chunks that there are not");
    }
  }
}

void check_owner_words(const World& world) {
  const shm::RegionView view(*world.region());
  const auto pool = view.pool();
  for (std::uint64_t chunk = 0; chunk < pool.count(); ++chunk) {
    const std::uint64_t word = pool.owner(chunk);
    if (word == 0) continue;
    const ChunkState state = shm::chunk_state(word);
    const std::uint32_t slot = shm::owner_slot(word);
    const std::uint64_t life = word & shm::kOwnerIncarnationMask;
    const bool legal =
        (state == ChunkState::kOwned || state == ChunkState::kSealed) &&
        slot < world.region()->sizes().worker_slots && life >= 1 &&
        life <= view.slot(slot).state.load(std::memory_order_acquire) >> shm::kSlotIncarnationShift;
    require(legal, "chunk " + number(chunk) + " has an owner word that cannot be");
  }
}

}  // namespace

void require(bool holds, const std::string& what) {
  if (!holds) throw Violation(what);
}

std::string record_of(std::uint64_t session, std::uint64_t op_no, std::size_t bytes) {
  std::string record(std::max<std::size_t>(bytes, kStampBytes), '\0');
  std::uint64_t state = session << 32 ^ op_no;
  for (char& c : record) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  const std::uint64_t stamp[3] = {session, op_no, ~session};
  std::memcpy(record.data(), stamp, sizeof stamp);
  return record;
}

World::World(const shm::Sizes& sizes) {
  std::string name = "/dev/shm/oj-instructions-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder on /dev/shm");
  folder_ = name;
  std::filesystem::create_directory(runtime_folder());
  auto journal = journal::Folder::open(journal_folder(), journal::Folder::IfAbsent::kCreate);
  if (!journal) throw std::runtime_error(journal.error().message);
  auto boot = shm::this_boot_id();
  if (!boot) throw std::runtime_error(boot.error().message);
  shm::CreateOptions options = shm::options_of(sizes);
  options.identity = {*boot, journal->journal_id(), 1};
  auto region = shm::Region::create(runtime_folder() + "/" + daemon::region_file_name(1), options);
  if (!region) throw std::runtime_error(region.error().message);
  region_ = std::move(*region);
  auto seat = shm::Seat::take(region_, assign(kBystander));
  if (!seat) throw std::runtime_error(seat.error().message);
  seat_.emplace(std::move(*seat));
  void* shared =
      mmap(nullptr, sizeof(Report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::runtime_error("no memory for the report");
  report_ = new (shared) Report;
}

World::~World() {
  munmap(report_, sizeof(Report));
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

shm::SlotRef World::assign(std::uint64_t session) {
  shm::SlotTable slots(region_);
  const auto slot = slots.assign({session, 0, 0, 0, "session " + number(session)});
  require(slot.has_value(), "no free slot");
  return *slot;
}

void World::publish(std::size_t records, std::size_t bytes) {
  shm::Producer producer(region_, bystander());
  for (std::size_t i = 0; i < records; ++i) {
    const std::string record = record_of(kBystander, ++appended_[kBystander], bytes);
    const auto attempt = producer.try_append(shm::bytes_of(record));
    require(attempt.ok() && attempt->full == shm::Full::kNo, "no room to prepare with");
  }
}

void World::save(Image& image) const {
  image.assign(region_->base(), region_->base() + region_->sizes().region_bytes());
}
void World::restore(const Image& image) {
  std::memcpy(region_->base(), image.data(), image.size());
}

std::map<std::uint64_t, std::uint64_t> check_state(const World& world) {
  const shm::Region& region = *world.region();
  const std::uint64_t retained = shm::retained(region), synced = shm::synced(region),
                      written = shm::written(region), end = shm::published_end(region);
  require(retained <= synced && synced <= written && written <= end,
          "watermarks out of order: retained " + number(retained) + ", synced " + number(synced) +
              ", written " + number(written) + ", published " + number(end));
  check_slots(world);
  check_owner_words(world);
  const shm::RegionView view(region);
  const auto ring = view.ring();
  for (std::uint64_t seq = end; seq < end + ring.count(); ++seq) {
    require(ring.lap(ring.load(seq), seq) == Lap::kPrevious,
            "slot of record " + number(seq) + " is not as it was, above the published end " +
                number(end));
  }
  std::map<std::uint64_t, std::uint64_t> first;
  shm::Reader reader(world.region());
  const std::uint64_t in_ring = end > ring.count() ? end - ring.count() : 0;
  for (std::uint64_t seq = std::max(retained, in_ring); seq < end; ++seq) {
    const shm::Reader::Answer answer = reader.read(seq);
    require(answer.found == shm::Reader::Found::kRecord,
            "record " + number(seq) + " is visible and not whole: " + answer.why);
    const std::uint64_t chunk = shm::entry_place(view.pool(), ring.load(seq)).chunk;
    require(view.pool().owner(chunk) != 0, "record " + number(seq) + " lies in a free chunk");
    const auto stamp = stamp_of(answer.bytes);
    if (!stamp) continue;
    require(
        shm::text_of(answer.bytes) == record_of(stamp->session, stamp->op_no, answer.bytes.size()),
        "record " + number(seq) + " has other bytes than were appended");
    if (seq >= synced) first.emplace(stamp->session, stamp->op_no);
  }
  return first;
}

void go_on(World& world, shm::MemoryFlusher* flusher, std::size_t records, std::size_t bytes) {
  const std::uint64_t all = world.region()->sizes().chunk_count;
  shm::Producer producer(world.region(), world.bystander());
  shm::Reader reader(world.region(), world.bystander(), 0);
  for (std::size_t i = 0; i < records; ++i) {
    if (flusher != nullptr && i % 4 == 0) {
      reader.unpin();
      while (flusher->flush(all) != 0) {}
    }
    const std::string record = record_of(kBystander, ++world.appended(kBystander), bytes);
    const auto attempt = producer.try_append(shm::bytes_of(record));
    require(attempt.ok(), "the bystander cannot append: " +
                              (attempt.ok() ? std::string() : attempt.error().message));
    require(attempt->full == shm::Full::kNo,
            "the bystander finds no room: " + shm::describe_full(*world.region()));
    const shm::Reader::Answer answer = reader.read(attempt->seq);
    require(answer.found == shm::Reader::Found::kRecord && shm::text_of(answer.bytes) == record,
            "the bystander cannot read what it appended, record " + number(attempt->seq));
  }
  const shm::ProductionWatermarks& marks = shm::RegionView(*world.region()).marks();
  for (const auto* word : {&marks.published_wake, &marks.daemon_wake}) {
    require((word->load(std::memory_order_acquire) & shm::kArmed) == 0,
            "an append after it left sleepers asleep");
  }
}

bool tells_death(const std::string& record, std::uint64_t session) {
  schema::Decoder decoder;
  const auto decoded = decoder.decode(shm::bytes_of(record));
  if (!decoded || decoded->operations.size() != 1) return false;
  const auto* ended = std::get_if<schema::SessionEnded>(&decoded->operations[0]);
  return ended != nullptr && ended->session == session &&
         ended->reason == schema::SessionEnded::Reason::kDied;
}

void check_journal(World& world, const std::vector<std::string>& journal,
                   std::map<std::uint64_t, std::uint64_t> first, std::uint64_t published) {
  for (std::size_t i = 0; i < journal.size(); ++i) {
    const std::string& record = journal[i];
    const auto stamp = stamp_of(shm::bytes_of(record));
    if (!stamp) {
      require(tells_death(record, kVictim) || tells_death(record, kDead),
              "the journal holds what nobody appended: " + record.substr(0, 60));
      continue;
    }
    require(record == record_of(stamp->session, stamp->op_no, record.size()),
            "a record in the journal is torn");
    const auto next = first.emplace(stamp->session, stamp->op_no).first;
    require(next->second == stamp->op_no, "session " + number(stamp->session) + ": op " +
                                              number(stamp->op_no) + " in the journal where op " +
                                              number(next->second) + " belongs");
    ++next->second;
  }
  const std::uint64_t of_victim = world.report().appended.load(std::memory_order_acquire);
  const std::map<std::uint64_t, std::uint64_t> expected{{kBystander, world.appended(kBystander)},
                                                        {kVictim, of_victim + published},
                                                        {kDead, world.appended(kDead)}};
  for (const auto& [session, next] : first) {
    require(next - 1 == expected.at(session), "session " + number(session) + " has " +
                                                  number(next - 1) + " records in the journal, " +
                                                  number(expected.at(session)) + " appended");
  }
  require(published == 0 || first.count(kVictim) != 0, "the victim's record is lost");
}

void reap_and_drain(World& world, shm::MemoryFlusher& flusher) {
  const std::shared_ptr<shm::Region>& region = world.region();
  const std::uint64_t all = region->sizes().chunk_count;
  daemon::FlusherOrders orders(region);
  daemon::Reaper reaper(region, orders);
  while (flusher.flush(all) != 0) {}
  const auto seated = reaper.take_seat();
  require(seated.ok(), "the daemon finds no slot");
  for (std::uint32_t i = 0; i < reaper.slots().size(); ++i) {
    if (i == world.bystander().index || reaper.is_own(i)) continue;
    const auto seen = reaper.slots().snapshot(i);
    // All these processes have ended: the caller has waited for them.
    if (seen.state == shm::SlotState::kLive || seen.state == shm::SlotState::kAssigned) {
      reaper.proven_dead(seen.slot);
    } else {
      reaper.look_at(i);
    }
  }
  require(!reaper.pending(), "no room to tell of a death");
  orders.begin_taking();
  while (const auto slot = orders.take_ended()) {
    flusher.keeper().seal_chunks_of(*slot);
    reaper.slots().finish(*slot);
  }
  std::uint32_t own = 0;
  while (!reaper.is_own(own)) ++own;
  reaper.give_up_seat();
  while (flusher.flush(all) != 0) {}
  flusher.flush(all);
  require(flusher.keeper().chunks_in_use() == 0 && flusher.free_chunks() == all,
          number(flusher.keeper().chunks_in_use()) + " chunks never come back");
  for (std::uint32_t i = 0; i < reaper.slots().size(); ++i) {
    const auto state = reaper.slots().snapshot(i).state;
    require(state == shm::SlotState::kFree || i == own || i == world.bystander().index,
            "slot " + number(i) + " never comes back");
  }
  const shm::ProductionWatermarks& marks = shm::RegionView(*region).marks();
  require((marks.progress_wake.load(std::memory_order_acquire) & shm::kArmed) == 0,
          "those who wait for room were not woken");
}

}  // namespace oj::verify
