// SPDX-License-Identifier: MIT
#include "cli/numbers.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include <fmt/format.h>

namespace oj::cli {
namespace {

struct Moment {
  std::time_t seconds;
  int us;
};

Moment split(std::int64_t time_us) {
  std::int64_t seconds = time_us / 1'000'000, us = time_us % 1'000'000;
  if (us < 0) {
    us += 1'000'000;
    --seconds;
  }
  return {static_cast<std::time_t>(seconds), static_cast<int>(us)};
}

}  // namespace

std::string short_number(double value) {
  return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value);  // never "-nan"
}

std::string exact_number(double value) {
  if (std::isnan(value)) return "nan";
  std::string text = fmt::format("{}", value);
  if (std::isfinite(value) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string json_number(double value) {
  if (std::isnan(value)) return "\"NaN\"";
  if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  return exact_number(value);
}

std::string local_time(std::int64_t time_us) {
  const Moment moment = split(time_us);
  std::tm parts{};
  if (localtime_r(&moment.seconds, &parts) == nullptr) return fmt::format("{} us", time_us);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03}", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     moment.us / 1000);
}

std::string iso_time_utc(std::int64_t time_us) {
  const Moment moment = split(time_us);
  std::tm parts{};
  if (gmtime_r(&moment.seconds, &parts) == nullptr) return fmt::format("{} us", time_us);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     moment.us);
}

std::string duration(std::int64_t us) {
  if (us < 0) return fmt::format("{:.3g} s", static_cast<double>(us) / 1e6);
  if (us < 1'000) return fmt::format("{} us", us);
  if (us < 1'000'000) return fmt::format("{:.3g} ms", static_cast<double>(us) / 1e3);
  const std::int64_t seconds = us / 1'000'000;
  if (seconds < 60) return fmt::format("{:.2f} s", static_cast<double>(us) / 1e6);
  if (seconds < 3600) return fmt::format("{} min {:02} s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{} h {:02} min", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{} d {:02} h", seconds / 86'400, seconds / 3600 % 24);
}

std::string short_duration(std::int64_t us) {
  constexpr std::int64_t kDay = 86'400;
  us = std::max<std::int64_t>(us, 0);
  if (us < 999'500) return fmt::format("{:.0f}ms", static_cast<double>(us) / 1e3);
  if (us < 59'950'000) return fmt::format("{:.1f}s", static_cast<double>(us) / 1e6);
  const std::int64_t seconds = us / 1'000'000;
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < kDay) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  if (seconds < 100 * kDay) return fmt::format("{}d{:02}h", seconds / kDay, seconds / 3600 % 24);
  return seconds < 100'000 * kDay ? fmt::format("{}d", seconds / kDay) : "long";
}

std::string byte_amount(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double amount = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (amount >= 1023.95 && unit + 1 < std::size(units)) {
    amount /= 1024;
    ++unit;
  }
  return amount < 99.95 ? fmt::format("{:.1f} {}", amount, units[unit])
                        : fmt::format("{:.0f} {}", amount, units[unit]);
}

std::string grouped(std::uint64_t count) {
  std::string text = std::to_string(count);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, 1, ',');
  return text;
}

}  // namespace oj::cli
