// SPDX-License-Identifier: MIT
#include "libclient/diagnosis.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>

#include "journal/folder.h"
#include "journal/reader.h"
#include "libclient/session.h"

namespace oj::client {
namespace {

constexpr std::uint64_t kTmpfsMagic = 0x01021994;
// The largest segment that a daemon makes unless it is told otherwise: with less, the next one may
// not fit.
constexpr std::uint64_t kDiskBytesProblem = 64u << 20;
constexpr std::uint64_t kDiskBytesWarning = 1u << 30;

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

std::string user_name() {
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr ? std::to_string(geteuid()) : entry->pw_name;
}

std::string group_name(gid_t group) {
  const ::group* entry = getgrgid(group);
  return entry == nullptr ? std::to_string(group) : entry->gr_name;
}

// How this user comes to the rights that it lacks on `path`.
std::string rights_advice(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IWGRP) != 0) {
    return "sudo usermod -aG " + group_name(info.st_gid) + " " + user_name() +
           "; then log in again (id -nG shows whether it counts)";
  }
  return "ask its owner, who shares it with: sudo chgrp -R GROUP " + path + " && chmod -R g+rwX " +
         path;
}

std::string start_command(const Patient& patient) {
  return patient.service ? "sudo systemctl enable --now optjournald@" + patient.service_name
                         : "optjournald " + patient.folder + " (any worker starts one, too)";
}

// Of a service the daemon alone writes the folder.
void look_at_rights(const Patient& patient, Findings& findings) {
  struct stat info {};
  if (::stat(patient.folder.c_str(), &info) != 0) return;
  if ((info.st_mode & S_IWOTH) != 0) {
    findings.push_back(
        finding("folder", Verdict::kWarning,
                {patient.folder, ": every user may write in it, and replace records"},
                {"chmod o-w ", patient.folder}));
  } else if (!patient.service && ::access(patient.folder.c_str(), W_OK) != 0) {
    const std::string advice = rights_advice(patient.folder);
    findings.push_back(
        finding("folder", Verdict::kWarning,
                {patient.folder, ": ", user_name(),
                 " may read it but not write: enough to watch, not to work or serve"},
                {advice}));
  } else {
    findings.push_back(
        finding("folder", Verdict::kOk,
                {patient.folder, ": a journal of format ", std::to_string(journal::kJournalFormat),
                 ", ", user_name(), " may work with it"}));
  }
}

void look_at_file_system(const journal::Folder& folder, Findings& findings) {
  struct statfs info {};
  if (::fstatfs(folder.fd(), &info) != 0) return;
  const auto type = static_cast<std::uint32_t>(info.f_type);
  if (const char* name = journal::network_file_system_name(type)) {
    findings.push_back(
        finding("file system", Verdict::kProblem,
                {folder.path(), ": on ", name,
                 ", which other machines may share; workers share memory, so the "
                 "folder must be on a disk of this machine"},
                {"stop its daemon and move it: cp -a ", folder.path(), " /LOCAL/DISK"}));
  } else if (type == kTmpfsMagic) {
    findings.push_back(
        finding("file system", Verdict::kWarning,
                {folder.path(), ": on a tmpfs: the journal ends with this boot"},
                {"stop its daemon and move it: cp -a ", folder.path(), " /LOCAL/DISK"}));
  } else {
    findings.push_back(finding("file system", Verdict::kOk, {"local"}));
  }
}

void look_at_disk(const journal::Folder& folder, Findings& findings) {
  auto available = folder.available_bytes();
  if (!available) {
    findings.push_back(finding("disk", Verdict::kWarning, {available.error().message}));
    return;
  }
  const Verdict verdict = *available < kDiskBytesProblem   ? Verdict::kProblem
                          : *available < kDiskBytesWarning ? Verdict::kWarning
                                                           : Verdict::kOk;
  const std::string limit =
      mebibytes(verdict == Verdict::kProblem ? kDiskBytesProblem : kDiskBytesWarning);
  findings.push_back(
      verdict == Verdict::kOk
          ? finding("disk", verdict, {mebibytes(*available), " free"})
          : finding(
                "disk", verdict,
                {folder.path(), ": ", mebibytes(*available), " free, less than ", limit},
                {"make room (df -h ", folder.path(), "), or move the journal to a larger disk"}));
}

// The runtime folder that LOCK names, whether or not its daemon lives.
std::string former_runtime_folder(const std::string& folder) {
  std::ifstream lock(folder + "/LOCK");
  for (std::string line; std::getline(lock, line);) {
    if (line.starts_with("runtime: ")) return line.substr(9);
  }
  return {};
}

void look_at_answer(const Patient& patient, Findings& findings) {
  const schema::Status& status = *patient.status;
  const std::string pid = std::to_string(status.daemon_pid);
  const std::string restart =
      patient.service ? "sudo systemctl restart optjournald@" + patient.service_name
                      : "optjournal stop " + patient.folder + "; the next worker starts a new one";
  if (!status.degraded.empty()) {
    findings.push_back(
        finding("daemon", Verdict::kProblem, {"pid ", pid, " cannot sync: ", status.degraded},
                {"mend the disk (dmesg, df -h ", patient.folder,
                 "); it goes on by itself; what is published waits in memory: do not "
                 "reboot"}));
  }
  if (status.daemon_version != version()) {
    findings.push_back(finding(
        "daemon", Verdict::kWarning,
        {"pid ", pid, " is of version ", status.daemon_version, ", this program of ", version()},
        {restart}));
  }
  const std::uint64_t lag = status.published - std::min(status.published, status.synced);
  if (lag > status.ring_slots / 2) {
    findings.push_back(
        finding("daemon", Verdict::kWarning,
                {"pid ", pid, " lags: ", std::to_string(lag), " records of ",
                 std::to_string(status.ring_slots), " slots are not yet synced"},
                {"look at the disk: iostat -x 1; optjournal status ", patient.location}));
  }
  if (findings.empty() || findings.back().check != "daemon") {
    findings.push_back(finding("daemon", Verdict::kOk,
                               {"pid ", pid, " serves it, ", std::to_string(status.workers.size()),
                                " workers, ", std::to_string(lag), " records not yet synced"}));
  }
}

