// SPDX-License-Identifier: MIT
#include "tests/verify/hostile/processes.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <stdexcept>

#include "base/clock.h"
#include "libclient/session.h"
#include "schema/codec.h"

namespace oj::verify {
namespace {

constexpr unsigned kHangS = 60;  // nothing here takes that long
constexpr std::int64_t kCallMs = 3'000;

client::OpenOptions options() {
  client::OpenOptions options;
  options.open_timeout_ms = kCallMs;
  options.command = "hostile";
  return options;
}

void note(Progress& mine, const Error& error) {
  std::strncpy(mine.error, error.message.c_str(), sizeof mine.error - 1);
  mine.errors.fetch_add(1, std::memory_order_seq_cst);
}

// Is what a client reads right? Bad records come as empty bytes.
bool is_right(schema::Decoder& decoder, std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  const auto record = decoder.decode(bytes);
  if (!record) return false;
  const auto* attr = std::get_if<schema::SetStudyUserAttr>(&record->operations[0]);
  if (attr == nullptr) return true;
  const std::string key(attr->attr.key);
  return attr->attr.value.int64 == value_of(std::strtoull(key.c_str(), nullptr, 10));
}

class Client {
 public:
  Client(const std::string& folder, int index, Progress& mine)
      : folder_(folder), index_(index), mine_(mine) {}

