// SPDX-License-Identifier: MIT
#include "daemon/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/clock.h"
#include "base/fd.h"
#include "daemon/abandoned_regions.h"
#include "daemon/control.h"
#include "daemon/exit_codes.h"
#include "daemon/flusher.h"
#include "daemon/heartbeat.h"
#include "daemon/left_out_wakes.h"
#include "daemon/logging.h"
#include "daemon/metrics.h"
#include "daemon/orphan_keeper.h"
#include "daemon/recovery.h"
#include "daemon/runtime_folder.h"
#include "daemon/supervisor.h"
#include "daemon/troubles.h"
#include "journal/folder.h"
#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

// After a region was retired: a producer that had just looked whether it is gets its record in
// before the last sync.
constexpr useconds_t kRetireGraceUs = 50'000;

Result<Fd> take_signals() {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&ours, number);
  if (sigprocmask(SIG_SETMASK, &ours, nullptr) != 0) return io_error("cannot block signals", errno);
  for (const int number : {SIGPIPE, SIGXFSZ})
    signal(number, SIG_IGN);  // they are errors of the call instead
  Fd fd(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return io_error("cannot make a signalfd", errno);
  return fd;
}

// A worker costs two descriptors; the usual soft limit of 1024 is for programs that use select().
void raise_open_files_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

void share_new_files(const Rights& rights) {
  if (rights.group == static_cast<gid_t>(-1)) return;
  const mode_t mask = umask(0077);
  const mode_t for_group = rights.folder_mode & 0070;
  umask((mask & ~for_group) | (0070 & ~for_group));
}

// A daemon from holding the folder to giving it up.
class Server {
 public:
  Server(const Options& options, const Supervisor& supervisor, Announcement& announcement)
      : options_(options), supervisor_(supervisor), announcement_(announcement) {}

  Result<int> run() {
    if (Result<void> taken = take_folder(); !taken) return taken.error();
    for (;;) {
      auto again = serve_one_region();
      if (!again) return again.error();
      if (!*again) return exit_code_;
    }
  }

 private:
  Result<void> take_folder();
  // True: the region cannot be gone on with, make another one.
  Result<bool> serve_one_region();
  Flusher::End drain(Flusher& flusher, const std::shared_ptr<shm::Region>& region);
  Flusher::End drain_once(Flusher& flusher, const std::shared_ptr<shm::Region>& region);
  void leave(const std::shared_ptr<shm::Region>& region, Flusher::End end);
  ControlSettings settings();

  const Options& options_;
  const Supervisor& supervisor_;
  Announcement& announcement_;
  const std::int64_t started_us_ = utc_us();
  Fd signals_, event_, folder_lock_, runtime_lock_;
  std::optional<journal::Folder> folder_;
  Rights rights_;
  Troubles troubles_;
  std::unique_ptr<Metrics> metrics_;  // null: off
  std::string runtime_folder_;
  int exit_code_ = kExitOk;
};

Result<void> Server::take_folder() {
  auto signals = take_signals();
  if (!signals) return signals.error();
  signals_ = std::move(*signals);
  event_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event_) return io_error("cannot make an eventfd", errno);
  raise_open_files_limit();
  auto folder = journal::Folder::open(options_.folder, journal::Folder::IfAbsent::kCreate);
  if (!folder) return folder.error();
  folder_.emplace(std::move(*folder));
  auto rights = rights_of(*folder_, options_);
  if (!rights) return rights.error();
  rights_ = *rights;
  share_new_files(rights_);
  auto runtime_folder = choose_runtime_folder(*folder_, options_, rights_);
  if (!runtime_folder) return runtime_folder.error();
  runtime_folder_ = std::move(*runtime_folder);
  if (runtime_folder_.size() > kRuntimeFolderBytesMax) {
    return Error{Code::kInvalid, "runtime folder " + runtime_folder_ + " has a name of " +
                                     std::to_string(runtime_folder_.size()) +
                                     " bytes; for a socket in it, at most " +
                                     std::to_string(kRuntimeFolderBytesMax) + " fit"};
  }
  auto lock = folder_->lock_for_serving(runtime_folder_);
  if (!lock) return lock.error();
  folder_lock_ = std::move(*lock);
  if (!options_.metrics.empty()) {
    auto metrics = Metrics::listen(options_.metrics, started_us_, troubles_);
    if (!metrics) return metrics.error();
    metrics_ = std::move(*metrics);
  }
  if (!options_.embedded) return {};
  if (chdir("/") != 0)
    return io_error("cannot go to /", errno);  // keep no file system busy but the journal's
  return start_logging_to_file(folder_->path() + "/optjournald.log", options_.level, rights_.group);
}

ControlSettings Server::settings() {
  return {folder_->path(),       runtime_folder_, rights_,      options_.embedded,
          options_.idle_exit_ms, started_us_,     &supervisor_, &troubles_};
}

