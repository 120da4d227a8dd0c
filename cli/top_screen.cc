// SPDX-License-Identifier: MIT
#include "cli/top_screen.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/numbers.h"
#include "cli/text.h"

namespace oj::cli {
namespace {

// Left over two rows of daemon, keys, two headings and two counts, workers get two thirds.
constexpr std::size_t kFixedRows = 7;
constexpr std::size_t kColumnsMin = 80;  // narrower screens lose the last columns
constexpr std::size_t kStudyColumnsWithoutName = 63;

std::string cell(const std::string& text, std::size_t columns) {
  std::string fit = fitted(text, columns);
  fit.append(columns - std::min(columns, width(fit)), ' ');
  return fit + ' ';
}

std::string us_of(std::uint64_t ns) { return duration(static_cast<std::int64_t>(ns / 1000)); }

double percent(std::uint64_t used, std::uint64_t all) {
  return all == 0 ? 0 : 100.0 * static_cast<double>(used) / static_cast<double>(all);
}

std::string counts_text(const TopPicture& picture, std::uint64_t published, std::uint64_t synced) {
  return fmt::format("published {} ({:.0f}/s)  synced {}  lag {}", grouped(published),
                     picture.records_per_s, grouped(synced),
                     grouped(published - std::min(published, synced)));
}

void add_daemon(std::vector<TopLine>& lines, const TopPicture& picture) {
  if (picture.silent_us > 0) {
    const std::string pid = picture.daemon ? fmt::format(" {}", picture.daemon->daemon_pid) : "";
    lines.push_back({fmt::format("daemon{} has not answered for {}: it is stopped, or overloaded",
                                 pid, duration(picture.silent_us)),
                     Style::kRed});
    lines.push_back({counts_text(picture, picture.records, picture.synced)});
    return;
  }
  if (!picture.daemon) {
    lines.push_back({"daemon  " + shown(picture.daemon_text), Style::kRed});
    lines.push_back({fmt::format("{} records", grouped(picture.records))});
    return;
  }
  const schema::Status& said = *picture.daemon;
  const std::uint64_t lag = said.published - std::min(said.published, said.synced);
  if (said.degraded.empty()) {
    lines.push_back({fmt::format("daemon {}  {}", said.daemon_pid,
                                 counts_text(picture, said.published, said.synced)),
                     Style::kBold});
  } else {
    lines.push_back({"DEGRADED  " + shown(said.degraded), Style::kRed});
  }
  lines.push_back({fmt::format(
      "sync p50 {}  p99 {}  ring {:.1f} %  pool {:.1f} %  disk {}", us_of(picture.sync_ns_p50),
      us_of(picture.sync_ns_p99), percent(lag, said.ring_slots),
      percent(said.chunks_in_use, said.chunk_count), byte_amount(said.disk_bytes))});
}

// "0-3,6"
std::string ranges(std::vector<std::size_t> indexes) {
  std::sort(indexes.begin(), indexes.end());
  std::string text;
  for (std::size_t i = 0; i < indexes.size();) {
    std::size_t last = i;
    while (last + 1 < indexes.size() && indexes[last + 1] <= indexes[last] + 1) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", indexes[i]);
    if (indexes[last] != indexes[i]) text += fmt::format("-{}", indexes[last]);
    i = last + 1;
  }
  return text;
}

std::string gib(std::uint64_t bytes) {
  const double amount = static_cast<double>(bytes) / (1ULL << 30);
  return amount > 0 && amount < 9.95 ? fmt::format("{:.1f}", amount)
                                     : fmt::format("{:.0f}", amount);
}

// Which, how busy they are on average, and GiB in use, of how many where that has room:
// "0,1 41% 15/160G".
std::string gpu_text(const TopWorker& worker, std::size_t columns) {
  std::vector<std::size_t> indexes;
  std::uint64_t used = 0, bytes = 0;
  unsigned busy = 0, busy_count = 0;
  for (const TopGpu& gpu : worker.gpus) {
    if (!gpu.index) continue;
    indexes.push_back(*gpu.index);
    used += gpu.load.memory_used_bytes.value_or(0);
    bytes += gpu.load.memory_bytes.value_or(0);
    busy += gpu.load.busy_percent.value_or(0);
    busy_count += gpu.load.busy_percent ? 1 : 0;
  }
  if (!indexes.empty()) {
    std::string text = ranges(indexes);
    if (busy_count > 0) text += fmt::format(" {}%", (busy + busy_count / 2) / busy_count);
    if (bytes == 0) return text;
    const std::string whole = fmt::format("{} {}/{}G", text, gib(used), gib(bytes));
    return width(whole) <= columns ? whole : fmt::format("{} {}G", text, gib(used));
  }
  if (!worker.gpus.empty()) {
    const schema::GpuIdentity& gpu = worker.gpus.front().load.gpu;
    const std::string name = shown(gpu.name.empty() ? gpu.uuid : gpu.name);
    return worker.gpus.size() == 1 ? name : fmt::format("{} x {}", worker.gpus.size(), name);
  }
  if (worker.cuda_visible_devices && !worker.cuda_visible_devices->empty())
    return "CUDA " + shown(*worker.cuda_visible_devices);
  return "-";
}

std::string rate_text(double per_s) {
  return fmt::format("{:>7.{}f}", per_s, per_s < 1000 ? 1 : 0);
}

// What the columns of workers that hold names may take: at 80 columns these, and beyond that as
// much as their texts want, in turns.
struct WorkerColumns {
  std::size_t user = 8, gpu = 13, command = 9, study = 15;
};

WorkerColumns columns_for(const std::vector<TopWorker>& workers, std::size_t screen_columns) {
  WorkerColumns columns, wanted;
  for (const TopWorker& worker : workers) {
    wanted.user = std::max(wanted.user, width(shown(worker.user)));
    wanted.gpu = std::max(wanted.gpu, width(gpu_text(worker, SIZE_MAX)));
    wanted.command = std::max(wanted.command, width(shown(worker.command)));
    if (worker.study) wanted.study = std::max(wanted.study, width(shown(*worker.study)));
  }
  std::size_t extra = screen_columns > kColumnsMin ? screen_columns - kColumnsMin : 0;
  const auto widen = [&extra](std::size_t& column, std::size_t want) {
    if (extra == 0 || column >= want) return false;
    ++column;
    --extra;
    return true;
  };
  bool wider = true;
  while (wider) {
    wider = widen(columns.study, wanted.study);
    wider |= widen(columns.gpu, wanted.gpu);
    wider |= widen(columns.command, wanted.command);
    wider |= widen(columns.user, wanted.user);
  }
  return columns;
}

std::string worker_heading(const WorkerColumns& columns) {
  return cell("USER", columns.user) + "    PID " + cell("GPU", columns.gpu) +
         cell("COMMAND", columns.command) + cell("STUDY", columns.study) + cell("TRIAL", 8) +
         "   AGE " + "     /s";
}

std::string worker_line(const TopWorker& worker, const WorkerColumns& columns) {
  const std::string trial =
      worker.trial ? fmt::format("#{}", *worker.trial) : std::string(worker.died ? "died" : "-");
  return cell(shown(worker.user), columns.user) + fmt::format("{:>7} ", worker.pid) +
         cell(gpu_text(worker, columns.gpu), columns.gpu) +
         cell(shown(worker.command), columns.command) +
         cell(worker.study ? shown(*worker.study) : "-", columns.study) + cell(trial, 8) +
         fmt::format("{:>6} ", worker.trial ? short_duration(worker.trial_age_us) : "-") +
         rate_text(worker.records_per_s);
}

std::string study_line(const TopStudy& study, std::size_t name_columns) {
  const auto& count = study.count_by_state;
  return cell(shown(study.name), name_columns) +
         fmt::format("{:>8} {:>7} {:>7} {:>6} {:>7} ", count[1], count[2], count[3], count[0],
                     count[4]) +
         cell(study.best ? short_number(*study.best) : "-", 13) +
         fmt::format("{:>8.1f}", study.finished_per_min);
}

template <class Row, class Line>
void add_rows(std::vector<TopLine>& lines, const std::vector<Row>& rows, std::size_t room,
              const Line& line) {
  const std::size_t shown_rows = std::min(rows.size(), room);
  for (std::size_t i = 0; i < shown_rows; ++i) lines.push_back({line(rows[i])});
  if (shown_rows < rows.size())
    lines.push_back({fmt::format("... {} more", rows.size() - shown_rows)});
}

}  // namespace

std::vector<TopLine> lines_of(const TopPicture& picture, const TopView& view) {
  std::vector<TopLine> lines;
  add_daemon(lines, picture);
  lines.push_back(
      {view.typing
           ? "filter: " + shown(view.filter) + "_"
           : fmt::format("sorted by {}{}  (q quit, s sort, / filter, h help)", sort_name(view.sort),
                         view.filter.empty() ? "" : "  filter: " + shown(view.filter))});
  if (view.help) {
    for (const char* text :
         {"q  quit", "s  sort workers by age of trial, rate, pid, user, study",
          "/  show only workers and studies whose names contain what is typed; Esc: all",
          "h  this help, on and off",
          "Rates are of the last 10 s; /s: records a second; AGE is that of the trial.",
          "GPU: which, how busy, memory in use; CUDA: not known here, as the worker has it."})
      lines.push_back({text});
  } else {
    const std::size_t room = view.rows > kFixedRows ? view.rows - kFixedRows : 2;
    const std::size_t study_room =
        std::min(picture.studies.size(), std::max<std::size_t>(1, room / 3));
    const WorkerColumns columns = columns_for(picture.workers, view.columns);
    lines.push_back({worker_heading(columns), Style::kBold});
    add_rows(lines, picture.workers, room - std::min(room, study_room),
             [&columns](const TopWorker& worker) { return worker_line(worker, columns); });
    const std::size_t name_columns = std::max(kColumnsMin, view.columns) - kStudyColumnsWithoutName;
    lines.push_back({cell("STUDY", name_columns) + "COMPLETE  PRUNED    FAIL    RUN WAITING " +
                         cell("BEST", 13) + "    /min",
                     Style::kBold});
    add_rows(lines, picture.studies, view.rows == SIZE_MAX ? room : study_room,
             [name_columns](const TopStudy& study) { return study_line(study, name_columns); });
  }
  if (lines.size() > view.rows) lines.resize(view.rows);
  for (TopLine& line : lines) line.text = fitted(line.text, view.columns);
  return lines;
}

}  // namespace oj::cli
