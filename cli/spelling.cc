// SPDX-License-Identifier: MIT
#include "cli/spelling.h"

#include <algorithm>
#include <cctype>
#include <numeric>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/text.h"

namespace oj::cli {
namespace {

constexpr std::size_t kComparedBytesMax =
    200;  // longer names are compared by their first 200 bytes
constexpr std::size_t kSuggestionsMax = 3;
constexpr std::size_t kListedMax = 10;

std::string lower(std::string_view text) {
  std::string out(text.substr(0, kComparedBytesMax));
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names)
    out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", shown(name));
  return out;
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Of a's first i bytes to b's first j: the rows for i - 2, i - 1 and i.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({row[j - 1] + 1, above[j] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::vector<std::string> near_names(std::string_view wanted,
                                    const std::vector<std::string>& names) {
  const std::string low = lower(wanted);
  std::vector<std::pair<std::size_t, const std::string*>> found;
  for (const std::string& name : names) {
    const std::string candidate = lower(name);
    const std::size_t distance = edit_distance(low, candidate);
    const bool slip =
        distance <= std::max<std::size_t>(1, std::min(low.size(), candidate.size()) / 3);
    const bool part = low.size() >= 3 && candidate.find(low) != std::string::npos;
    if (slip || part) found.emplace_back(slip ? distance : 100 + distance, &name);
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : *a.second < *b.second;
  });
  std::vector<std::string> out;
  for (std::size_t i = 0; i < found.size() && i < kSuggestionsMax; ++i)
    out.push_back(*found[i].second);
  return out;
}

Error no_such_study(std::string_view wanted, const replay::State& state,
                    std::string_view location) {
  std::vector<std::string> names;
  for (const auto& [id, study] : state.studies()) names.push_back(study.name);
  std::string message =
      fmt::format("there is no study \"{}\" in {}", shown(wanted), shown(location));
  const std::vector<std::string> near = near_names(wanted, names);
  if (!near.empty()) {
    message += fmt::format("; did you mean {}?", joined(near));
  } else if (names.empty()) {
    message += ", which has no studies";
  } else if (names.size() <= kListedMax) {
    message += fmt::format("; it has {}", joined(names));
  } else {
    message +=
        fmt::format("; `optjournal studies {}` lists the {} it has", shown(location), names.size());
  }
  return not_found(message);
}

}  // namespace oj::cli
