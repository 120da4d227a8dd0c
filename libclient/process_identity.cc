// SPDX-License-Identifier: MIT
#include "libclient/process_identity.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "libclient/container.h"
#include "libclient/gpus.h"
#include "shm/region.h"

namespace oj::client {
namespace {

constexpr std::size_t kProcFileBytesMax = 256 * 1024;
constexpr std::size_t kUserEntryBytes = 16 * 1024;
constexpr ino_t kFirstTimeNamespace = 0xEFFFFFFA;  // PROC_TIME_INIT_INO of the kernel
constexpr int kFieldsToStartTime = 20;             // in /proc/self/stat, behind the command's name

std::string content(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.size() > kProcFileBytesMax) text.resize(kProcFileBytesMax);
  return text;
}

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(kUserEntryBytes);
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return {};
  return found->pw_name;
}

// Start times are shown as the looker's time namespace counts; there is none before Linux 5.6.
bool in_first_time_namespace() {
  struct stat info {};
  return stat("/proc/self/ns/time", &info) != 0 || info.st_ino == kFirstTimeNamespace;
}

// The name may hold anything, also ")": what follows the last one is what the kernel wrote.
std::uint64_t start_ticks() {
  if (!in_first_time_namespace()) return 0;
  const std::string stat = content("/proc/self/stat");
  std::size_t at = stat.rfind(')');
  for (int i = 0; i < kFieldsToStartTime && at != stat.npos; ++i) at = stat.find(' ', at + 1);
  std::uint64_t ticks = 0;
  if (at != stat.npos) std::from_chars(stat.data() + at + 1, stat.data() + stat.size(), ticks);
  return ticks;
}

schema::ProcessBirth birth_of_this() {
  schema::ProcessBirth birth;
  if (const auto boot = shm::this_boot_id()) {
    std::memcpy(&birth.boot_id_high, boot->data(), sizeof birth.boot_id_high);
    std::memcpy(&birth.boot_id_low, boot->data() + sizeof birth.boot_id_high,
                sizeof birth.boot_id_low);
  }
  struct stat pid_namespace {};
  if (stat("/proc/self/ns/pid", &pid_namespace) == 0) birth.pid_namespace = pid_namespace.st_ino;
  birth.start_ticks = start_ticks();
  return birth;
}

schema::WorkerIdentity said_of_this() {
  using Kept = schema::WorkerIdentity;
  schema::WorkerIdentity said;
  said.user = user_name(::getuid()).substr(0, Kept::kUserBytesMax);
  said.container = container_of(content("/proc/self/cgroup"), content("/proc/self/mountinfo"))
                       .substr(0, Kept::kContainerBytesMax);
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES"))
    said.cuda_visible_devices = std::string(visible);
  const char* const order = std::getenv("CUDA_DEVICE_ORDER");
  const bool pci_order = order != nullptr && std::strcmp(order, "PCI_BUS_ID") == 0;
  said.gpus = visible_gpus(gpus_of_machine(), said.cuda_visible_devices, pci_order);
  if (said.gpus.size() > Kept::kGpusMax) said.gpus.resize(Kept::kGpusMax);
  if (said.cuda_visible_devices &&
      said.cuda_visible_devices->size() > Kept::kCudaVisibleDevicesBytesMax)
    said.cuda_visible_devices->resize(Kept::kCudaVisibleDevicesBytesMax);
  return said;
}

}  // namespace

ProcessIdentity ProcessIdentity::of_this_process(const OpenOptions& options) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  (void)::gethostname(host.data(), host.size() - 1);
  ProcessIdentity identity;
  identity.pid = static_cast<std::uint32_t>(::getpid());
  identity.uid = static_cast<std::uint32_t>(::getuid());
  identity.host = host.data();
  identity.command = options.command.empty() ? program_invocation_short_name : options.command;
  identity.said = said_of_this();
  identity.orphans = options.orphans;
  identity.birth = birth_of_this();
  return identity;
}

schema::SessionStarted ProcessIdentity::started(std::vector<schema::Gpu>& gpus) const {
  gpus.clear();
  for (const schema::GpuIdentity& gpu : said.gpus) gpus.push_back({gpu.uuid, gpu.name});
  schema::SessionStarted started{pid, uid, host, command};
  started.user = said.user;
  started.container = said.container;
  if (said.cuda_visible_devices) started.cuda_visible_devices = *said.cuda_visible_devices;
  started.gpus = gpus;
  started.orphans = orphans;
  started.birth = birth;
  return started;
}

}  // namespace oj::client
