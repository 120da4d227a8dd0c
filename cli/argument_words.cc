// SPDX-License-Identifier: MIT
#include "cli/argument_words.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <strings.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/spelling.h"
#include "cli/text.h"
#include "cli/values.h"

namespace oj::cli {
namespace {

constexpr std::int64_t kUsPerS = 1'000'000;

// Takes its pieces off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}
  bool end() const { return rest_.empty(); }
  bool literal(std::string_view one_of) {
    if (rest_.empty() || one_of.find(rest_.front()) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // `digits` of them exactly, in low..high.
  bool number(std::size_t digits, int low, int high, int& out) {
    if (rest_.size() < digits) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + digits, out);
    if (error != std::errc() || end != rest_.data() + digits || out < low || out > high)
      return false;
    rest_.remove_prefix(digits);
    return true;
  }
  bool clock(std::tm& parts) {
    if (!number(2, 0, 23, parts.tm_hour) || !literal(":") || !number(2, 0, 59, parts.tm_min))
      return false;
    parts.tm_sec = 0;
    return !literal(":") || number(2, 0, 59, parts.tm_sec);
  }
  // One to six digits behind a point, as microseconds; 0 without a point.
  bool fraction(std::int64_t& us) {
    if (!literal(".,")) return true;
    std::int64_t unit = kUsPerS / 10;
    if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') return false;
    for (; unit > 0 && !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; unit /= 10) {
      us += unit * (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return true;
  }
  // "Z" or "+hh:mm"; local time: none.
  bool zone(std::optional<std::int64_t>& seconds_east) {
    if (literal("Zz")) {
      seconds_east = 0;
      return true;
    }
    const bool minus = !rest_.empty() && rest_.front() == '-';
    if (!literal("+-")) return true;
    int hours = 0, minutes = 0;
    if (!number(2, 0, 23, hours)) return false;
    literal(":");
    if (!number(2, 0, 59, minutes)) return false;
    seconds_east = (minus ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
  }

 private:
  std::string_view rest_;
};

std::optional<std::int64_t> as_ago(std::string_view text, std::int64_t now_us) {
  std::int64_t amount = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), amount);
  if (error != std::errc() || end + 1 != text.data() + text.size() || amount < 0) return {};
  const std::string_view units = "smhd";
  constexpr std::int64_t kSeconds[] = {1, 60, 3600, 86'400};
  const std::size_t unit = units.find(*end);
  if (unit == std::string_view::npos || amount > 1'000'000'000 / kSeconds[unit]) return {};
  return now_us - amount * kSeconds[unit] * kUsPerS;
}

std::optional<std::int64_t> as_time_of_day(std::string_view text, std::int64_t now_us) {
  const std::time_t now = now_us / kUsPerS;
  std::tm parts{};
  std::int64_t us = 0;
  Scanner scanner(text);
  if (localtime_r(&now, &parts) == nullptr || !scanner.clock(parts) || !scanner.fraction(us) ||
      !scanner.end()) {
    return {};
  }
  parts.tm_isdst = -1;
  return std::int64_t{mktime(&parts)} * kUsPerS + us;
}

std::optional<std::int64_t> as_date(std::string_view text) {
  std::tm parts{};
  std::int64_t us = 0;
  std::optional<std::int64_t> seconds_east;
  Scanner scanner(text);
  if (!scanner.number(4, 1970, 9999, parts.tm_year) || !scanner.literal("-") ||
      !scanner.number(2, 1, 12, parts.tm_mon) || !scanner.literal("-") ||
      !scanner.number(2, 1, 31, parts.tm_mday)) {
    return {};
  }
  if (scanner.literal(" Tt") &&
      (!scanner.clock(parts) || !scanner.fraction(us) || !scanner.zone(seconds_east))) {
    return {};
  }
  if (!scanner.end()) return {};
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  parts.tm_isdst = -1;
  const int day = parts.tm_mday;
  const std::time_t seconds = seconds_east ? timegm(&parts) : mktime(&parts);
  if (parts.tm_mday != day) return {};  // the 31st of a month of 30 days
  return (std::int64_t{seconds} - seconds_east.value_or(0)) * kUsPerS + us;
}

}  // namespace

bool is_count(std::string_view text) {
  return !text.empty() && text.size() <= 18 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (;;) {
    const std::size_t comma = text.find(',');
    words.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return words;
    text.remove_prefix(comma + 1);
  }
}

Result<std::vector<schema::TrialState>> parse_states(std::string_view text) {
  std::vector<schema::TrialState> states;
  for (const std::string& word : split_words(text)) {
    const auto state = state_of_name(word);
    if (!state) {
      return Error{
          Code::kInvalid,
          fmt::format("\"{}\" is no state: RUNNING, COMPLETE, PRUNED, FAIL, WAITING", shown(word))};
    }
    states.push_back(*state);
  }
  return states;
}

Result<std::vector<std::string>> parse_operations(std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view name : schema::operation_names()) names.emplace_back(name);
  std::vector<std::string> wanted = split_words(text);
  for (std::string& word : wanted) {
    const auto found = std::find_if(names.begin(), names.end(), [&word](const std::string& name) {
      return strcasecmp(name.c_str(), word.c_str()) == 0;
    });
    if (found == names.end()) {
      const auto near = near_names(word, names);
      const std::string instead = near.empty()
                                      ? fmt::format(": {}", fmt::join(names, ", "))
                                      : fmt::format("; did you mean {}?", fmt::join(near, " or "));
      return Error{Code::kInvalid, fmt::format("\"{}\" is no operation{}", shown(word), instead)};
    }
    word = *found;
  }
  return wanted;
}

Result<std::vector<std::uint64_t>> parse_trial_numbers(std::string_view text) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& word : split_words(text)) {
    if (!is_count(word))
      return Error{Code::kInvalid, fmt::format("\"{}\" is no trial's number", shown(word))};
    numbers.push_back(std::stoull(word));
  }
  return numbers;
}

Result<std::int64_t> parse_moment(std::string_view text, std::int64_t now_us) {
  if (const auto moment = as_ago(text, now_us)) return *moment;
  if (const auto moment = as_time_of_day(text, now_us)) return *moment;
  if (const auto moment = as_date(text)) return *moment;
  return Error{
      Code::kInvalid,
      fmt::format(
          "\"{}\" is no moment: give 90s, 10m, 2h or 3d (so long ago), 14:30[:05] of today, "
          "2026-11-24, or 2026-11-24T14:30[:05][Z|+01:00]",
          shown(text))};
}

}  // namespace oj::cli
