// Victims and bystanders in C++: append numbered records, or read all of them, until killed or told
// to end (SIGTERM).
//
//   verify_worker append|read|monitor FOLDER DIARY ID [KEY=VALUE ...]
//
//   append    appends records 1, 2, 3, ... of worker ID; intents and results go to the DIARY
//   read      a worker's session that follows the journal in place, and checks what it sees
//   monitor   the same, read-only
//
// pool=BYTES       of the region, if this starts the daemon
// burst=N pause=US N records at full speed, then up to so long a pause
// sync=N           every Nth record waits for the disk (0: none)
// touch=BYTES      of memory, touched before the first record: its death takes longer
// count=N          ends after so many records
// lie=1            says that a record is appended before it appends it: a fault to be found
//
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "libclient/session.h"
#include "schema/codec.h"
#include "tests/verify/processes/content.h"
#include "tests/verify/processes/diary.h"

namespace oj::verify {
namespace {

std::atomic<bool> told_to_end{false};

struct Orders {
  std::string role, folder;
  std::uint64_t id = 0;
  std::map<std::string, std::uint64_t> values;
  std::uint64_t value(const std::string& key, std::uint64_t otherwise) const {
    const auto found = values.find(key);
    return found == values.end() ? otherwise : found->second;
  }
};

void touch(std::uint64_t bytes) {
  if (bytes == 0) return;
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (at == MAP_FAILED) std::perror("mmap");
}

class Appender {
 public:
  Appender(const Orders& orders, Diary& diary, client::Session& session)
      : orders_(orders), diary_(diary), session_(session) {}

  bool run() {
    const std::uint64_t burst = orders_.value("burst", 16);
    const auto pause_us = static_cast<useconds_t>(orders_.value("pause", 1000));
    const std::uint64_t count = orders_.value("count", ~std::uint64_t{0});
    for (std::uint32_t number = 1; number <= count && !told_to_end; ++number) {
      if (!append(number)) return false;
      if (number % burst == 0 && pause_us > 0) ::usleep(1 + number * 7919 % pause_us);
    }
    return true;
  }

 private:
  bool append(std::uint32_t number) {
    const std::uint64_t sync_every = orders_.value("sync", 64);
    const bool synced = sync_every != 0 && number % sync_every == 0;
    const auto record = encoder_.encode(content_.of({orders_.id, number}));
    diary_.write({.kind = Entry::Kind::kIntent,
                  .synced = synced,
                  .number = number,
                  .at_ns = monotonic_ns()});
    if (orders_.value("lie", 0) != 0)
      diary_.write({.kind = Entry::Kind::kBelief, .number = number, .at_ns = monotonic_ns()});
    const std::int64_t before_ns = monotonic_ns();
    const auto appended = session_.append(
        record, synced ? client::Durability::kSynced : client::Durability::kPublished,
        Deadline::in_ms(120'000));
    const std::int64_t after_ns = monotonic_ns();
    if (!appended) {
      diary_.write_error(std::string(code_name(appended.error().code)) + ": " +
                         appended.error().message);
      return false;
    }
    if (appended->session != told_session_) {
      told_session_ = appended->session;
      diary_.write({.kind = Entry::Kind::kOpened, .value = told_session_, .at_ns = after_ns});
    }
    diary_.write({.kind = Entry::Kind::kResult,
                  .number = number,
                  .value = appended->seq,
                  .at_ns = after_ns,
                  .wait_ns = after_ns - before_ns});
    return true;
  }

  const Orders& orders_;
  Diary& diary_;
  client::Session& session_;
  schema::SessionId told_session_ = session_.id();
  schema::Encoder encoder_;
  Content content_;
};

// Follows the journal: every seq once, every record whole, every worker's numbers 1, 2, 3, ...
class Follower {
 public:
  Follower(Diary& diary, client::Session& session) : diary_(diary), session_(session) {}

  bool run() {
    bool ready = false;
    while (!told_to_end) {
      const auto read = session_.read(
          next_,
          [this](std::uint64_t seq, std::span<const std::byte> record) {
            return look(seq, record);
          },
          kRecordsMax);
      if (!read) return fail(code_name(read.error().code), read.error().message);
      if (failed_) return false;
      if (read->next_seq != next_) return fail("position", std::to_string(read->next_seq));
      diary_.write({.kind = Entry::Kind::kSeen, .value = next_, .at_ns = monotonic_ns()});
      if (!read->caught_up) continue;
      if (!std::exchange(ready, true))
        diary_.write({.kind = Entry::Kind::kReady, .at_ns = monotonic_ns()});
      const auto waited = session_.wait_published(next_, Deadline::in_ms(200));
      if (!waited) return fail(code_name(waited.error().code), waited.error().message);
    }
    return true;
  }

 private:
  static constexpr std::uint64_t kRecordsMax = 1 << 16;

  bool fail(const std::string& what, const std::string& why) {
    diary_.write_error("reader at " + std::to_string(next_) + ": " + what + ": " + why);
    failed_ = true;
    return false;
  }

  bool look(std::uint64_t seq, std::span<const std::byte> record) {
    if (seq != next_) return fail("seq", std::to_string(seq));
    const auto decoded = decoder_.decode(record);
    if (!decoded) return fail("torn", decoded.error().message);
    for (const schema::Operation& operation : decoded->operations) {
      const auto name = name_in(operation);
      if (!name) continue;
      const std::string who =
          "worker " + std::to_string(name->worker) + " record " + std::to_string(name->number);
      if (!is_whole(operation, *name)) return fail("torn", who);
      if (name->number != ++last_[name->worker]) return fail("order", who);
    }
    ++next_;
    return true;
  }

  Diary& diary_;
  client::Session& session_;
  schema::Decoder decoder_;
  std::uint64_t next_ = 0;
  bool failed_ = false;
  std::unordered_map<std::uint64_t, std::uint64_t> last_;  // by worker: its last number
};

int run(const Orders& orders, const std::string& diary_path) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an aborted run leaves nobody
  struct sigaction action {};
  action.sa_handler = [](int) { told_to_end = true; };
  ::sigaction(SIGTERM, &action, nullptr);
  Diary diary(diary_path);
  client::OpenOptions options;
  options.pool_bytes = orders.value("pool", 0);
  options.command = "verify-" + std::to_string(orders.id);
  if (orders.role == "monitor") options.mode = client::OpenOptions::Mode::kMonitor;
  auto session = client::Session::open(orders.folder, options);
  if (!session) {
    diary.write_error("open: " + session.error().message);
    return 1;
  }
  diary.write({.kind = Entry::Kind::kOpened, .value = (*session)->id(), .at_ns = monotonic_ns()});
  touch(orders.value("touch", 0));
  bool fine = true;
  if (orders.role == "append") {
    diary.write({.kind = Entry::Kind::kReady, .at_ns = monotonic_ns()});
    fine = Appender(orders, diary, **session).run();
  } else {
    fine = Follower(diary, **session).run();
  }
  session->reset();
  if (fine) diary.write({.kind = Entry::Kind::kClosed, .at_ns = monotonic_ns()});
  return fine ? 0 : 1;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: verify_worker append|read|monitor FOLDER DIARY ID [KEY=VALUE]\n");
    return 2;
  }
  oj::verify::Orders orders{argv[1], argv[2], std::stoull(argv[4]), {}};
  for (int i = 5; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos)
      orders.values[word.substr(0, equals)] = std::stoull(word.substr(equals + 1));
  }
  return oj::verify::run(orders, argv[3]);
}
