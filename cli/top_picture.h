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

#include "replay/state.h"
#include "schema/control.h"

namespace oj::cli {

struct TopWorker {
  schema::SessionId session = 0;
  std::uint32_t pid = 0;
  std::string user, command, container;
  std::vector<std::string> gpu_uuids;
  bool died = false;                   // it left orphans
  std::optional<std::string> study;    // of its RUNNING trial; of several the newest
  std::optional<std::uint64_t> trial;  // its number
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
  double records_per_s = 0;
  std::uint64_t records = 0;                       // in the journal
  std::uint64_t sync_ns_p50 = 0, sync_ns_p99 = 0;  // of the last seconds; 0: no sync in them
  std::vector<TopWorker> workers;                  // by session
  std::vector<TopStudy> studies;                   // by id
};

// Remembers what rates are made of: what was seen in the last kRateUs, and one look before.
class TopHistory {
 public:
  static constexpr std::int64_t kRateUs = 10'000'000;

  TopPicture look(std::int64_t now_us, const std::optional<schema::Status>& daemon,
                  const replay::State& state);

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
