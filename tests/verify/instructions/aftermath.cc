// SPDX-License-Identifier: MIT
#include "tests/verify/instructions/aftermath.h"

#include <algorithm>
#include <filesystem>

#include "daemon/recovery.h"
#include "journal/reader.h"

namespace oj::verify {
namespace {

// More than the ring has slots, three times, and the pool chunks.
constexpr std::size_t kRecords = 48, kRecordBytes = 1500;
constexpr std::size_t kSmallBytes = 100;

}  // namespace

Aftermath::Aftermath(World& world, const Operation& operation)
    : world_(world), operation_(operation), end_(shm::published_end(*world.region())) {}

bool Aftermath::visible() const {
  const std::uint64_t end = shm::published_end(*world_.region());
  require(end >= end_, "the published end went back");
  // A daemon that reaps publishes one record of its own.
  require(end - end_ <= (operation_.kind == Kind::kAppend || operation_.kind == Kind::kDaemon),
          "more was published than the operation has");
  return operation_.kind == Kind::kAppend && end > end_;
}

bool Aftermath::of_killed() const {
  const auto first = check_state(world_);
  const bool published = visible();
  if (is_daemon()) go_on(world_, nullptr, operation_.daemonless_records, kSmallBytes);
  if (operation_.kind == Kind::kFlush) {
    judge_disk();
  } else {
    shm::MemoryFlusher flusher(world_.region());
    go_on(world_, &flusher, kRecords, kRecordBytes);
    judge(first, &flusher, published);
  }
  return published;
}

std::unique_ptr<Aftermath::Stopped> Aftermath::of_stopped() const {
  auto stopped = std::make_unique<Stopped>();
  stopped->first = check_state(world_);
  stopped->visible = visible();
  if (is_daemon()) {
    go_on(world_, nullptr, operation_.daemonless_records, kSmallBytes);
    return stopped;
  }
  stopped->flusher = std::make_unique<shm::MemoryFlusher>(world_.region());
  const shm::SlotTable slots(world_.region());
  const auto seen = slots.snapshot(world_.victim().index);
  const auto lock_is_free = slots.lock_is_free(world_.victim().index);
  require(seen.state != shm::SlotState::kLive || (lock_is_free.ok() && !*lock_is_free),
          "a stopped worker's lock byte is free");
  if (operation_.reaps_the_stopped) reap_and_drain(world_, *stopped->flusher);
  go_on(world_, stopped->flusher.get(), kRecords, kRecordBytes);
  return stopped;
}

// The record that the victim says it published is where it says.
bool Aftermath::answered(const shm::MemoryFlusher* flusher) const {
  const Report& report = world_.report();
  const std::uint32_t answer = report.answer.load(std::memory_order_acquire);
  require(answer != Report::kNone && answer != Report::kWrong,
          std::string("the victim: ") + (answer == Report::kNone ? "no answer" : report.text));
  if (answer != Report::kPublished) return false;
  if (flusher == nullptr) return true;
  const std::uint64_t seq = report.seq.load(std::memory_order_relaxed);
  require(seq >= end_ && seq < flusher->next(), "the victim's record is not where it was told");
  const std::string& record = flusher->record(seq);
  require(record == record_of(kVictim, report.appended.load(std::memory_order_acquire) + 1,
                              record.size()),
          "another record is where the victim's was told to be");
  return true;
}

bool Aftermath::of_continued(Stopped& stopped) const {
  if (operation_.kind == Kind::kFlush) {
    answered(nullptr);
    judge_disk();
    return false;
  }
  if (!stopped.flusher) {
    stopped.first = check_state(world_);  // a daemon: what it synced is no longer the flusher's
    stopped.flusher = std::make_unique<shm::MemoryFlusher>(world_.region());
  }
  go_on(world_, stopped.flusher.get(), kRecords, kRecordBytes);
  while (stopped.flusher->flush(1) != 0) {}
  const bool published = answered(stopped.flusher.get());
  require(published || !stopped.visible, "the victim denies its published record");
  judge(stopped.first, stopped.flusher.get(), published);
  return published;
}

void Aftermath::of_finished() const {
  if (operation_.kind == Kind::kFlush) {
    answered(nullptr);
    return judge_disk();
  }
  Stopped finished;
  finished.first = check_state(world_);
  finished.flusher = std::make_unique<shm::MemoryFlusher>(world_.region());
  of_continued(finished);
}

void Aftermath::judge(const std::map<std::uint64_t, std::uint64_t>& first,
                      shm::MemoryFlusher* flusher, bool published) const {
  reap_and_drain(world_, *flusher);
  check_journal(world_, flusher->journal(), first, published ? 1 : 0);
  if (world_.appended(kDead) == 0) return;
  const auto& journal = flusher->journal();
  require(std::any_of(journal.begin(), journal.end(),
                      [](const std::string& record) { return tells_death(record, kVictim); }),
          "a death is never told");
}

// The next daemon, with its own code: recovery, then all that is not synced. On a copy of the
// folder, since the victim's is still in use.
void Aftermath::judge_disk() const {
  check_state(world_);
  const std::filesystem::path copy = world_.copied_folder();
  std::filesystem::remove_all(copy);
  std::filesystem::copy(world_.journal_folder(), copy, std::filesystem::copy_options::recursive);
  const auto folder = journal::Folder::open(copy, journal::Folder::IfAbsent::kRefuse);
  require(folder.ok(), "the folder cannot be opened");
  daemon::Options options;
  options.segment_bytes_min = options.segment_bytes_max = 64 * 1024;
  auto opened = daemon::open_journal(*folder, world_.runtime_folder(), {}, options);
  require(opened.ok(), opened.ok() ? "" : opened.error().message);
  require(opened->reattached, "the next daemon did not find the region");
  journal::Writer& writer = opened->writer;
  shm::FlushSource source(opened->region);
  while (writer.next_seq() < shm::published_end(*opened->region)) {
    const auto gathered = source.gather(writer.next_seq(), 100, 1 << 16);
    require(gathered.ok() && !gathered->empty(), "the next daemon cannot gather");
    std::vector<journal::RecordBytes> batch;
    for (const shm::Gathered& item : *gathered) {
      require(item.bad == nullptr, "the next daemon gathers what is not whole");
      batch.push_back({item.record});
    }
    require(writer.write_batch(batch, 1).ok(), "the next daemon cannot write");
    shm::set_written(*opened->region, writer.next_seq());
  }
  require(writer.sync().ok(), "the next daemon cannot sync");
  shm::set_synced(*opened->region, writer.synced_through());
  shm::ChunkKeeper keeper(opened->region, source);
  const std::uint64_t chunks = world_.region()->sizes().chunk_count;
  require(keeper.reclaim(chunks) == chunks, "not all chunks come back");

  journal::Reader reader(*folder, 0);
  std::vector<std::string> journal;
  while (reader.next_seq() < writer.synced_through()) {
    const auto record = reader.next(writer.synced_through());
    require(record.ok(), record.ok() ? "" : record.error().message);
    journal.push_back(shm::text_of(*record));
  }
  check_journal(world_, journal, {{kBystander, 1}}, 0);
}

}  // namespace oj::verify
