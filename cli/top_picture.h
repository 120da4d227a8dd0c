// What `optjournal top` shows, as data: made of the replayed state and the daemon's status, with
// rates over the last seconds. No terminal, no clock and no file in here.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libclient/gpu_loads.h"
#include "replay/state.h"
#include "schema/control.h"

namespace oj::cli {

// A GPU that a worker may use: `load` is empty but for who it is where NVML does not know it.
struct TopGpu {
  std::optional<std::size_t> index;  // as NVML numbers them, here
  client::GpuLoad load;
};

struct TopWorker {
  schema::SessionId session = 0;
  std::uint32_t pid = 0;
  std::string user, command, container;
  std::vector<TopGpu> gpus;
  std::optional<std::string> cuda_visible_devices;  // as the worker has it
  bool died = false;                                // it left orphans
  std::optional<std::string> study;                 // of its RUNNING trial; of several the newest
  std::optional<std::uint64_t> trial;               // its number
  std::int64_t trial_age_us = 0, age_us = 0;
  std::uint64_t records = 0;
  double records_per_s = 0;
};

struct TopStudy {
  schema::StudyId id = 0;
  std::string name;
  std::uint64_t count_by_state[5] = {};
  std::optional<double> best;
  std::optional<std::uint64_t> best_trial;
  double finished_per_min = 0;
};

struct TopPicture {
  std::int64_t time_us = 0;
  std::optional<schema::Status> daemon;  // none: no daemon, or it may not be asked
  std::string daemon_text;               // then: why
  // Not 0: the daemon is there and has not answered for so long. `daemon` is then what it last
  // said, if it ever did; the rest comes from the region.
  std::int64_t silent_us = 0;
  std::uint64_t synced = 0;  // records on stable storage, by the region or the disk
  double records_per_s = 0;
  std::uint64_t records = 0;                       // in the journal
  std::uint64_t sync_ns_p50 = 0, sync_ns_p99 = 0;  // of the last seconds; 0: no sync in them
  std::vector<TopWorker> workers;                  // by session
  std::vector<TopStudy> studies;                   // by id
};

// Remembers what rates are made of: what was seen in the last kRateUs, and one look before.
//
// A worker's GPUs are those that it said; where it could not ask NVML, those that its
// CUDA_VISIBLE_DEVICES means on this machine, if that can be told.
class TopHistory {
 public:
  static constexpr std::int64_t kRateUs = 10'000'000;

  TopPicture look(std::int64_t now_us, const std::optional<schema::Status>& daemon,
                  const replay::State& state, const std::vector<client::GpuLoad>& gpus = {});

 private:
  struct Seen {
    std::int64_t time_us = 0;
    std::uint64_t records = 0;
    std::uint32_t daemon_pid = 0;
    std::vector<std::uint64_t> sync_ns_buckets = {};
    std::map<schema::SessionId, std::uint64_t> records_by_session;
    std::map<schema::StudyId, std::uint64_t> finished_by_study;
  };
  std::deque<Seen> seen_;
};

enum class TopSort : std::uint8_t { kAge, kRate, kPid, kUser, kStudy };
const char* sort_name(TopSort sort);
// By `sort`, and only workers and studies whose names contain `filter`.
void arrange(TopPicture& picture, TopSort sort, const std::string& filter);

std::string json_of(const TopPicture& picture);

}  // namespace oj::cli
