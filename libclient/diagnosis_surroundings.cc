// SPDX-License-Identifier: MIT
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "libclient/diagnosis.h"
#include "shm/region.h"
#include "shm/watermarks.h"

namespace oj::client {
namespace {

constexpr std::uint64_t kTmpfsMagic = 0x01021994;
constexpr std::uint64_t kDescriptorsWanted = 256;   // of a worker's process
constexpr std::uint64_t kDaemonDescriptors = 64;    // of a daemon, and two for each worker
constexpr std::int64_t kClockLeewayUs = 2'000'000;  // file systems and clocks differ a little

std::string nearest_existing(std::string path) {
  while (path.size() > 1 && ::access(path.c_str(), F_OK) != 0) path.resize(path.rfind('/'));
  return path.empty() ? "/" : path;
}

// "region-<generation>"; none for other names.
std::optional<std::uint64_t> generation_of(const std::string& name) {
  constexpr std::string_view kPrefix = "region-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::uint64_t generation = 0;
  const char* end = name.data() + name.size();
  if (std::from_chars(name.data() + kPrefix.size(), end, generation).ptr != end)
    return std::nullopt;
  return generation;
}

void look_at_region(const Patient& patient, const shm::Identity& wanted, const std::string& path,
                    Findings& findings) {
  auto region = shm::Region::attach(path, shm::Region::Access::kReadOnly, nullptr);
  if (!region) {
    const Error& error = region.error();
    if (error.os_error == EACCES) {
      findings.push_back(
          finding("region", Verdict::kProblem, {error.message},
                  {"ls -l ", path, " shows whose group may use it; join that group"}));
    } else if (error.code == Code::kIncompatible) {
      findings.push_back(
          finding("region", patient.status ? Verdict::kProblem : Verdict::kWarning,
                  {error.message, ": of another version of optjournal"},
                  {"end the workers of that version, then start a daemon of this one"}));
    } else if (error.code != Code::kGone) {
      findings.push_back(finding("region", Verdict::kProblem, {error.message},
                                 {"start a daemon, or restart it: it replaces a damaged region"}));
    }
    return;  // gone: a daemon removed it just now
  }
  if ((*region)->identity().boot_id != wanted.boot_id) {
    findings.push_back(finding("region", Verdict::kWarning,
                               {path, ": of another boot of this machine, or another machine"},
                               {"nothing: the next daemon removes it"}));
  } else if ((*region)->identity().journal_id != wanted.journal_id) {
    findings.push_back(finding("region", Verdict::kWarning, {path, ": of another journal"},
                               {"nothing: the next daemon removes it"}));
  } else if (patient.status && (*region)->identity().generation != patient.status->generation) {
    findings.push_back(finding("region", Verdict::kWarning,
                               {path, ": stale, the daemon serves generation ",
                                std::to_string(patient.status->generation)},
                               {"nothing: the next daemon removes it"}));
  } else if (!patient.status && !(*region)->retired()) {
    const std::uint64_t published = shm::published_end(**region);
    const std::uint64_t unsynced = published - std::min(published, shm::synced(**region));
    if (unsynced == 0) return;
    findings.push_back(finding("region", Verdict::kProblem,
                               {path, ": ", std::to_string(unsynced),
                                " published records are in memory only, and no daemon answers"},
                               {"before anything else, and before a reboot: optjournald ",
                                patient.folder, " (or start its service)"}));
  }
}

std::optional<std::uint64_t> soft_descriptors_of(std::uint32_t pid) {
  std::ifstream limits("/proc/" + std::to_string(pid) + "/limits");
  constexpr std::string_view kName = "Max open files";
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with(kName)) continue;
    const std::size_t at = line.find_first_of("0123456789", kName.size());
    std::uint64_t value = 0;
    if (at == std::string::npos) return std::nullopt;
    std::from_chars(line.data() + at, line.data() + line.size(), value);
    return value;
  }
  return std::nullopt;
}

}  // namespace

