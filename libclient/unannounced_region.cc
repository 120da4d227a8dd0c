// SPDX-License-Identifier: MIT
#include "libclient/unannounced_region.h"

#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace oj::client {
namespace {

// region-<generation>, as optjournald names it.
constexpr std::string_view kRegionPrefix = "region-";

}  // namespace

Result<Joined> find_region(const std::string& runtime_folder) {
  Joined found;
  found.runtime_folder = runtime_folder;
  std::error_code failed;
  std::filesystem::directory_iterator entry(runtime_folder, failed);
  for (const std::filesystem::directory_iterator end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kRegionPrefix)) continue;
    std::uint64_t generation = 0;
    const char* const last = name.data() + name.size();
    const auto read = std::from_chars(name.data() + kRegionPrefix.size(), last, generation);
    if (read.ec != std::errc() || read.ptr != last) continue;  // one that is being made
    if (generation <= found.welcome.generation) continue;
    found.welcome.generation = generation;
    found.welcome.region_file = name;
  }
  if (failed) return io_error("cannot list " + runtime_folder, failed.value());
  if (found.welcome.region_file.empty())
    return Error{Code::kGone, "there is no region in " + runtime_folder};
  return found;
}

}  // namespace oj::client
