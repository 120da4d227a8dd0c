// SPDX-License-Identifier: MIT
#include "libclient/read_places.h"

namespace oj::client {

ReadPlaces::ReadPlaces(const journal::Folder& folder) {
  std::uint32_t hazard = 0;
  for (Place& place : places_) place.reader.emplace(folder, hazard++);
}

Result<Session::ReadResult> ReadPlaces::read(const CurrentAttachment& current, std::uint64_t number,
                                             std::uint64_t disk_end, std::uint64_t from,
                                             const Session::Take& take, std::uint64_t records_max) {
  Place* place = nullptr;
  std::unique_lock<std::mutex> lock;
  for (Place& candidate : places_) {
    lock = std::unique_lock(candidate.mutex, std::try_to_lock);
    place = &candidate;
    if (lock) break;
  }
  if (!lock) lock = std::unique_lock(place->mutex);
  if (place->number != current.number()) {
    place->attachment = current.get();
    place->number = place->attachment ? place->attachment->number : 0;
  }
  if (place->number != number || (number != 0 && current.given_up(number)))
    return Session::ReadResult{from, false};
  return place->reader->read(place->attachment, disk_end, from, take, records_max);
}

void ReadPlaces::drain() {
  for (Place& place : places_) const std::lock_guard lock(place.mutex);
}

void ReadPlaces::refresh(const Attachment* attachment) {
  for (Place& place : places_) {
    const std::lock_guard lock(place.mutex);
    if (place.attachment.get() == attachment) continue;
    place.reader->forget_other_than(attachment);
    place.attachment.reset();
    place.number = 0;
  }
}

}  // namespace oj::client