Result<bool> Server::serve_one_region() {
  runtime_lock_.reset();
  auto taken = take_runtime_folder(runtime_folder_, rights_);
  if (!taken) return taken.error();
  runtime_lock_ = std::move(*taken);
  remember_folder(runtime_folder_, *folder_);
  std::optional<OpeningBeat> beat(std::in_place, supervisor_);
  auto opened = open_journal(*folder_, runtime_folder_, rights_, options_);
  if (!opened) return opened.error();
  beat.reset();
  const std::shared_ptr<shm::Region> region = opened->region;
  shm::set_degraded(*region, 0);
  Flusher flusher(region, std::move(opened->writer), options_.sync_window_ms * kNsPerMs,
                  event_.get(), troubles_);
  OrphanKeeper orphans(*folder_, region, {options_.orphans, options_.orphan_grace_ms}, event_.get(),
                       troubles_);
  auto control = Control::start(settings(), region, flusher, orphans, signals_.get(), event_.get());
  if (!control) return control.error();
  const Metrics::Serving told(metrics_.get(), *folder_, region, flusher);
  flusher.start();
  orphans.start();
  shm::wake_everybody(*region);
  spdlog::info("serving {} (pid {}, generation {})", folder_->path(), getpid(),
               region->identity().generation);
  if (metrics_) spdlog::info("metrics at {}", metrics_->url());
  announcement_.ready();
  supervisor_.tell("READY=1");
  remove_abandoned_regions(runtime_folder_);

  const Control::End why = (*control)->serve();
  if (why == Control::End::kStop) supervisor_.tell("STOPPING=1\nSTATUS=draining");
  (*control)->close();
  if (why != Control::End::kStop) {
    region->retire();
    shm::wake_everybody(*region);
    spdlog::warn("retired region {} (generation {}): {}", region->path(),
                 region->identity().generation,
                 why == Control::End::kRegionGone ? "its file is gone" : "it is damaged");
    usleep(kRetireGraceUs);
  }
  const Flusher::End end = drain(flusher, region);
  control->reset();  // the connections end here: clients see that nothing more comes
  if (why == Control::End::kStop) {
    leave(region, end);
    return false;
  }
  const std::uint64_t published = shm::published_end(*region), synced = shm::synced(*region);
  if (region->lost()) {
    spdlog::error("what was published, but not yet synced, is lost; how much cannot be told");
  } else if (published > synced) {
    spdlog::error("{} records that were published, but not yet synced, are lost",
                  published - synced);
  }
  // A damaged header may look like another version's, and a worker that sleeps holds its slot.
  if (why != Control::End::kRegionGone) unlink(region->path().c_str());
  return true;
}

// Slots whose worker may still publish.
std::uint32_t slots_taken(const std::shared_ptr<shm::Region>& region) {
  const shm::SlotTable slots(region);
  std::uint32_t taken = 0;
  for (std::uint32_t i = 0; i < slots.size(); ++i) {
    const shm::SlotState state = slots.snapshot(i).state;
    taken += state == shm::SlotState::kLive || state == shm::SlotState::kAssigned ||
             state == shm::SlotState::kReaping;
  }
  return taken;
}

// Until all is synced that was published before this call, and before the last worker let go: who
// publishes meanwhile and closes has nobody else.
Flusher::End Server::drain(Flusher& flusher, const std::shared_ptr<shm::Region>& region) {
  for (;;) {
    const Flusher::End end = drain_once(flusher, region);
    if (end != Flusher::End::kDrained) return end;
    // In this order: nobody comes any more, so without workers the end stays where it is.
    const bool for_good = slots_taken(region) == 0 || region->retired();
    if (!for_good || shm::published_end(*region) <= shm::synced(*region)) return end;
    flusher.start();
  }
}

Flusher::End Server::drain_once(Flusher& flusher, const std::shared_ptr<shm::Region>& region) {
  flusher.orders().post_drain();
  Heartbeat heartbeat(supervisor_, flusher);
  LeftOutWakes wakes(region);
  while (flusher.end() == Flusher::End::kRunning) {
    pollfd event{event_.get(), POLLIN, 0};
    eventfd_t count = 0;
    const std::int64_t now_ns = monotonic_ns();
    const int beat_ms = heartbeat.left_ms(now_ns);
    const int look_ms = static_cast<int>(wakes.left_ns(now_ns) / kNsPerMs) + 1;
    poll(&event, 1, beat_ms < 0 ? look_ms : std::min(beat_ms, look_ms));
    eventfd_read(event_.get(), &count);
    wakes.look(monotonic_ns());
    heartbeat.look_while_stopping(monotonic_ns());
  }
  flusher.join();
  return flusher.end();
}

// The region stays while somebody has a slot in it, or it has records that the disk has not.
void Server::leave(const std::shared_ptr<shm::Region>& region, Flusher::End end) {
  const std::uint32_t taken = slots_taken(region);  // before the end is looked up: as in drain()
  const std::uint64_t published = shm::published_end(*region), synced = shm::synced(*region);
  if (end != Flusher::End::kDrained) {
    spdlog::error(
        "{} records could not be synced; they stay in {} for the next daemon, until the machine "
        "goes down",
        published - synced, region->path());
    exit_code_ = kExitFailed;
    return;
  }
  if (taken > 0 || published > synced) {
    shm::wake_everybody(*region);  // who sleeps in it looks for the next daemon
    spdlog::info("ended; {} records synced; {} workers stay, in {}, for the next daemon", synced,
                 taken, region->path());
    return;
  }
  region->retire();  // for monitors, who have no slot
  shm::wake_everybody(*region);
  unlink(region->path().c_str());
  remove_runtime_folder(runtime_folder_);
  spdlog::info("ended; {} records synced", synced);
}

}  // namespace

int serve(const Options& options, Announcement& announcement) {
  // An embedded daemon may have inherited the supervisor of the program that started it.
  const Supervisor supervisor = options.embedded ? Supervisor() : Supervisor::from_environment();
  Server server(options, supervisor, announcement);
  Result<int> ended = server.run();
  if (ended) return *ended;
  const int exit_code = exit_code_of(ended.error());
  announcement.failed(exit_code, ended.error().message);
  supervisor.tell("STATUS=" + ended.error().message);
  if (options.embedded) spdlog::error("{}", ended.error().message);
  return exit_code;
}

}  // namespace oj::daemon
