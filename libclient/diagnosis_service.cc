// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <sstream>

#include "base/fd.h"
#include "libclient/daemon_process.h"
#include "libclient/diagnosis.h"
#include "libclient/service_advice.h"
#include "shm/region.h"

namespace oj::client {
namespace {

constexpr std::size_t kOutputBytesMax = 64 * 1024;
constexpr std::uint64_t kDaemonMemory = 64u << 20;  // beside the region; seen: a quarter of it
constexpr std::uint64_t kDescriptorsWanted = 1024;  // for the 500 workers of a large machine

struct Said {
  int exit_code = -1;  // -1: it could not be run
  std::string text;    // stdout and stderr
};

// Runs a program of the PATH, or of a path, to its end.
Said said_by(std::vector<std::string> words) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), 2);
  pid_t pid = -1;
  const int failed =
      ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (failed != 0) return {};
  Said said;
  std::array<char, 4096> some{};
  for (ssize_t got = 0; (got = ::read(read_end.get(), some.data(), some.size())) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0 && said.text.size() < kOutputBytesMax)
      said.text.append(some.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  said.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

using Properties = std::map<std::string, std::string>;

// What systemd says of the unit; empty where no systemd runs, or, with a finding, where it does not
// answer.
Properties properties_of(const std::string& unit, const std::string& location, Findings& findings) {
  Properties properties;
  if (::access("/run/systemd/system", F_OK) != 0) return properties;
  const Said said = said_by({"systemctl", "show", "--property",
                             "LoadState,UnitFileState,ActiveState,Result,ExecMainStatus,"
                             "StatusText,MemoryMax,LimitNOFILESoft",
                             unit});
  if (said.exit_code != 0) {
    findings.push_back(
        finding("service", Verdict::kWarning,
                {unit, ": systemctl does not answer: ", said.text.substr(0, said.text.find('\n'))},
                {"ask as root: sudo optjournal doctor ", location}));
    return properties;
  }
  std::istringstream lines(said.text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) properties[line.substr(0, equals)] = line.substr(equals + 1);
  }
  return properties;
}

// A number; none for "infinity".
std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || std::from_chars(text.data(), end, value).ptr != end) return std::nullopt;
  return value;
}

void look_at_unit(const std::string& unit, const Properties& is, Findings& findings) {
  const auto of = [&is](const char* name) {
    const auto found = is.find(name);
    return found == is.end() ? std::string() : found->second;
  };
  if (of("LoadState") != "loaded") {
    findings.push_back(finding("service", Verdict::kProblem,
                               {unit, ": systemd knows no such unit (", of("LoadState"), ")"},
                               {"sudo apt install ./optjournal_*.deb; then: sudo systemctl "
                                "enable --now ",
                                unit}));
    return;
  }
  if (of("ActiveState") != "active") {
    const bool ended = of("ActiveState") == "failed";
    findings.push_back(
        finding("service", Verdict::kProblem,
                {unit, ": ", of("ActiveState"),
                 ended ? ", " + of("Result") + ", exit status " + of("ExecMainStatus") : ""},
                {ended ? "journalctl -u " + unit + " says why; mend that, then: " : std::string(),
                 "sudo systemctl enable --now ", unit}));
    return;
  }
  if (of("UnitFileState") != "enabled") {
    findings.push_back(
        finding("service", Verdict::kWarning,
                {unit, ": runs, but does not start with the machine (", of("UnitFileState"), ")"},
                {"sudo systemctl enable ", unit}));
  } else {
    findings.push_back(
        finding("service", Verdict::kOk, {unit, ": enabled, active; ", of("StatusText")}));
  }
}

void look_at_unit_limits(const std::string& unit, const Properties& is, Findings& findings) {
  const std::string edit = "sudo systemctl edit " + unit + "; in [Service]: ";
  const std::string restart = "; then: sudo systemctl restart " + unit;
  const std::uint64_t wanted = shm::Sizes{}.region_bytes() + kDaemonMemory;
  const auto memory = is.find("MemoryMax");
  const auto bytes = memory == is.end() ? std::nullopt : number_of(memory->second);
  if (bytes && *bytes < wanted) {
    findings.push_back(finding(
        "limits", Verdict::kWarning,
        {unit, ": MemoryMax is ", std::to_string(*bytes >> 20), " MiB, less than ",
         std::to_string(wanted >> 20), " MiB for a region of the usual size and the daemon"},
        {edit, "MemoryMax=infinity", restart}));
  }
  const auto files = is.find("LimitNOFILESoft");
  const auto count = files == is.end() ? std::nullopt : number_of(files->second);
  if (count && *count < kDescriptorsWanted) {
    findings.push_back(finding("limits", Verdict::kWarning,
                               {unit, ": LimitNOFILE is ", std::to_string(*count), ", less than ",
                                std::to_string(kDescriptorsWanted), "; two a worker are needed"},
                               {edit, "LimitNOFILE=65536", restart}));
  }
}

// The daemon itself reads it, so that there is one judge of what is right.
void look_at_configuration(const Patient& patient, Findings& findings) {
  const Result<std::string> program = find_daemon_program({});
  if (!program) return;  // of a worker with the library alone
  const Said said = said_by({*program, "--service", patient.service_name, "--print-config"});
  if (said.exit_code == 0) {
    findings.push_back(finding("configuration", Verdict::kOk, {"no error in it"}));
  } else if (said.exit_code > 0) {
    const std::string what = said.text.substr(0, said.text.find("\nTry '"));
    findings.push_back(
        finding("configuration", Verdict::kProblem, {what},
                {"mend it; then: sudo systemctl restart optjournald@", patient.service_name}));
  }
}

void look_at_group(const Patient& patient, Findings& findings) {
  const auto location = parse_location(patient.location);
  if (!location) return;
  const std::string advice = group_advice(*location);
  if (advice.empty()) {
    findings.push_back(finding("group", Verdict::kOk, {"this process has the service's rights"}));
    return;
  }
  const std::size_t end = advice.find("; ");
  findings.push_back(
      finding("group", Verdict::kProblem, {std::string_view(advice).substr(0, end)},
              {end == std::string::npos ? "" : std::string_view(advice).substr(end + 2)}));
}

}  // namespace

void look_at_service(const Patient& patient, Findings& findings) {
  const std::string unit = "optjournald@" + patient.service_name;
  const Properties properties = properties_of(unit, patient.location, findings);
  if (!properties.empty()) look_at_unit(unit, properties, findings);
  look_at_configuration(patient, findings);
  if (::access(patient.folder.c_str(), F_OK) == 0) look_at_group(patient, findings);
  if (!properties.empty()) look_at_unit_limits(unit, properties, findings);
}

}  // namespace oj::client
