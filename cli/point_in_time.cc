// SPDX-License-Identifier: MIT
#include "cli/point_in_time.h"

#include <ctime>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "cli/text.h"

namespace oj::cli {
namespace {

constexpr std::int64_t kUsPerS = 1'000'000;
constexpr int kCountDigitsMax = 9;

// Reads from the front of a text, piece by piece.
class Pieces {
 public:
  explicit Pieces(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  bool skip(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // A number of exactly `digits` digits.
  std::optional<int> number(std::size_t digits) {
    const std::size_t found = digit_count();
    return found == digits ? std::optional(take(digits)) : std::nullopt;
  }
  std::optional<int> count() {
    const std::size_t found = digit_count();
    if (found == 0 || found > kCountDigitsMax) return std::nullopt;
    return take(found);
  }
  // What follows a decimal point, in microseconds; digits beyond are cut.
  std::optional<std::int64_t> fraction_us() {
    const std::size_t found = digit_count();
    if (found == 0) return std::nullopt;
    std::int64_t us = 0;
    for (std::size_t i = 0; i < 6; ++i) us = us * 10 + (i < found ? rest_[i] - '0' : 0);
    rest_.remove_prefix(found);
    return us;
  }

 private:
  std::size_t digit_count() const {
    const std::size_t end = rest_.find_first_not_of("0123456789");
    return end == rest_.npos ? rest_.size() : end;
  }
  int take(std::size_t digits) {
    int value = 0;
    for (const char digit : rest_.substr(0, digits)) value = value * 10 + (digit - '0');
    rest_.remove_prefix(digits);
    return value;
  }
  std::string_view rest_;
};

struct Clock {
  int hour = 0, minute = 0, second = 0;
  std::int64_t us = 0;
};

// Hours and minutes are there, what follows may be.
std::optional<Clock> clock(Pieces& pieces) {
  Clock clock;
  const auto hour = pieces.number(2);
  if (!hour || !pieces.skip(':')) return std::nullopt;
  const auto minute = pieces.number(2);
  if (!minute) return std::nullopt;
  clock.hour = *hour;
  clock.minute = *minute;
  if (pieces.skip(':')) {
    const auto second = pieces.number(2);
    if (!second) return std::nullopt;
    clock.second = *second;
    if (pieces.skip('.')) {
      const auto us = pieces.fraction_us();
      if (!us) return std::nullopt;
      clock.us = *us;
    }
  }
  if (clock.hour > 23 || clock.minute > 59 || clock.second > 59) return std::nullopt;
  return clock;
}

// Seconds east of UTC: "Z", "+01:00"; nothing there: none, the local zone.
struct Zone {
  bool sound = true;
  std::optional<int> east_s;
};
Zone zone(Pieces& pieces) {
  if (pieces.done()) return {};
  if (pieces.skip('Z')) return {pieces.done(), 0};
  const bool west = pieces.skip('-');
  if (!west && !pieces.skip('+')) return {false, {}};
  const auto hours = pieces.number(2);
  if (!pieces.skip(':')) return {false, {}};
  const auto minutes = pieces.number(2);
  if (!hours || !minutes || *hours > 14 || *minutes > 59 || !pieces.done()) return {false, {}};
  const int east_s = *hours * 3600 + *minutes * 60;
  return {true, west ? -east_s : east_s};
}

std::optional<std::int64_t> instant(std::tm day, const Clock& clock, std::optional<int> east_s) {
  day.tm_hour = clock.hour;
  day.tm_min = clock.minute;
  day.tm_sec = clock.second;
  day.tm_isdst = -1;
  const std::tm wanted = day;
  const std::time_t seconds = east_s ? timegm(&day) - *east_s : mktime(&day);
  // A day that no calendar has was carried into the next month.
  if (day.tm_mday != wanted.tm_mday || day.tm_mon != wanted.tm_mon) return std::nullopt;
  return std::int64_t{seconds} * kUsPerS + clock.us;
}

std::optional<std::int64_t> date_and_time(Pieces pieces) {
  std::tm day{};
  const auto year = pieces.number(4);
  if (!year || *year < 1970 || !pieces.skip('-')) return std::nullopt;
  const auto month = pieces.number(2);
  if (!month || *month < 1 || *month > 12 || !pieces.skip('-')) return std::nullopt;
  const auto date = pieces.number(2);
  if (!date || *date < 1 || *date > 31) return std::nullopt;
  day.tm_year = *year - 1900;
  day.tm_mon = *month - 1;
  day.tm_mday = *date;
  Clock at;
  if (pieces.skip('T') || pieces.skip(' ')) {
    const auto read = clock(pieces);
    if (!read) return std::nullopt;
    at = *read;
  }
  const Zone where = zone(pieces);
  return where.sound ? instant(day, at, where.east_s) : std::nullopt;
}

std::optional<std::int64_t> time_today(Pieces pieces, std::int64_t now_us) {
  const auto at = clock(pieces);
  if (!at || !pieces.done()) return std::nullopt;
  const std::time_t now_s = now_us / kUsPerS;
  std::tm day{};
  if (localtime_r(&now_s, &day) == nullptr) return std::nullopt;
  return instant(day, *at, std::nullopt);
}

std::optional<std::int64_t> so_long_ago(Pieces pieces, std::int64_t now_us) {
  const auto count = pieces.count();
  if (!count) return std::nullopt;
  struct Unit {
    char name;
    std::int64_t seconds;
  };
  for (const Unit unit : {Unit{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}}) {
    if (pieces.skip(unit.name) && pieces.done()) return now_us - *count * unit.seconds * kUsPerS;
  }
  return std::nullopt;
}

}  // namespace

Result<std::int64_t> point_in_time(const std::string& text, std::int64_t now_us) {
  // `clock` reads on from where it stands, so each form gets its own beginning.
  if (const auto found = date_and_time(Pieces(text))) return *found;
  if (const auto found = time_today(Pieces(text), now_us)) return *found;
  if (const auto found = so_long_ago(Pieces(text), now_us)) return *found;
  return Error{Code::kInvalid,
               fmt::format("\"{}\" is no time: 2026-11-23T18:10, 2026-11-23T17:10:42Z, 18:10 "
                           "(today), 10m (ago; s, m, h or d)",
                           shown(text))};
}

}  // namespace oj::cli
