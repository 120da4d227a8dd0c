// SPDX-License-Identifier: MIT
#include "cli/top_picture.h"

#include <algorithm>
#include <tuple>

#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/values.h"
#include "libclient/gpus.h"
#include "schema/latency.h"

namespace oj::cli {
namespace {

// Counts start again where a region was replaced: then there is no rate.
double per_us(std::uint64_t now, std::uint64_t before, std::int64_t us) {
  return us <= 0 || now < before ? 0 : static_cast<double>(now - before) / static_cast<double>(us);
}

template <class Map>
std::uint64_t count_in(const Map& map, typename Map::key_type key, std::uint64_t otherwise) {
  const auto found = map.find(key);
  return found == map.end() ? otherwise : found->second;
}

std::vector<TopGpu> gpus_of(const replay::SessionInfo& session,
                            const std::vector<client::GpuLoad>& machine) {
  client::Gpus used;
  for (const replay::Gpu& gpu : session.gpus) used.push_back({gpu.uuid, gpu.name});
  const std::optional<std::string>& visible = session.cuda_visible_devices;
  // A container's numbers are its own; a UUID means the same everywhere.
  if (used.empty() && visible && (session.container.empty() || visible->starts_with("GPU-"))) {
    client::Gpus all;
    for (const client::GpuLoad& load : machine) all.push_back(load.gpu);
    used = client::visible_gpus(all, visible, false);
  }
  std::vector<TopGpu> gpus;
  for (const schema::GpuIdentity& gpu : used) {
    TopGpu& found = gpus.emplace_back();
    found.load.gpu = gpu;
    for (std::size_t i = 0; i < machine.size(); ++i) {
      if (!gpu.uuid.empty() && machine[i].gpu.uuid == gpu.uuid) found = {i, machine[i]};
    }
  }
  return gpus;
}

TopWorker worker_of(const replay::SessionInfo& session, std::int64_t now_us,
                    const replay::State& state, const std::vector<client::GpuLoad>& machine) {
  TopWorker worker;
  worker.session = session.id;
  worker.pid = session.pid;
  worker.user = session.user.empty() ? std::to_string(session.uid) : session.user;
  worker.command = session.command;
  worker.container = session.container;
  worker.gpus = gpus_of(session, machine);
  worker.cuda_visible_devices = session.cuda_visible_devices;
  worker.died = session.died;
  worker.age_us = now_us - session.started_us;
  worker.records = session.last_op_no;
  if (session.running.empty()) return worker;
  const replay::Trial* trial = state.trial(*session.running.rbegin());
  if (trial == nullptr) return worker;
  worker.trial = trial->number;
  worker.trial_age_us = now_us - trial->start_us.value_or(now_us);
  if (const replay::Study* study = state.study(trial->study)) worker.study = study->name;
  return worker;
}

TopStudy study_of(const replay::Study& study) {
  TopStudy row;
  row.id = study.id;
  row.name = study.name;
  std::copy(std::begin(study.count_by_state), std::end(study.count_by_state), row.count_by_state);
  if (study.best != nullptr && study.best->values && !study.best->values->empty()) {
    row.best = study.best->values->front();
    row.best_trial = study.best->number;
  }
  return row;
}

}  // namespace

TopPicture TopHistory::look(std::int64_t now_us, const std::optional<schema::Status>& daemon,
                            const replay::State& state, const std::vector<client::GpuLoad>& gpus) {
  while (seen_.size() > 1 && now_us - seen_[1].time_us >= kRateUs) seen_.pop_front();
  TopPicture picture;
  Seen now;
  now.time_us = picture.time_us = now_us;
  now.records = picture.records = state.next_seq();
  picture.daemon = daemon;
  if (daemon) {
    now.daemon_pid = daemon->daemon_pid;
    now.sync_ns_buckets = daemon->sync_ns_buckets;
  }
  const Seen* before = seen_.empty() ? nullptr : &seen_.front();
  const std::int64_t us = before == nullptr ? 0 : now_us - before->time_us;
  if (before != nullptr) picture.records_per_s = 1e6 * per_us(now.records, before->records, us);
  if (daemon) {
    std::vector<std::uint64_t> counts = now.sync_ns_buckets;
    if (before != nullptr && before->daemon_pid == now.daemon_pid) {
      for (std::size_t i = 0; i < std::min(counts.size(), before->sync_ns_buckets.size()); ++i)
        counts[i] -= std::min(counts[i], before->sync_ns_buckets[i]);
    }
    picture.sync_ns_p50 = std::min(schema::latency_percentile_ns(counts, 0.5), daemon->sync_ns_max);
    picture.sync_ns_p99 =
        std::min(schema::latency_percentile_ns(counts, 0.99), daemon->sync_ns_max);
  }
  for (const auto& [id, session] : state.sessions()) {
    now.records_by_session[id] = session.last_op_no;
    TopWorker& worker = picture.workers.emplace_back(worker_of(session, now_us, state, gpus));
    if (before != nullptr) {
      worker.records_per_s =
          1e6 * per_us(worker.records, count_in(before->records_by_session, id, 0), us);
    }
  }
  for (const auto& [id, study] : state.studies()) {
    now.finished_by_study[id] = study.finished_count();
    TopStudy& row = picture.studies.emplace_back(study_of(study));
    if (before != nullptr) {
      row.finished_per_min =
          60e6 * per_us(study.finished_count(), count_in(before->finished_by_study, id, 0), us);
    }
  }
  seen_.push_back(std::move(now));
  return picture;
}

const char* sort_name(TopSort sort) {
  switch (sort) {
    case TopSort::kAge: return "age";
    case TopSort::kRate: return "rate";
    case TopSort::kPid: return "pid";
    case TopSort::kUser: return "user";
    case TopSort::kStudy: return "study";
  }
  return "?";
}

void arrange(TopPicture& picture, TopSort sort, const std::string& filter) {
  const auto has = [&](const std::string& text) { return text.find(filter) != text.npos; };
  if (!filter.empty()) {
    std::erase_if(picture.workers, [&](const TopWorker& w) {
      return !has(w.user) && !has(w.command) && !has(std::to_string(w.pid)) &&
             !(w.study && has(*w.study));
    });
    std::erase_if(picture.studies, [&](const TopStudy& s) { return !has(s.name); });
  }
  std::stable_sort(picture.workers.begin(), picture.workers.end(),
                   [sort](const TopWorker& a, const TopWorker& b) {
                     switch (sort) {
                       case TopSort::kAge: return a.trial_age_us > b.trial_age_us;
                       case TopSort::kRate: return a.records_per_s > b.records_per_s;
                       case TopSort::kPid: return a.pid < b.pid;
                       case TopSort::kUser: return a.user < b.user;
                       case TopSort::kStudy:
                         return std::tie(a.study, a.trial) < std::tie(b.study, b.trial);
                     }
                     return false;
                   });
  std::stable_sort(
      picture.studies.begin(), picture.studies.end(),
      [](const TopStudy& a, const TopStudy& b) { return a.finished_per_min > b.finished_per_min; });
}

namespace {

void add_gpus(Json& json, const TopWorker& worker) {
  const auto integer = [&json](const char* key, const auto& value) {
    json.key(key);
    value ? json.integer(*value) : json.null();
  };
  json.key("gpus").array();
  for (const TopGpu& gpu : worker.gpus) {
    json.object().key("uuid").text(gpu.load.gpu.uuid).key("name").text(gpu.load.gpu.name);
    integer("index", gpu.index);
    integer("busy_percent", gpu.load.busy_percent);
    integer("memory_used_bytes", gpu.load.memory_used_bytes);
    integer("memory_bytes", gpu.load.memory_bytes);
    json.end_object();
  }
  json.end_array().key("cuda_visible_devices");
  worker.cuda_visible_devices ? json.text(*worker.cuda_visible_devices) : json.null();
}

}  // namespace

std::string json_of(const TopPicture& picture) {
  Json json;
  json.object().key("time").text(iso_time_utc(picture.time_us));
  json.key("records").integer(picture.records);
  json.key("records_per_s").number(picture.records_per_s);
  json.key("synced").integer(picture.synced).key("silent_us").integer(picture.silent_us);
  json.key("daemon");
  if (picture.daemon) {
    const schema::Status& said = *picture.daemon;
    json.object().key("pid").integer(said.daemon_pid).key("published").integer(said.published);
    json.key("synced").integer(said.synced).key("lag_records");
    json.integer(said.published - std::min(said.published, said.synced));
    json.key("sync_ns_p50").integer(picture.sync_ns_p50);
    json.key("sync_ns_p99").integer(picture.sync_ns_p99);
    json.key("ring_slots").integer(said.ring_slots);
    json.key("chunk_count").integer(said.chunk_count);
    json.key("chunks_in_use").integer(said.chunks_in_use);
    json.key("disk_bytes").integer(said.disk_bytes).key("degraded");
    said.degraded.empty() ? json.null() : json.text(said.degraded);
    json.end_object();
  } else {
    json.null().key("daemon_text").text(picture.daemon_text);
  }
  json.key("workers").array();
  for (const TopWorker& worker : picture.workers) {
    json.object().key("session").integer(worker.session).key("pid").integer(worker.pid);
    json.key("user").text(worker.user).key("command").text(worker.command);
    json.key("died").boolean(worker.died);
    add_gpus(json, worker);
    json.key("study");
    worker.study ? json.text(*worker.study) : json.null();
    json.key("trial");
    worker.trial ? json.integer(*worker.trial) : json.null();
    json.key("trial_age_us").integer(worker.trial_age_us).key("age_us").integer(worker.age_us);
    json.key("records").integer(worker.records);
    json.key("records_per_s").number(worker.records_per_s).end_object();
  }
  json.end_array().key("studies").array();
  for (const TopStudy& study : picture.studies) {
    json.object().key("id").integer(study.id).key("name").text(study.name).key("states").object();
    for (std::size_t i = 0; i < 5; ++i)
      json.key(state_name(static_cast<schema::TrialState>(i))).integer(study.count_by_state[i]);
    json.end_object().key("best");
    study.best ? json.number(*study.best) : json.null();
    json.key("best_trial");
    study.best_trial ? json.integer(*study.best_trial) : json.null();
    json.key("finished_per_min").number(study.finished_per_min).end_object();
  }
  return json.end_array().end_object().take();
}

}  // namespace oj::cli
