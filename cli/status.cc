// `optjournal status`: who serves a journal, who is attached, and how full and how far everything
// is.
//
// SPDX-License-Identifier: MIT
#include <pwd.h>
#include <sys/stat.h>

#include <filesystem>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/numbers.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/storage.h"

namespace oj::cli {
namespace {

// The uid is the kernel's word; where it has no name here (a user namespace) the worker's own
// counts.
std::string user_of(const schema::WorkerStatus& worker) {
  const passwd* entry = getpwuid(worker.uid);
  if (entry != nullptr) return entry->pw_name;
  return worker.identity.user.empty() ? std::to_string(worker.uid) : worker.identity.user;
}

// "0: NVIDIA H200": what CUDA_VISIBLE_DEVICES says, and what that is.
std::string gpus_of(const schema::WorkerIdentity& identity) {
  std::string names;
  for (const schema::GpuIdentity& gpu : identity.gpus)
    names += (names.empty() ? "" : ", ") + (gpu.name.empty() ? gpu.uuid : gpu.name);
  if (!identity.cuda_visible_devices) return names;
  const std::string& visible = *identity.cuda_visible_devices;
  return (visible.empty() ? "none" : visible) + (names.empty() ? "" : ": " + names);
}

// A bucket's bound may lie above what was ever measured.
std::uint64_t quantile_shown_ns(const schema::Status& status, double quantile) {
  return std::min(schema::latency_quantile_ns(status.sync_counts, quantile), status.sync_ns_max);
}

double percent(std::uint64_t used, std::uint64_t all) {
  return all == 0 ? 0 : 100.0 * static_cast<double>(used) / static_cast<double>(all);
}

// "   3.1 %  [#···················]": the bar only on a terminal.
std::string use(const Output& out, std::uint64_t used, std::uint64_t all) {
  const double share = percent(used, all);
  std::string text = fmt::format("{:.1f} %", share);
  if (!out.terminal()) return text;
  constexpr std::size_t kBarColumns = 20;
  const auto filled =
      std::min(kBarColumns, static_cast<std::size_t>(share / 100 * kBarColumns + 0.5));
  const Style style = share > 90 ? Style::kRed : share > 60 ? Style::kYellow : Style::kGreen;
  std::string rest;
  for (std::size_t i = filled; i < kBarColumns; ++i) rest += "·";
  return fmt::format("{}  [{}{}]", text, out.styled(style, std::string(filled, '#')), rest);
}

class Lines {
 public:
  explicit Lines(const Output& out) : out_(out) {}
  void add(const char* name, const std::string& value) {
    text_ += out_.styled(Style::kBold, fmt::format("{:<11}", name)) + value + '\n';
  }
  const std::string& text() const { return text_; }