void look_at_silence(const Patient& patient, const Error& error, Findings& findings) {
  if (error.os_error == EACCES || error.os_error == EPERM) {
    findings.push_back(finding("daemon", Verdict::kProblem, {error.message},
                               {rights_advice(patient.runtime_folder)}));
  } else if (error.code == Code::kBusy) {
    findings.push_back(finding(
        "daemon", Verdict::kProblem, {error.message, ": it is stopped, or its machine overloaded"},
        {"see it: ps -o pid,stat,wchan:20,cmd -C optjournald; go on: kill -CONT PID"}));
  } else if (error.code != Code::kGone) {
    findings.push_back(finding("daemon", Verdict::kProblem, {error.message}));
  } else if (patient.service) {
    findings.push_back(
        finding("daemon", Verdict::kProblem, {error.message}, {start_command(patient)}));
  } else {
    findings.push_back(
        finding("daemon", Verdict::kOk, {"none serves it; the next worker starts one"}));
  }
}

void look_at_daemon(Patient& patient, Findings& findings) {
  auto status = daemon_status(patient.location);
  if (!status) return look_at_silence(patient, status.error(), findings);
  patient.status = std::move(*status);
  look_at_answer(patient, findings);
}

// Every frame and record is read, with its checksums.
void look_at_records(const journal::Folder& folder, const Patient& patient, Findings& findings) {
  const auto damaged = [&](const Error& error) {
    findings.push_back(finding("records", Verdict::kProblem, {error.message},
                               {"keep the folder as it is and copy it; restore a backup: "
                                "docs/operations.md"}));
  };
  std::uint64_t end = 0;
  if (patient.status) {
    end = patient.status->synced;
  } else if (auto holder = folder.holder(); !holder || holder->has_value()) {
    findings.push_back(
        finding("records", Verdict::kWarning,
                {"not read: a daemon serves them and does not say how far they go"}));
    return;
  } else {
    auto found = journal::find_end(folder);
    if (!found) return damaged(found.error());
    end = *found;
  }
  journal::Reader reader(folder, 0);
  while (reader.next_seq() < end) {
    if (auto record = reader.next(end); !record) return damaged(record.error());
  }
  findings.push_back(
      finding("records", Verdict::kOk, {std::to_string(end), " on disk, all whole"}));
}

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kWarning: return "warning";
    case Verdict::kProblem: return "problem";
  }
  return "problem";
}

Finding finding(const char* check, Verdict verdict, std::initializer_list<std::string_view> what,
                std::initializer_list<std::string_view> advice) {
  Finding made{check, verdict, {}, {}};
  for (const std::string_view part : what) made.what += part;
  for (const std::string_view part : advice) made.advice += part;
  return made;
}

Result<std::vector<Finding>> diagnose(const std::string& text) {
  auto location = parse_location(text);
  if (!location) return location.error();
  Patient patient;
  patient.location = text;
  patient.service = location->service;
  patient.folder = location->folder;
  patient.runtime_folder = location->runtime_folder;
  if (patient.service) patient.service_name = text.substr(text.rfind('/') + 1);

  Findings findings;
  if (patient.service) look_at_service(patient, findings);
  auto folder = journal::Folder::open(patient.folder, journal::Folder::IfAbsent::kRefuse);
  if (!folder) {
    const Error& error = folder.error();
    const bool absent = error.os_error == ENOENT || error.os_error == ENOTDIR;
    if (absent && !patient.service) return error;
    const bool rights = error.os_error == EACCES || error.os_error == EPERM;
    findings.push_back(finding(
        "folder", Verdict::kProblem, {error.message},
        {absent                              ? start_command(patient)
         : rights && patient.service         ? std::string("become a member: see the line `group`")
         : rights                            ? rights_advice(patient.folder)
         : error.code == Code::kIncompatible ? std::string("install the newer optjournal")
         : error.code == Code::kCorrupt
             ? std::string("restore FORMAT from a backup of this journal: docs/operations.md")
             : std::string("give the folder of a journal")}));
    look_at_limits(patient, findings);
    return findings;
  }
  patient.folder = folder->path();
  if (!patient.service) patient.runtime_folder = former_runtime_folder(patient.folder);
  look_at_rights(patient, findings);
  look_at_file_system(*folder, findings);
  look_at_disk(*folder, findings);
  look_at_daemon(patient, findings);
  look_at_runtime_folder(patient, findings);
  look_at_regions(patient, folder->journal_id(), findings);
  look_at_records(*folder, patient, findings);
  look_at_limits(patient, findings);
  look_at_clock(patient, findings);
  return findings;
}

}  // namespace oj::client
