// SPDX-License-Identifier: MIT
#include "daemon/control.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <limits>
#include <set>
#include <utility>
#include <variant>

#include <spdlog/spdlog.h>

#include "base/check.h"
#include "base/clock.h"
#include "shm/watermarks.h"

namespace oj::daemon {
namespace {

// Keys of the epoll set: kind in the upper byte, connection or slot number below.
enum class Source : std::uint64_t { kListener = 1, kSignals, kEvent, kFolder, kConnection, kPidfd };
constexpr unsigned kSourceShift = 56;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kSourceShift) - 1;
constexpr std::uint64_t key_of(Source source, std::uint64_t number = 0) {
  return (static_cast<std::uint64_t>(source) << kSourceShift) | number;
}

constexpr int kEventsMax = 64;
constexpr std::size_t kMonitorsMax = 64;          // connections beyond one for each worker slot
constexpr std::size_t kDescriptorsReserved = 64;  // of the process's limit: segments, region, ...
constexpr int kPendingRetryMs = 20;               // for records that found the ring full
constexpr int kDegradedRetryMs = 500;             // likewise, while the disk makes no room
constexpr int kAcceptPauseMs = 200;               // after accept() failed
constexpr std::int64_t kFirstClientMs =
    2000;  // an idle end before anybody came would miss who started us
constexpr std::int64_t kSayAgainNs = 10 * kNsPerS;

std::size_t connections_allowed(std::uint32_t slots) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kMonitorsMax;
  const auto descriptors = static_cast<std::size_t>(limit.rlim_cur);
  // A worker costs two: its connection and its pidfd.
  const std::size_t affordable =
      descriptors > kDescriptorsReserved ? (descriptors - kDescriptorsReserved) / 2 : 8;
  return std::min<std::size_t>(slots + kMonitorsMax, affordable);
}

// A packet's size is limited: of very many workers the GPUs are left out, then some workers.
schema::Status fitting(schema::Status status) {
  if (schema::encode_control(status).size() > schema::kControlMessageBytesMax) {
    for (schema::WorkerStatus& worker : status.workers) worker.identity.gpus.clear();
  }
  while (!status.workers.empty() &&
         schema::encode_control(status).size() > schema::kControlMessageBytesMax) {
    status.workers.resize(status.workers.size() * 3 / 4);
  }
  return status;
}

}  // namespace

Control::Control(const ControlSettings& settings, std::shared_ptr<shm::Region> region,
                 Flusher& flusher, OrphanKeeper& orphans, int signals)
    : settings_(settings),
      region_(std::move(region)),
      flusher_(flusher),
      heartbeat_(*settings.supervisor, flusher),
      orphans_(orphans),
      roster_(region_, flusher.orders(),
              [this](int pidfd, std::uint32_t slot) {
                return watch(pidfd, key_of(Source::kPidfd, slot), EPOLLIN);
              }),
      left_out_wakes_(region_),
      signals_(signals),
      connections_max_(connections_allowed(region_->sizes().worker_slots)),
      bad_packet_limit_(kSayAgainNs),
      full_limit_(kSayAgainNs) {}

Control::~Control() = default;

Result<std::unique_ptr<Control>> Control::start(const ControlSettings& settings,
                                                std::shared_ptr<shm::Region> region,
                                                Flusher& flusher, OrphanKeeper& orphans,
                                                int signals, int event) {
  std::unique_ptr<Control> control(
      new Control(settings, std::move(region), flusher, orphans, signals));
  if (Result<void> opened = control->open(event); !opened) return opened.error();
  return control;
}

