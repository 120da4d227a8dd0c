// The readers of one process: as many as a slot has hazard words, less the one for comparing
// regions.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "libclient/record_reader.h"
#include "libclient/region_change.h"

namespace oj::client {

class ReadPlaces {
 public:
  explicit ReadPlaces(const journal::Folder& folder);

  // As RecordReader::read with whatever attachment is current once a place is free; {from, false}
  // if that is not the one of `number` or was given up. More threads than places take turns.
  Result<Session::ReadResult> read(const CurrentAttachment& current, std::uint64_t number,
                                   std::uint64_t disk_end, std::uint64_t from,
                                   const Session::Take& take, std::uint64_t records_max);
  // Until every read that had begun before the call has ended.
  void drain();
  // Gives up what the places hold of attachments other than `attachment`.
  void refresh(const Attachment* attachment);

 private:
  struct alignas(64) Place {
    std::mutex mutex;
    std::uint64_t number = 0;  // of `attachment`
    std::shared_ptr<Attachment> attachment;
    std::optional<RecordReader> reader;
  };
  std::array<Place, kComparingHazard> places_;
};

}  // namespace oj::client
