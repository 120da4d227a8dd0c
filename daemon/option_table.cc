// SPDX-License-Identifier: MIT
#include "daemon/option_table.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "daemon/metrics_address.h"
#include "schema/orphan_policy.h"

namespace oj::daemon {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB;
constexpr std::uint64_t kDayMs = 24 * 3600 * 1000, kOrphanGraceMsMax = 7 * kDayMs;

struct Range {
  std::uint64_t low, high;
  std::string unit;  // "bytes" may be given with K, M or G
  bool is_bytes() const { return unit == "bytes"; }
};

std::string written(std::uint64_t value, const Range& range) {
  if (!range.is_bytes()) return std::to_string(value);
  if (value >= kGiB && value % kGiB == 0) return std::to_string(value / kGiB) + "G";
  if (value >= kMiB && value % kMiB == 0) return std::to_string(value / kMiB) + "M";
  if (value >= kKiB && value % kKiB == 0) return std::to_string(value / kKiB) + "K";
  return std::to_string(value);
}

std::string wanted_of(const Range& range) {
  return written(range.low, range) + " .. " + written(range.high, range) + " " + range.unit;
}

// The complaint about `text`, or nothing and the value in `out`.
std::string parse_in(const Range& range, const std::string& wanted, const std::string& text,
                     std::uint64_t& out) {
  Result<std::uint64_t> value = parse_bytes(text);
  if (!value || (!range.is_bytes() && std::isdigit(static_cast<unsigned char>(text.back())) == 0)) {
    return "'" + text + "' is not a number" + (range.is_bytes() ? " with K, M or G" : "") +
           ": give " + wanted;
  }
  if (*value < range.low || *value > range.high) return text + " is out of range: give " + wanted;
  out = *value;
  return {};
}

std::string places_of(const Range& range) {
  std::string places = range.unit;
  std::transform(places.begin(), places.end(), places.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return places;
}

// A whole number with a range; `T` is a member's type.
template <typename T>
OptionEntry number(std::string name, T Options::*member, Range range, std::string help) {
  const std::string wanted = wanted_of(range);
  return {std::move(name),
          places_of(range),
          std::move(help),
          wanted,
          false,
          [member, range, wanted](const std::string& text, Options& options) {
            std::uint64_t value = 0;
            std::string complaint = parse_in(range, wanted, text, value);
            if (complaint.empty()) options.*member = static_cast<T>(value);
            return complaint;
          },
          [member, range](const Options& options) {
            return written(static_cast<std::uint64_t>(options.*member), range);
          }};
}

// A number that may be unset; then `word` stands for it.
OptionEntry number_or(std::string name, std::optional<std::int64_t> Options::*member,
                      std::string word, Range range, std::string help) {
  const std::string wanted = wanted_of(range) + ", or " + word;
  return {std::move(name),
          places_of(range),
          std::move(help),
          wanted,
          false,
          [member, range, word, wanted](const std::string& text, Options& options) {
            if (text == word) {
              options.*member = std::nullopt;
              return std::string();
            }
            std::uint64_t value = 0;
            std::string complaint = parse_in(range, wanted, text, value);
            if (complaint.empty()) options.*member = static_cast<std::int64_t>(value);
            return complaint;
          },
          [member, word](const Options& options) {
            return options.*member ? std::to_string(*(options.*member)) : word;
          }};
}

// A number of which 0 means that it is chosen; `word` stands for that.
OptionEntry chosen_number(std::string name, std::uint64_t Options::*member, std::string word,
                          Range range, std::string help) {
  OptionEntry entry = number(std::move(name), member, range, std::move(help));
  entry.wanted += ", or " + word;
  entry.set = [member, range, word, wanted = entry.wanted](const std::string& text,
                                                           Options& options) {
    if (text == word) {
      options.*member = 0;
      return std::string();
    }
    return parse_in(range, wanted, text, options.*member);
  };
  entry.shown = [member, range, word](const Options& options) {
    return options.*member == 0 ? word : written(options.*member, range);
  };
  return entry;
}

OptionEntry one_of(std::string name, std::string Options::*member, std::string places,
                   std::vector<std::string> words, std::string help) {
  std::string wanted;
  for (const std::string& word : words) {
    if (!wanted.empty()) wanted += word == words.back() ? " or " : ", ";
    wanted += word;
  }
  return {std::move(name),
          std::move(places),
          std::move(help),
          wanted,
          true,
          [member, words, wanted](const std::string& text, Options& options) -> std::string {
            if (std::find(words.begin(), words.end(), text) == words.end())
              return "'" + text + "' is none of them: give " + wanted;
            options.*member = text;
            return {};
          },
          [member](const Options& options) { return options.*member; }};
}

OptionEntry any_text(std::string name, std::string Options::*member, std::string places,
                     std::string help) {
  return {std::move(name),
          std::move(places),
          std::move(help),
          "",
          true,
          [member](const std::string& text, Options& options) -> std::string {
            if (text.find('\0') != std::string::npos) return "contains a NUL byte";
            options.*member = text;
            return {};
          },
          [member](const Options& options) { return options.*member; }};
}

OptionEntry orphan_policy(std::string name, schema::OrphanPolicy Options::*member,
                          std::string help) {
  return {std::move(name),
          "POLICY",
          std::move(help),
          "keep, fail, retry:N or optuna",
          true,
          [member](const std::string& text, Options& options) -> std::string {
            const auto policy = schema::parse_orphan_policy(text);
            if (!policy) return policy.error().message;
            options.*member = *policy;
            return {};
          },
          [member](const Options& options) { return schema::text_of(options.*member); }};
}

OptionEntry metrics_address(std::string name, std::string Options::*member, std::string help) {
  return {std::move(name),
          "[ADDRESS:]PORT",
          std::move(help),
          "[ADDRESS:]PORT, or off",
          true,
          [member](const std::string& text, Options& options) -> std::string {
            if (text == "off") {
              options.*member = "";
              return {};
            }
            const Result<std::string> address = parse_metrics_address(text);
            if (!address) return address.error().message;
            options.*member = *address;
            return {};
          },
          [member](const Options& options) {
            return (options.*member).empty() ? "off" : options.*member;
          }};
}

}  // namespace

const std::vector<OptionEntry>& option_table() {
  static const std::vector<OptionEntry> table = {
      any_text("folder", &Options::folder, "", "the journal's folder"),
      any_text("runtime-folder", &Options::runtime_folder, "PATH",
               "where socket and region lie: a folder on a tmpfs; if not given, in the user's "
               "runtime folder, else under /dev/shm"),
      chosen_number("pool", &Options::pool_bytes, "auto", {256 * kKiB, 16 * kGiB, "bytes"},
                    "shared memory for records; auto: 128M, or what a third of the free tmpfs "
                    "allows"),
      number("segment-min", &Options::segment_bytes_min, {64 * kKiB, kGiB, "bytes"},
             "size of the first segment file"),
      number("segment-max", &Options::segment_bytes_max, {64 * kKiB, 4 * kGiB, "bytes"},
             "size up to which segment files grow"),
      number("sync-window-ms", &Options::sync_window_ms,
             {0, static_cast<std::uint64_t>(kSyncWindowMsMax), "ms"},
             "how long a record may wait for others to be synced with; a worker that waits for the "
             "disk ends the wait"),
      number_or("idle-exit", &Options::idle_exit_ms, "never", {0, kDayMs, "ms"},
                "end this long after the last client has gone; with --embedded 2000, unless given"),
      orphan_policy("orphans", &Options::orphans,
                    "what becomes of RUNNING trials of workers that died: keep; fail; retry:N also "
                    "enqueues a copy, at most N times in a row; a study or a worker may say "
                    "otherwise"),
      number("orphan-grace-ms", &Options::orphan_grace_ms, {0, kOrphanGraceMsMax, "ms"},
             "how long after a worker's death its trials are seen to"),
      metrics_address("metrics", &Options::metrics,
                      "serve Prometheus metrics at http://ADDRESS:PORT/metrics; ADDRESS: 127.0.0.1 "
                      "if not given"),
      one_of("log-level", &Options::level, "LEVEL", {"debug", "info", "warning", "error"},
             "what is told"),
  };
  return table;
}

const OptionEntry* find_option(const std::string& name) {
  for (const OptionEntry& entry : option_table()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

Result<std::uint64_t> parse_bytes(const std::string& text) {
  const Error wrong{Code::kInvalid, "'" + text + "' is not a number with K, M or G"};
  std::size_t at = 0;
  std::uint64_t value = 0;
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    const auto digit = static_cast<std::uint64_t>(text[at] - '0');
    if (value > (kMax - digit) / 10) return wrong;
    value = value * 10 + digit;
  }
  if (at == 0) return wrong;
  if (at == text.size()) return value;
  std::uint64_t unit = 0;
  switch (std::toupper(static_cast<unsigned char>(text[at]))) {
    case 'K': unit = kKiB; break;
    case 'M': unit = kMiB; break;
    case 'G': unit = kGiB; break;
    default: return wrong;
  }
  const std::string rest = text.substr(at + 1);
  if (!rest.empty() && rest != "B" && rest != "iB") return wrong;
  if (value > kMax / unit) return wrong;
  return value * unit;
}

}  // namespace oj::daemon
