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

std::string cell(const std::string& text, std::size_t columns) {
  std::string fit = fitted(text, columns);
  fit.append(columns - std::min(columns, width(fit)), ' ');
  return fit + ' ';
}

std::string us_of(std::uint64_t ns) { return duration(static_cast<std::int64_t>(ns / 1000)); }

double percent(std::uint64_t used, std::uint64_t all) {
  return all == 0 ? 0 : 100.0 * static_cast<double>(used) / static_cast<double>(all);
}

void add_daemon(std::vector<TopLine>& lines, const TopPicture& picture) {
  if (!picture.daemon) {
    lines.push_back({"daemon  " + shown(picture.daemon_text), Style::kRed});
    lines.push_back({fmt::format("{} records", grouped(picture.records))});
    return;
  }
  const schema::Status& said = *picture.daemon;
  const std::uint64_t lag = said.published - std::min(said.published, said.synced);
  if (said.degraded.empty()) {
    lines.push_back(
        {fmt::format("daemon {}  published {}  {:.0f}/s  lag {}  sync p50 {} p99 {}",
                     said.daemon_pid, grouped(said.published), picture.records_per_s, grouped(lag),
                     us_of(picture.sync_ns_p50), us_of(picture.sync_ns_p99)),
         Style::kBold});
  } else {
    lines.push_back({"DEGRADED  " + shown(said.degraded), Style::kRed});
  }
  lines.push_back(
      {fmt::format("ring {:.1f} %  pool {:.1f} %  disk {}  synced {}",
                   percent(lag, said.ring_slots), percent(said.chunks_in_use, said.chunk_count),
                   byte_amount(said.disk_bytes), grouped(said.synced))});
}

std::string worker_line(const TopWorker& worker, std::size_t extra) {
  const std::string trial =
      worker.trial ? fmt::format("#{}", *worker.trial) : std::string(worker.died ? "died" : "-");
  return cell(shown(worker.user), 8) + fmt::format("{:>7} ", worker.pid) +
         cell(shown(worker.command), 14 + extra / 2) +
         cell(worker.study ? shown(*worker.study) : "-", 16 + extra / 2) + cell(trial, 8) +
         cell(worker.trial ? duration(worker.trial_age_us) : "-", 12) +
         fmt::format("{:>8.1f}", worker.records_per_s);
}

std::string study_line(const TopStudy& study, std::size_t extra) {
  const auto& count = study.count_by_state;
  return cell(shown(study.name), 16 + extra) +
         fmt::format("{:>7} {:>7} {:>7} {:>6} {:>7} ", count[1], count[2], count[3], count[0],
                     count[4]) +
         cell(study.best ? short_number(*study.best) : "-", 10) +
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
  const std::size_t extra = view.columns > 80 ? std::min<std::size_t>(view.columns - 80, 60) : 0;
  if (view.help) {
    for (const char* text :
         {"q  quit", "s  sort workers by age of trial, rate, pid, user, study",
          "/  show only workers and studies whose names contain what is typed; Esc: all",
          "h  this help, on and off", "Rates are of the last 10 s; /s: records a second."})
      lines.push_back({text});
  } else {
    const std::size_t room = view.rows > kFixedRows ? view.rows - kFixedRows : 2;
    const std::size_t study_room =
        std::min(picture.studies.size(), std::max<std::size_t>(1, room / 3));
    lines.push_back({cell("USER", 8) + "    PID " + cell("COMMAND", 14 + extra / 2) +
                         cell("STUDY", 16 + extra / 2) + cell("TRIAL", 8) + cell("AGE", 12) +
                         "      /s",
                     Style::kBold});
    add_rows(lines, picture.workers, room - std::min(room, study_room),
             [extra](const TopWorker& worker) { return worker_line(worker, extra); });
    lines.push_back({cell("STUDY", 16 + extra) + "COMPLETE PRUNED    FAIL    RUN WAITING " +
                         cell("BEST", 10) + "    /min",
                     Style::kBold});
    add_rows(lines, picture.studies, view.rows == SIZE_MAX ? room : study_room,
             [extra](const TopStudy& study) { return study_line(study, extra); });
  }
  if (lines.size() > view.rows) lines.resize(view.rows);
  for (TopLine& line : lines) line.text = fitted(line.text, view.columns);
  return lines;
}

}  // namespace oj::cli