 private:
  const Output& out_;
  std::string text_;
};

Result<void> print_served(const schema::Status& status, Output& out) {
  const std::int64_t now = utc_us();
  const std::uint64_t unsynced =
      status.published > status.synced ? status.published - status.synced : 0;
  Lines lines(out);
  lines.add("journal", shown(status.folder));
  lines.add(
      "daemon",
      fmt::format("pid {}, version {}, {}, up {}", status.daemon_pid, shown(status.daemon_version),
                  status.embedded ? "embedded" : "service", duration(now - status.started_us)));
  if (!status.degraded.empty())
    lines.add("DEGRADED", out.styled(Style::kRed, shown(status.degraded)));
  lines.add("records",
            fmt::format("{} published, {} synced, {} not yet synced", grouped(status.published),
                        grouped(status.synced), grouped(unsynced)));
  lines.add("ring", fmt::format("{} slots, {}", grouped(status.ring_slots),
                                use(out, unsynced, status.ring_slots)));
  lines.add("pool", fmt::format("{} of {} chunks of {}, {}", grouped(status.chunks_in_use),
                                grouped(status.chunk_count), byte_amount(status.chunk_bytes),
                                use(out, status.chunks_in_use, status.chunk_count)));
  lines.add("memory", fmt::format("{} region, generation {}", byte_amount(status.region_bytes),
                                  status.generation));
  lines.add("disk", fmt::format("{} in {} segment{}", byte_amount(status.disk_bytes),
                                status.segments, status.segments == 1 ? "" : "s"));
  lines.add(
      "syncs",
      status.syncs == 0
          ? "none yet"
          : fmt::format("{}, last {}, p50 {}, p99 {}, longest {}", grouped(status.syncs),
                        duration(static_cast<std::int64_t>(status.sync_ns_last / 1000)),
                        duration(static_cast<std::int64_t>(quantile_shown_ns(status, 0.5) / 1000)),
                        duration(static_cast<std::int64_t>(quantile_shown_ns(status, 0.99) / 1000)),
                        duration(static_cast<std::int64_t>(status.sync_ns_max / 1000))));
  lines.add("workers", status.workers.empty() ? "none attached"
                                              : fmt::format("{} attached", status.workers.size()));
  if (auto done = out.write(lines.text()); !done || status.workers.empty()) return done;

  Table table;
  table.column("SLOT", Table::Align::kRight);
  table.column("PID", Table::Align::kRight);
  table.column("USER", Table::Align::kLeft);
  table.column("COMMAND", Table::Align::kLeft);
  // Columns that would be empty for everybody are left out.
  bool any_container = false, any_gpu = false;
  for (const schema::WorkerStatus& worker : status.workers) {
    any_container = any_container || !worker.identity.container.empty();
    any_gpu = any_gpu || !gpus_of(worker.identity).empty();
  }
  if (any_container) table.column("CONTAINER", Table::Align::kLeft);
  if (any_gpu) table.column("GPU", Table::Align::kLeft);
  table.column("SINCE", Table::Align::kLeft);
  table.column("RECORDS", Table::Align::kRight);
  table.column("CHUNKS", Table::Align::kRight);
  for (const schema::WorkerStatus& worker : status.workers) {
    std::vector<Table::Cell> row = {std::to_string(worker.slot), std::to_string(worker.pid),
                                    shown(user_of(worker)), shown_word(worker.command)};
    if (any_container) row.push_back(shown(worker.identity.container));
    if (any_gpu) row.push_back(shown(gpus_of(worker.identity)));
    row.insert(row.end(), {local_time(worker.started_us), grouped(worker.records),
                           std::to_string(worker.chunks)});
    table.row(std::move(row));
  }
  if (auto done = out.write("\n"); !done) return done;
  return table.print(out);
}

std::string json_of(const schema::Status& status) {
  Json json;
  json.object()
      .key("served")
      .boolean(true)
      .key("folder")
      .text(status.folder)
      .key("daemon")
      .object();
  json.key("pid").integer(status.daemon_pid).key("version").text(status.daemon_version);
  json.key("embedded")
      .boolean(status.embedded)
      .key("started")
      .text(iso_time_utc(status.started_us))
      .end_object();
  json.key("degraded");
  if (status.degraded.empty())
    json.null();
  else
    json.text(status.degraded);
  json.key("generation").integer(status.generation).key("published").integer(status.published);
  json.key("written").integer(status.written).key("synced").integer(status.synced);
  json.key("retained").integer(status.retained);
  json.key("lag_records")
      .integer(status.published > status.synced ? status.published - status.synced : 0);
  json.key("ring_slots").integer(status.ring_slots).key("chunk_bytes").integer(status.chunk_bytes);
  json.key("chunk_count")
      .integer(status.chunk_count)
      .key("chunks_in_use")
      .integer(status.chunks_in_use);
  json.key("region_bytes").integer(status.region_bytes).key("segments").integer(status.segments);
  json.key("disk_bytes").integer(status.disk_bytes).key("syncs").integer(status.syncs);
  json.key("sync_ns_last")
      .integer(status.sync_ns_last)
      .key("sync_ns_max")
      .integer(status.sync_ns_max)
      .key("sync_ns_total")
      .integer(status.sync_ns_total);
  for (const auto& [name, quantile] : {std::pair("sync_ns_p50", 0.5), {"sync_ns_p99", 0.99}})
    json.key(name).integer(quantile_shown_ns(status, quantile));
  json.key("workers").array();
  for (const schema::WorkerStatus& worker : status.workers) {
    json.object()
        .key("slot")
        .integer(worker.slot)
        .key("pid")
        .integer(worker.pid)
        .key("uid")
        .integer(worker.uid);
    json.key("user").text(user_of(worker)).key("session").integer(worker.session);
    json.key("command").text(worker.command).key("started").text(iso_time_utc(worker.started_us));
    const schema::WorkerIdentity& said = worker.identity;
    json.key("container");
    said.container.empty() ? json.null() : json.text(said.container);
    json.key("cuda_visible_devices");
    said.cuda_visible_devices ? json.text(*said.cuda_visible_devices) : json.null();
    json.key("gpus").array();
    for (const schema::GpuIdentity& gpu : said.gpus)
      json.object().key("uuid").text(gpu.uuid).key("name").text(gpu.name).end_object();
    json.end_array();
    json.key("records").integer(worker.records).key("chunks").integer(worker.chunks).end_object();
  }
  return json.end_array().end_object().take();
}

struct Disk {
  std::uint64_t segments = 0, bytes = 0;  // bytes: allocated
};

Disk disk_of(const std::string& folder) {
  Disk disk;
  std::error_code ignored;  // what cannot be listed any more is not counted
  for (const auto& entry : std::filesystem::directory_iterator(folder + "/segments", ignored)) {
    struct stat info {};
    if (entry.path().extension() != ".seg" || ::stat(entry.path().c_str(), &info) != 0) continue;
    ++disk.segments;
    disk.bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return disk;
}

Result<void> print_offline(const StatusOptions& options, Output& out) {
  auto location = client::parse_location(options.location);
  if (!location) return location.error();
  client::OpenOptions open;
  open.mode = client::OpenOptions::Mode::kOffline;
  auto storage = client::Storage::open(options.location, open);
  if (!storage) return storage.error();
  std::uint64_t records = 0, studies = 0, trials = 0, damaged = 0;
  auto read = (*storage)->read([&](const replay::State& state) {
    records = state.next_seq();
    studies = state.studies().size();
    for (const auto& [id, study] : state.studies()) trials += study.trials.size();
    damaged = state.tombstone_count();
  });
  if (!read) return read;
  const Disk disk = disk_of(location->folder);
  if (options.json) {
    Json json;
    json.object()
        .key("served")
        .boolean(false)
        .key("folder")
        .text(location->folder)
        .key("records")
        .integer(records);
    json.key("studies")
        .integer(studies)
        .key("trials")
        .integer(trials)
        .key("damaged_records")
        .integer(damaged);
    json.key("segments").integer(disk.segments).key("disk_bytes").integer(disk.bytes);
    return out.write(json.end_object().take() + '\n');
  }
  Lines lines(out);
  lines.add("journal", shown(location->folder));
  lines.add("daemon",
            fmt::format("no daemon serves {}; this is what is on disk", shown(options.location)));
  lines.add("records", grouped(records));
  lines.add("holds",
            fmt::format("{} stud{}, {} trial{}", grouped(studies), studies == 1 ? "y" : "ies",
                        grouped(trials), trials == 1 ? "" : "s"));
  if (damaged > 0)
    lines.add("damaged",
              fmt::format("{} record{}, skipped", grouped(damaged), damaged == 1 ? "" : "s"));
  lines.add("disk", fmt::format("{} in {} segment{}", byte_amount(disk.bytes), disk.segments,
                                disk.segments == 1 ? "" : "s"));
  return out.write(lines.text());
}

}  // namespace

Result<void> status(const StatusOptions& options, Output& out) {
  auto served = client::daemon_status(options.location);
  if (!served && served.error().code == Code::kGone) return print_offline(options, out);
  if (!served) return served.error();
  return options.json ? out.write(json_of(*served) + '\n') : print_served(*served, out);
}

}  // namespace oj::cli
