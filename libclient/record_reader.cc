// SPDX-License-Identifier: MIT
#include "libclient/record_reader.h"

#include <algorithm>
#include <string>

#include "shm/watermarks.h"

namespace oj::client {

void RecordReader::use(const std::shared_ptr<Attachment>& attachment) {
  if (attachment_ == attachment) return;
  ring_.reset();
  disk_.reset();  // another region may mean another end of the last segment
  attachment_ = attachment;
  if (!attachment_) return;
  if (attachment_->seat) {
    ring_.emplace(attachment_->region, attachment_->seat->slot(), hazard_index_);
  } else {
    ring_.emplace(attachment_->region);
  }
}

void RecordReader::forget_other_than(const Attachment* current) {
  if (attachment_ && attachment_.get() != current) use(nullptr);
}

shm::Reader::Found RecordReader::read_ring(Progress& progress, const Session::Take& take) {
  shm::Reader::Answer answer;
  while (progress.left > 0) {
    answer = ring_->read(progress.seq);
    const bool bad = answer.found == shm::Reader::Found::kBad;
    if (answer.found != shm::Reader::Found::kRecord && !bad) return answer.found;
    const std::uint64_t seq = progress.seq++;
    --progress.left;
    if (!take(seq, bad ? std::span<const std::byte>() : answer.bytes)) break;
  }
  progress.stopped = true;
  return answer.found;
}

Result<void> RecordReader::read_disk(Progress& progress, std::uint64_t end,
                                     const Session::Take& take) {
  if (!disk_ || disk_->next_seq() != progress.seq) disk_.emplace(folder_, progress.seq);
  while (progress.seq < end) {
    if (progress.left == 0) {
      progress.stopped = true;
      break;
    }
    Result<std::span<const std::byte>> record = disk_->next(end);
    if (!record) {
      Error error = record.error();
      disk_.reset();
      return error;
    }
    const std::uint64_t seq = progress.seq++;
    --progress.left;
    if (!take(seq, *record)) {
      progress.stopped = true;
      break;
    }
  }
  return {};
}

Result<Session::ReadResult> RecordReader::read(const std::shared_ptr<Attachment>& attachment,
                                               std::uint64_t disk_end, std::uint64_t from,
                                               const Session::Take& take,
                                               std::uint64_t records_max) {
  use(attachment);
  auto result = read_through(disk_end, from, take, records_max);
  if (!attachment_ || !attachment_->region->lost()) return result;
  return Error{Code::kGone, "the journal's shared memory " + attachment_->region->path() +
                                " was cut while it was being read, and what was handed out may be "
                                "of no record: begin again at 0"};
}

Result<Session::ReadResult> RecordReader::read_through(std::uint64_t disk_end, std::uint64_t from,
                                                       const Session::Take& take,
                                                       std::uint64_t records_max) {
  Progress progress{from, records_max};
  if (records_max == 0) return Session::ReadResult{from, false};
  if (!attachment_) {
    if (auto done = read_disk(progress, disk_end, take); !done) return done.error();
    return Session::ReadResult{progress.seq, progress.seq >= disk_end};
  }
  for (;;) {
    const shm::Reader::Found found = read_ring(progress, take);
    ring_->unpin();  // between calls no chunk is held up by us
    if (progress.stopped) return Session::ReadResult{progress.seq, false};
    if (found == shm::Reader::Found::kNotPublished) return Session::ReadResult{progress.seq, true};
    const std::uint64_t synced = shm::synced(*attachment_->region);
    if (progress.seq >= synced) {
      return Error{Code::kCorrupt,
                   attachment_->region->path() + ": record " + std::to_string(progress.seq) +
                       " is gone from the ring, but synced stands at " + std::to_string(synced)};
    }
    // As far as the ring has nothing; from there on it is the faster place.
    const std::uint64_t retained = shm::retained(*attachment_->region);
    const std::uint64_t end = std::clamp(retained, progress.seq + 1, synced);
    if (auto done = read_disk(progress, end, take); !done) return done.error();
    if (progress.stopped) return Session::ReadResult{progress.seq, false};
  }
}

}  // namespace oj::client
