// A worker of a service that is ill-treated, and the judge of what became of its records.
//
//   worker append LOCATION NAME DIARY [COUNT]
//       appends NAME-0, NAME-1, ... until SIGTERM, or COUNT; how many have returned is in DIARY
//   worker append-synced LOCATION NAME DIARY [COUNT]
//       likewise, each of them synced
//   worker judge LOCATION DIARY...
//       for each DIARY (whose file name is the NAME): is each record in the journal once, in order,
//       and every one that had returned?
//
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/fd.h"
#include "libclient/session.h"
#include "schema/codec.h"
#include "schema/operation.h"

namespace oj::verify {
namespace {

constexpr useconds_t kPaceUs = 300;  // four of them must leave the machine some time for the rest
constexpr std::int64_t kPatienceMs = 60'000;

std::atomic<bool> stop_asked{false};

int complain(const std::string& what, const Error& error) {
  std::printf("%s: %s\n", what.c_str(), error.message.c_str());
  return 1;
}

int append(const std::string& location, const std::string& name, const std::string& diary,
           std::uint64_t count, client::Durability durability) {
  std::signal(SIGTERM, [](int) { stop_asked = true; });
  auto session = client::Session::open(location);
  if (!session) return complain("open", session.error());
  // Mapped: what is in it outlives this process at any instruction.
  const Fd file(::open(diary.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!file || ::ftruncate(file.get(), sizeof(std::uint64_t)) != 0)
    return complain("diary", io_error(diary, errno));
  auto* returned = static_cast<std::atomic<std::uint64_t>*>(
      ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
  schema::Encoder encoder;
  for (std::uint64_t i = 0; i < count && !stop_asked; ++i) {
    const std::string key = name + "-" + std::to_string(i);
    const schema::Operation operation = schema::SetStudyUserAttr{0, {key, {}}};
    auto appended =
        (*session)->append(encoder.encode(operation), durability, Deadline::in_ms(kPatienceMs));
    if (!appended) return complain(key, appended.error());
    returned->store(i + 1, std::memory_order_relaxed);  // own
    if (durability == client::Durability::kPublished) ::usleep(kPaceUs);
  }
  return 0;
}

// How many records NAME-0, NAME-1, ... there are by name; empty if one is not where it should be.
bool collect(const std::string& location, std::map<std::string, std::uint64_t>& counts) {
  client::OpenOptions options;
  options.mode = client::OpenOptions::Mode::kOffline;
  auto session = client::Session::open(location, options);
  if (!session) return complain("open", session.error()) == 0;
  schema::Decoder decoder;
  bool good = true;
  const auto take = [&](std::uint64_t seq, std::span<const std::byte> bytes) {
    const auto record = decoder.decode(bytes);
    if (!record) return good = complain("record " + std::to_string(seq), record.error()) == 0;
    for (const schema::Operation& operation : record->operations) {
      const auto* mark = std::get_if<schema::SetStudyUserAttr>(&operation);
      if (mark == nullptr) continue;
      const std::string key(mark->attr.key);
      const std::size_t dash = key.rfind('-');
      std::uint64_t& next = counts[key.substr(0, dash)];
      if (key.substr(dash + 1) != std::to_string(next)) {
        std::printf("record %llu is %s where %llu was next\n", static_cast<unsigned long long>(seq),
                    key.c_str(), static_cast<unsigned long long>(next));
        good = false;
      }
      ++next;
    }
    return true;
  };
  auto read = (*session)->read(0, take);
  if (!read) return complain("read", read.error()) == 0;
  return good;
}

int judge(const std::string& location, const std::vector<std::string>& diaries) {
  std::map<std::string, std::uint64_t> counts;
  bool good = collect(location, counts);
  std::uint64_t all = 0;
  for (const std::string& diary : diaries) {
    const std::string name = std::filesystem::path(diary).filename();
    std::uint64_t returned = 0;
    std::ifstream(diary, std::ios::binary)
        .read(reinterpret_cast<char*>(&returned), sizeof returned);
    all += returned;
    // One more may be there: published, and its worker killed before it heard of it.
    if (returned > 0 && counts[name] >= returned && counts[name] <= returned + 1) continue;
    std::printf("%s: %llu records had returned, %llu are in the journal\n", name.c_str(),
                static_cast<unsigned long long>(returned),
                static_cast<unsigned long long>(counts[name]));
    good = false;
  }
  if (good) std::printf("%llu records\n", static_cast<unsigned long long>(all));
  return good ? 0 : 1;
}

int run(const std::vector<std::string>& words) {
  const std::string verb = words.empty() ? "" : words[0];
  if ((verb == "append" || verb == "append-synced") && words.size() >= 4) {
    return append(words[1], words[2], words[3],
                  words.size() > 4 ? std::stoull(words[4]) : UINT64_MAX,
                  verb == "append" ? client::Durability::kPublished : client::Durability::kSynced);
  }
  if (verb == "judge" && words.size() >= 3)
    return judge(words[1], {words.begin() + 2, words.end()});
  std::fprintf(stderr,
               "worker append|append-synced LOCATION NAME DIARY [COUNT]\n"
               "worker judge LOCATION DIARY...\n");
  return 2;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) { return oj::verify::run({argv + 1, argv + argc}); }