void look_at_runtime_folder(const Patient& patient, Findings& findings) {
  const std::string& path = patient.runtime_folder;
  const std::string place = path.empty() ? "/dev/shm" : nearest_existing(path);
  struct statfs type {};
  struct stat info {};
  if (!path.empty() && ::stat(path.c_str(), &info) == 0) {
    if ((info.st_mode & S_IWOTH) != 0) {
      findings.push_back(finding("runtime folder", Verdict::kProblem,
                                 {path, ": every user may replace socket and region in it"},
                                 {"chmod o-w ", path}));
    }
    if (::access(path.c_str(), X_OK) != 0) {
      findings.push_back(finding("runtime folder", Verdict::kProblem,
                                 {path, ": this user may not enter it"},
                                 {"ls -ld ", path, " shows whose group may; join that group"}));
      return;
    }
  }
  if (::statfs(place.c_str(), &type) == 0 &&
      static_cast<std::uint32_t>(type.f_type) != kTmpfsMagic) {
    findings.push_back(finding("runtime folder", Verdict::kWarning,
                               {place, ": on no tmpfs, so the region is written to a disk, too"},
                               {"give the daemon a --runtime-folder below /dev/shm or /run"}));
  }
  if (patient.status) return;  // its pages are there: nothing more is needed
  struct statvfs room {};
  if (::statvfs(place.c_str(), &room) != 0) return;
  const std::uint64_t available = std::uint64_t{room.f_bavail} * room.f_frsize;
  if (room.f_blocks == 0) return;  // a tmpfs without a limit
  auto sizes = shm::sizes_for(available);
  if (!sizes) {
    findings.push_back(
        finding("shared memory", Verdict::kProblem, {place, ": ", sizes.error().message},
                {"sudo mount -o remount,size=2G ", place, "; in a container: --shm-size=2g"}));
  } else if (sizes->region_bytes() < shm::Sizes{}.region_bytes()) {
    findings.push_back(
        finding("shared memory", Verdict::kWarning,
                {place, ": ", std::to_string(available >> 20),
                 " MiB free: the region will be smaller than usual"},
                {"sudo mount -o remount,size=2G ", place, "; in a container: --shm-size=2g"}));
  } else {
    findings.push_back(finding("shared memory", Verdict::kOk,
                               {place, ": ", std::to_string(available >> 20), " MiB free"}));
  }
}

void look_at_regions(const Patient& patient, const std::array<std::byte, 16>& journal_id,
                     Findings& findings) {
  const std::size_t before = findings.size();
  auto boot_id = shm::this_boot_id();
  if (!boot_id) {
    findings.push_back(finding("region", Verdict::kWarning, {boot_id.error().message}));
    return;
  }
  std::uint64_t count = 0;
  std::error_code ignored;  // who may not list it was told so before
  const std::filesystem::path folder(patient.runtime_folder);
  if (!patient.runtime_folder.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      const auto generation = generation_of(entry.path().filename().string());
      if (!generation) continue;
      ++count;
      look_at_region(patient, {*boot_id, journal_id, *generation}, entry.path().string(), findings);
    }
  }
  if (findings.size() == before) {
    findings.push_back(finding("region", Verdict::kOk,
                               {count == 0 ? "none" : "of this boot, this journal, this version"}));
  }
}

void look_at_limits(const Patient& patient, Findings& findings) {
  const std::size_t before = findings.size();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kDescriptorsWanted) {
    findings.push_back(finding("limits", Verdict::kWarning,
                               {"open files: ", std::to_string(limit.rlim_cur), ", less than ",
                                std::to_string(kDescriptorsWanted)},
                               {"ulimit -n ", std::to_string(kDescriptorsWanted)}));
  }
  const std::uint64_t region_bytes =
      patient.status ? patient.status->region_bytes : shm::Sizes{}.region_bytes();
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < 2 * region_bytes) {
    findings.push_back(
        finding("limits", Verdict::kProblem,
                {"address space: ", std::to_string(limit.rlim_cur >> 20),
                 " MiB, and the region alone takes ", std::to_string(region_bytes >> 20), " MiB"},
                {"ulimit -v unlimited"}));
  }
  if (patient.status) {
    const auto has = soft_descriptors_of(patient.status->daemon_pid);
    const std::uint64_t wants = kDaemonDescriptors + 2 * (patient.status->workers.size() + 8);
    if (has && *has < wants) {
      findings.push_back(
          finding("limits", Verdict::kProblem,
                  {"open files of the daemon: ", std::to_string(*has), ", less than ",
                   std::to_string(wants), " for the workers attached and a few more"},
                  {"start it after ulimit -n 4096, or LimitNOFILE=4096 in its unit"}));
    }
  }
  if (findings.size() == before)
    findings.push_back(finding("limits", Verdict::kOk, {"high enough"}));
}

// The clock is for people only, never for order: a wrong one spoils dates and durations of trials.
void look_at_clock(const Patient& patient, Findings& findings) {
  const std::int64_t now_us = utc_us();
  std::string newest;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(patient.folder + "/segments", ignored)) {
    struct stat info {};
    if (::stat(entry.path().c_str(), &info) != 0) continue;
    const std::int64_t written_us = info.st_mtim.tv_sec * 1'000'000 + info.st_mtim.tv_nsec / 1'000;
    if (written_us > now_us + kClockLeewayUs) newest = entry.path().string();
  }
  if (newest.empty()) {
    findings.push_back(finding("clock", Verdict::kOk, {"not before the journal's newest segment"}));
    return;
  }
  findings.push_back(
      finding("clock", Verdict::kWarning,
              {newest, ": written after now: this machine's clock was set back"},
              {"timedatectl; dates and durations of trials are wrong, nothing else"}));
}

}  // namespace oj::client