Result<void> Control::open(int event) {
  epoll_ = Fd(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return io_error("cannot make an epoll set", errno);
  folder_watch_ = Fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!folder_watch_ || inotify_add_watch(folder_watch_.get(), settings_.runtime_folder.c_str(),
                                          IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF |
                                              IN_MOVE_SELF | IN_MODIFY) < 0) {
    spdlog::warn("cannot watch {}: a removal of the region will be noticed late (errno {})",
                 settings_.runtime_folder, errno);
  }
  auto listener = listen_in(settings_.runtime_folder, settings_.rights);
  if (!listener) return listener.error();
  listener_ = std::move(*listener);
  const bool watching = watch(listener_.get(), key_of(Source::kListener), EPOLLIN) &&
                        watch(signals_, key_of(Source::kSignals), EPOLLIN) &&
                        watch(event, key_of(Source::kEvent), EPOLLIN | EPOLLET);
  if (!watching) return io_error("cannot watch a descriptor", errno);
  if (folder_watch_) watch(folder_watch_.get(), key_of(Source::kFolder), EPOLLIN);
  look_at_slots();
  idle_since_ns_ = monotonic_ns();
  return {};
}

bool Control::watch(int fd, std::uint64_t key, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = key;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

Control::End Control::serve() {
  while (!end_) {
    std::array<epoll_event, kEventsMax> events;
    const int count = epoll_wait(epoll_.get(), events.data(), kEventsMax, timeout_ms());
    OJ_CHECK(count >= 0 || errno == EINTR);
    for (int i = 0; i < count && !end_; ++i) dispatch(events[static_cast<std::size_t>(i)].data.u64);
    if (!end_) on_time();
  }
  return *end_;
}

void Control::dispatch(std::uint64_t key) {
  const std::uint64_t number = key & kNumberMask;
  switch (static_cast<Source>(key >> kSourceShift)) {
    case Source::kListener: return on_listener();
    case Source::kSignals: return on_signal();
    case Source::kEvent: return look_at_slots();
    case Source::kFolder: return on_folder();
    case Source::kConnection: return on_connection(number);
    case Source::kPidfd:
      roster_.on_pidfd(static_cast<std::uint32_t>(number));
      return look_at_slots();
  }
}

void Control::on_signal() {
  signalfd_siginfo info{};
  if (read(signals_, &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo == SIGHUP) return;
  spdlog::info("{} from pid {}: draining", info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM",
               info.ssi_pid);
  end_ = End::kStop;
}

void Control::on_listener() {
  auto accepted = accept_one(listener_.get());
  if (!accepted) {
    if (full_limit_.allow(monotonic_ns()))
      spdlog::warn("{}; trying again", accepted.error().message);
    settings_.troubles->count(Trouble::kAccept);
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
    listening_paused_ = true;
    return;
  }
  if (!*accepted) return;
  if (connections_.size() >= connections_max_) {
    const std::string message =
        "the limit of " + std::to_string(connections_max_) +
        " connections to the daemon is reached (worker slots, and its limit on open files)" +
        roster_.holders();
    if (full_limit_.allow(monotonic_ns())) spdlog::warn("a client was refused: {}", message);
    settings_.troubles->count(Refusal::kConnections);
    send((*accepted)->fd.get(), schema::Refusal{static_cast<std::uint32_t>(Code::kBusy), message});
    forget_unread((*accepted)->fd.get());
    return;
  }
  const std::uint64_t id = next_connection_++ & kNumberMask;
  if (!watch((*accepted)->fd.get(), key_of(Source::kConnection, id), EPOLLIN)) return;
  connections_.emplace(id, Connection{std::move((*accepted)->fd), (*accepted)->peer, std::nullopt});
  had_clients_ = true;
}

void Control::on_connection(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Packet packet = receive(found->second.fd.get());
  switch (packet.kind) {
    case Packet::Kind::kNone: return;
    case Packet::Kind::kEnd: return drop(id);
    case Packet::Kind::kBad: refuse(id, Code::kInvalid, packet.why); return drop(id);
    case Packet::Kind::kMessage: return answer(id, found->second, packet);
  }
}

void Control::answer(std::uint64_t id, Connection& connection, Packet& packet) {
  auto message = schema::decode_control(packet.bytes);
  if (!message) {
    refuse(id, message.error().code, message.error().message);
    return drop(id);
  }
  if (const auto* said = std::get_if<schema::Hello>(&*message)) {
    return hello(id, connection, *said, std::move(packet.descriptor));
  }
  if (std::holds_alternative<schema::StatusRequest>(*message)) {
    return reply(id, fitting(status()));
  }
  if (std::holds_alternative<schema::StopRequest>(*message)) return stop_asked(id);
  refuse(id, Code::kInvalid, "this message is the daemon's to send");
  drop(id);
}

void Control::refuse(std::uint64_t id, Code code, const std::string& message) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  settings_.troubles->count(Troubles::of_code(code));
  if (bad_packet_limit_.allow(monotonic_ns())) {
    spdlog::warn("refused pid {}: {} ({} more refusals since this was last said)",
                 found->second.peer.pid, message, bad_packet_limit_.left_out());
  }
  reply(id, schema::Refusal{static_cast<std::uint32_t>(code), message});
}

void Control::reply(std::uint64_t id, const schema::ControlMessage& message) {
  const auto found = connections_.find(id);
  if (found != connections_.end() && !send(found->second.fd.get(), message)) drop(id);
}

void Control::drop(std::uint64_t id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const bool had_slot = found->second.slot.has_value();
  forget_unread(found->second.fd.get());
  connections_.erase(found);
  // It may have closed its slot before, or, without a pidfd, be dead.
  if (had_slot || roster_.by_lock() > 0) look_at_slots();
}

void Control::hello(std::uint64_t id, Connection& connection, const schema::Hello& hello,
                    Fd pidfd) {
  if (hello.version != schema::kControlVersion) {
    return refuse(id, Code::kIncompatible,
                  "the client speaks version " + std::to_string(hello.version) +
                      " of the control protocol, this daemon version " +
                      std::to_string(schema::kControlVersion));
  }
  if (!file_is_sound())
    return refuse(id, Code::kGone, "the region is damaged and is being replaced: ask again");
  if (hello.monitor) return welcome(id, nullptr);
  if (connection.slot)
    return refuse(id, Code::kInvalid, "this connection has a worker slot already");
  const Result<shm::SlotRef> slot = roster_.admit(hello, connection.peer, std::move(pidfd));
  if (!slot) return refuse(id, slot.error().code, slot.error().message);
  connection.slot = *slot;
  look_at_slots();  // the flusher knows that there is somebody before the client can publish
  welcome(id, &*slot);
}

void Control::welcome(std::uint64_t id, const shm::SlotRef* slot) {
  schema::Welcome welcome;
  welcome.generation = region_->identity().generation;
  welcome.region_file = region_file_name(welcome.generation);
  welcome.daemon_pid = static_cast<std::uint32_t>(getpid());
  if (slot != nullptr) {
    const shm::SlotIdentity who = roster_.identity(*slot);
    welcome.slot = slot->index;
    welcome.incarnation = slot->incarnation;
    welcome.session = who.session;
    spdlog::info("worker attached: pid {} ({}), session {}, slot {}", who.pid, who.command,
                 who.session, slot->index);
  }
  reply(id, welcome);
}

void Control::stop_asked(std::uint64_t id) {
  look_at_slots();
  if (workers() > 0) {
    return refuse(id, Code::kRefused,
                  std::to_string(workers()) + " workers are attached" + roster_.holders());
  }
  spdlog::info("asked to stop: draining");
  reply(id, schema::Stopping{});
  end_ = End::kStop;
}

// Nobody can attach to a region whose file does not pass the checks of attaching. Stores through a
// mapping tell nobody, so it is looked at when somebody comes: a worker that saw them comes, too.
bool Control::file_is_sound() {
  const Result<void> sound = region_->check_file();
  if (sound) return true;
  spdlog::error("the region is damaged: {}", sound.error().message);
  settings_.troubles->count(Trouble::kDamagedRegion);
  end_ = End::kRegionDamaged;
  return false;
}

// Something in the runtime folder was removed or written: what we need, or something else?
void Control::on_folder() {
  alignas(inotify_event) std::array<char, 4096> events;
  while (read(folder_watch_.get(), events.data(), events.size()) > 0) {}
  struct stat mapped {
  }, named{};
  const bool region_there = fstat(region_->fd(), &mapped) == 0 &&
                            stat(region_->path().c_str(), &named) == 0 &&
                            mapped.st_ino == named.st_ino && mapped.st_dev == named.st_dev;
  if (!region_there) {
    spdlog::warn(
        "region {} was removed while it was in use: syncing what it holds, and making another one",
        region_->path());
    end_ = End::kRegionGone;
    return;
  }
  if (!file_is_sound()) return;
  const std::string socket_path = settings_.runtime_folder + "/" + kControlSocketName;
  if (access(socket_path.c_str(), F_OK) == 0) return;
  auto listener = listen_in(settings_.runtime_folder, settings_.rights);
  if (!listener) {
    spdlog::error("{} was removed and cannot be made again: {}", socket_path,
                  listener.error().message);
    return;
  }
  spdlog::warn("{} was removed; made again", socket_path);
  listener_ = std::move(*listener);
  listening_paused_ = !watch(listener_.get(), key_of(Source::kListener), EPOLLIN);
}

void Control::look_at_slots() {
  std::set<std::uint32_t> connected;
  for (const auto& [id, connection] : connections_) {
    if (connection.slot) connected.insert(connection.slot->index);
  }
  roster_.look(connected);
  heartbeat_.say(status_line());
  if (const auto seat = roster_.seat()) orphans_.use_seat(*seat);
  if (roster_.workers() == 0) return;
  had_clients_ = true;
  idle_since_ns_ = monotonic_ns();
}

void Control::on_time() {
  const std::int64_t now_ns = monotonic_ns();
  if (flusher_.end() != Flusher::End::kRunning) {
    end_ = End::kRegionDamaged;  // it was not asked to end
    return;
  }
  if (roster_.pending()) roster_.continue_pending();
  tell_deaths();
  if (listening_paused_)
    listening_paused_ = !watch(listener_.get(), key_of(Source::kListener), EPOLLIN);
  if (roster_.attached()) left_out_wakes_.look(now_ns);
  if (roster_.look_is_due(now_ns)) look_at_slots();
  if (heartbeat_.left_ms(now_ns) == 0) heartbeat_.look(now_ns, status_line());
  if (!connections_.empty() || workers() > 0) idle_since_ns_ = now_ns;
  if (idle_for_long()) {
    spdlog::info("no client for {} ms: draining", *settings_.idle_exit_ms);
    end_ = End::kStop;
  }
}

void Control::tell_deaths() {
  if (deaths_told_ == roster_.deaths_told()) return;
  deaths_told_ = roster_.deaths_told();
  orphans_.look();
}

bool Control::idle_for_long() const {
  if (orphans_.busy()) return false;  // its end is told through the eventfd
  if (!settings_.idle_exit_ms || !connections_.empty() || workers() > 0 || roster_.pending())
    return false;
  const std::int64_t wait_ms =
      had_clients_ ? *settings_.idle_exit_ms : std::max(*settings_.idle_exit_ms, kFirstClientMs);
  return monotonic_ns() - idle_since_ns_ >= wait_ms * kNsPerMs;
}

// Of the next thing that on_time() has to do; -1: nothing.
int Control::timeout_ms() const {
  const std::int64_t now_ns = monotonic_ns();
  std::int64_t ms = std::numeric_limits<int>::max();
  const bool idle = connections_.empty() && workers() == 0 && !orphans_.busy();
  if (roster_.pending())
    ms = std::min<std::int64_t>(ms,
                                shm::degraded(*region_) == 0 ? kPendingRetryMs : kDegradedRetryMs);
  if (listening_paused_) ms = std::min<std::int64_t>(ms, kAcceptPauseMs);
  // Looks at locks come with these.
  if (roster_.attached())
    ms = std::min(ms, (left_out_wakes_.left_ns(now_ns) + kNsPerMs - 1) / kNsPerMs);
  if (const int beat_ms = heartbeat_.left_ms(now_ns); beat_ms >= 0)
    ms = std::min<std::int64_t>(ms, beat_ms);
  if (settings_.idle_exit_ms && idle) {
    const std::int64_t wait_ms =
        had_clients_ ? *settings_.idle_exit_ms : std::max(*settings_.idle_exit_ms, kFirstClientMs);
    const std::int64_t passed_ms = (now_ns - idle_since_ns_) / kNsPerMs;
    ms = std::min(ms, std::max<std::int64_t>(0, wait_ms - passed_ms) + 1);
  }
  return ms == std::numeric_limits<int>::max() ? -1 : static_cast<int>(ms);
}

schema::Status Control::status() {
  schema::Status s;
  s.daemon_version = OPTJOURNAL_VERSION;
  s.folder = settings_.folder;
  s.daemon_pid = static_cast<std::uint32_t>(getpid());
  s.embedded = settings_.embedded;
  s.started_us = settings_.started_us;
  s.generation = region_->identity().generation;
  s.retained = shm::retained(*region_);
  s.synced = shm::synced(*region_);
  s.written = std::max(s.synced, shm::written(*region_));
  s.published = std::max(s.written, shm::published_end(*region_));
  const shm::Sizes& sizes = region_->sizes();
  s.ring_slots = sizes.ring_slots;
  s.chunk_bytes = sizes.chunk_bytes;
  s.chunk_count = sizes.chunk_count;
  s.region_bytes = sizes.region_bytes();
  const FlushStatistics& flushed = flusher_.statistics();
  s.segments = flushed.segments.load(std::memory_order_relaxed);          // stat
  s.disk_bytes = flushed.disk_bytes.load(std::memory_order_relaxed);      // stat
  s.syncs = flushed.syncs.load(std::memory_order_relaxed);                // stat
  s.sync_ns_last = flushed.sync_ns_last.load(std::memory_order_relaxed);  // stat
  s.sync_ns_max = flushed.sync_ns_max.load(std::memory_order_relaxed);    // stat
  for (const auto& bucket : flushed.sync_ns_buckets)
    s.sync_ns_buckets.push_back(bucket.load(std::memory_order_relaxed));  // stat
  s.degraded = flusher_.degraded_text();
  roster_.describe(s);
  return s;
}

// For `systemctl status`: what matters most, in a line.
std::string Control::status_line() const {
  const std::string degraded = flusher_.degraded_text();
  if (!degraded.empty()) return "nothing can be synced at present: " + degraded;
  const std::int64_t since_ns = flusher_.in_disk_call_since_ns();
  const std::int64_t waiting_s = since_ns == 0 ? 0 : (monotonic_ns() - since_ns) / kNsPerS;
  if (waiting_s > 0) return "waiting for the disk, since " + std::to_string(waiting_s) + " s";
  const std::uint64_t synced = shm::synced(*region_);
  return std::to_string(roster_.workers()) + " workers; " + std::to_string(synced) +
         " records synced, " +
         std::to_string(std::max(synced, shm::published_end(*region_)) - synced) + " to sync";
}

void Control::close() {
  listener_.reset();
  unlink((settings_.runtime_folder + "/" + kControlSocketName).c_str());
  for (int tries = 0; roster_.continue_pending() && tries < 50;
       ++tries) {  // the flusher makes room meanwhile
    usleep(kPendingRetryMs * 1000);
    left_out_wakes_.look(monotonic_ns());
  }
  orphans_.stop();  // it publishes with our seat
  roster_.give_up_seat();
}

}  // namespace oj::daemon