  void run() {
    while (!mine_.enough.load(std::memory_order_seq_cst)) {
      alarm(kHangS);
      if (!session_) {
        auto opened = client::Session::open(folder_, options());
        if (!opened) {
          note(mine_, opened.error());
          usleep(20'000);
          continue;
        }
        session_ = *opened;
        position_ = 0;
      }
      step();
    }
    session_.reset();
  }

 private:
  void step() {
    const std::uint64_t number = number_of(index_, ++n_);
    const std::string key = std::to_string(number);
    schema::SetStudyUserAttr attr;
    attr.attr.key = key;
    attr.attr.value.kind = schema::Value::Kind::kInt64;
    attr.attr.value.int64 = value_of(number);
    const Deadline deadline = Deadline::in_ms(kCallMs);
    auto appended = session_->append(encoder_.encode(schema::Operation(attr)),
                                     client::Durability::kPublished, deadline);
    if (!appended) return failed(appended.error());
    mine_.appended.fetch_add(1, std::memory_order_seq_cst);
    if (n_ % 16 == 0) {
      if (auto synced = session_->wait_synced(*appended, deadline); !synced)
        return failed(synced.error());
      const std::uint64_t count = mine_.synced_count.load(std::memory_order_seq_cst);
      if (count < kSyncedMax) {
        mine_.synced[count].store(number, std::memory_order_seq_cst);
        mine_.synced_count.store(count + 1, std::memory_order_seq_cst);
      }
    }
    if (n_ % 4 == 0) read();
  }

  void read() {
    std::uint64_t right = 0, wrong = 0;
    const auto result =
        session_->read(position_, [&](std::uint64_t, std::span<const std::byte> bytes) {
          ++(is_right(decoder_, bytes) ? right : wrong);
          return true;
        });
    if (!result) return failed(result.error());
    position_ = result->next_seq;
    mine_.read.fetch_add(right, std::memory_order_seq_cst);
    mine_.wrong.fetch_add(wrong, std::memory_order_seq_cst);
  }

  // As a program does that wants to go on: what is gone is begun anew, else tried again; a session
  // that fails again and again is opened afresh.
  void failed(const Error& error) {
    note(mine_, error);
    if (error.code == Code::kGone || error.code == Code::kCorrupt) {
      position_ = 0;
      mine_.begun_anew.fetch_add(1, std::memory_order_seq_cst);
    }
    if (++failures_ % 4 == 0) session_.reset();
  }

  std::string folder_;
  int index_;
  Progress& mine_;
  std::shared_ptr<client::Session> session_;
  schema::Encoder encoder_;
  schema::Decoder decoder_;
  std::uint64_t n_ = 0, position_ = 0, failures_ = 0;
};

// "" if it ended by itself with an exit code of the table in decision 0034.
std::string ended(const std::string& who, pid_t pid, int status) {
  if (pid <= 0) return who + " cannot be waited for";
  if (WIFSIGNALED(status)) {
    return who + (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGKILL
                      ? " hung"
                      : " ended by signal " + std::to_string(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) > 6) return who + " ended with " + std::to_string(WEXITSTATUS(status));
  return "";
}

// As waitpid, but kills what has not ended in time.
int wait_or_kill(pid_t pid) {
  int status = 0;
  const Deadline deadline = Deadline::in_ms(kHangS * 1000);
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (deadline.passed()) kill(pid, SIGKILL);
    usleep(1'000);
  }
  return status;
}

}  // namespace

std::int64_t value_of(std::uint64_t number) {
  return static_cast<std::int64_t>((number * 0x9e3779b97f4a7c15u) >> 1);
}

Stage::Stage(const std::string& daemon_path) : daemon_path_(daemon_path) {
  std::string name = "/dev/shm/oj-hostile-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder on /dev/shm");
  base_ = name;
  for (Progress*& progress : progress_) {
    void* const shared =
        mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::runtime_error("no memory");
    progress = new (shared) Progress;
  }
}

Stage::~Stage() {
  for (const pid_t pid : clients_) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
  if (daemon_ > 0) kill(daemon_, SIGKILL), waitpid(daemon_, nullptr, 0);
  for (Progress* progress : progress_) munmap(progress, sizeof(Progress));
  std::error_code ignored;
  std::filesystem::remove_all(base_, ignored);
}

void Stage::start_daemon() {
  daemon_ = fork();
  if (daemon_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int said = open((base_ + "/said").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(said, STDERR_FILENO);
    const std::string folder = this->folder(), run = base_ + "/run";
    execl(daemon_path_.c_str(), "optjournald", folder.c_str(), "--runtime-folder", run.c_str(),
          "--pool", "1M", "--segment-min", "64K", "--segment-max", "256K", nullptr);
    _exit(127);
  }
  const Deadline deadline = Deadline::in_ms(kHangS * 1000);
  while (!client::daemon_status(folder())) {
    if (deadline.passed() || waitpid(daemon_, nullptr, WNOHANG) != 0)
      throw std::runtime_error("the daemon does not serve: " + daemon_said());
    usleep(2'000);
  }
}

void Stage::start_clients() {
  for (int index = 0; index < kClients; ++index) {
    const pid_t pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      Client(folder(), index, progress(index)).run();
      _exit(0);
    }
    clients_.push_back(pid);
  }
}

std::uint64_t Stage::appended() const {
  std::uint64_t sum = 0;
  for (const Progress* one : progress_) sum += one->appended.load(std::memory_order_seq_cst);
  return sum;
}

void Stage::let_them(std::uint64_t steps) const {
  const auto done = [this] {
    std::uint64_t sum = appended();
    for (const Progress* one : progress_) sum += one->errors.load(std::memory_order_seq_cst);
    return sum;
  };
  const std::uint64_t goal = done() + steps;
  const Deadline deadline = Deadline::in_ms(2'000);
  while (done() < goal && !deadline.passed()) usleep(200);
}

bool Stage::recovers() const {
  const std::uint64_t goal = appended() + 100;
  const Deadline deadline = Deadline::in_ms(kHangS * 1000 / 2);
  while (appended() < goal && !deadline.passed()) usleep(1'000);
  return appended() >= goal;
}

std::string Stage::visit() const {
  client::OpenOptions visitor = options();
  visitor.open_timeout_ms = 20'000;
  const auto opened = client::Session::open(folder(), visitor);
  return opened ? "" : opened.error().message;
}

std::string Stage::end_clients() {
  for (Progress* one : progress_) one->enough.store(true, std::memory_order_seq_cst);
  std::string wrong;
  for (const pid_t pid : clients_) {
    const std::string how = ended("a client", pid, wait_or_kill(pid));
    if (!how.empty()) wrong = how;
  }
  clients_.clear();
  return wrong;
}

std::string Stage::end_daemon() {
  kill(daemon_, SIGTERM);
  std::string how = ended("the daemon", daemon_, wait_or_kill(daemon_));
  daemon_ = -1;
  return how;
}

void Stage::hurt_daemon(int signal) const { kill(daemon_, signal); }
void Stage::hurt_client(int signal) const { kill(clients_.front(), signal); }

std::string Stage::region_file() const {
  std::string newest;
  std::uint64_t highest = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(base_ + "/run", ignored)) {
    const std::string name = entry.path().filename();
    if (name.rfind("region-", 0) != 0 || name.find('.') != std::string::npos) continue;
    const std::uint64_t generation = std::strtoull(name.c_str() + 7, nullptr, 10);
    if (generation >= highest) newest = entry.path(), highest = generation;
  }
  return newest;
}

std::string Stage::daemon_said() const {
  std::ifstream in(base_ + "/said");
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace oj::verify
