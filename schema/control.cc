// SPDX-License-Identifier: MIT
#include "schema/control.h"

#include <algorithm>
#include <cstring>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>
#include <kj/exception.h>

#include "schema/control.capnp.h"

namespace oj::schema {
namespace {

namespace wire_control = wire::control;

constexpr std::size_t kCommandBytesMax = 63;
constexpr int kNestingMax =
    12;  // Message, status, workers, identity, gpus, name; each list element counts too

capnp::Data::Reader as_data(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}
std::string text(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
std::string_view command_kept(std::string_view command) {
  return command.substr(0, kCommandBytesMax);
}

void write_identity(const WorkerIdentity& from, wire_control::Identity::Builder to) {
  to.setUser(as_data(from.user));
  to.setContainer(as_data(from.container));
  if (from.cuda_visible_devices) to.setCudaVisibleDevices(as_data(*from.cuda_visible_devices));
  if (from.gpus.empty()) return;
  auto gpus = to.initGpus(static_cast<unsigned>(from.gpus.size()));
  unsigned i = 0;
  for (const GpuIdentity& gpu : from.gpus) {
    gpus[i].setUuid(as_data(gpu.uuid));
    gpus[i++].setName(as_data(gpu.name));
  }
}

struct Write {
  wire_control::Message::Builder message;

  void operator()(const Hello& from) {
    auto to = message.initHello();
    to.setVersion(from.version);
    to.setMonitor(from.monitor);
    to.setRejoin(from.rejoin);
    to.setSlot(from.slot);
    to.setIncarnation(from.incarnation);
    to.setSession(from.session);
    to.setCommand(as_data(command_kept(from.command)));
    write_identity(from.identity, to.initIdentity());
  }
  void operator()(const Welcome& from) {
    auto to = message.initWelcome();
    to.setGeneration(from.generation);
    to.setRegionFile(as_data(from.region_file));
    to.setSlot(from.slot);
    to.setIncarnation(from.incarnation);
    to.setSession(from.session);
    to.setDaemonPid(from.daemon_pid);
  }
  void operator()(const Refusal& from) {
    auto to = message.initRefusal();
    to.setCode(from.code);
    to.setMessage(as_data(from.message));
  }
  void operator()(const StatusRequest&) { message.initStatusRequest(); }
  void operator()(const StopRequest&) { message.initStopRequest(); }
  void operator()(const Stopping&) { message.initStopping(); }
  void operator()(const Status& from) {
    auto to = message.initStatus();
    to.setDaemonVersion(as_data(from.daemon_version));
    to.setFolder(as_data(from.folder));
    to.setDaemonPid(from.daemon_pid);
    to.setEmbedded(from.embedded);
    to.setStartedUs(from.started_us);
    to.setGeneration(from.generation);
    to.setPublished(from.published);
    to.setWritten(from.written);
    to.setSynced(from.synced);
    to.setRetained(from.retained);
    to.setRingSlots(from.ring_slots);
    to.setChunkBytes(from.chunk_bytes);
    to.setChunkCount(from.chunk_count);
    to.setChunksInUse(from.chunks_in_use);
    to.setRegionBytes(from.region_bytes);
    to.setSegments(from.segments);
    to.setDiskBytes(from.disk_bytes);
    to.setSyncs(from.syncs);
    to.setSyncNsLast(from.sync_ns_last);
    to.setSyncNsMax(from.sync_ns_max);
    auto buckets = to.initSyncNsBuckets(static_cast<unsigned>(from.sync_ns_buckets.size()));
    for (unsigned b = 0; b < buckets.size(); ++b) buckets.set(b, from.sync_ns_buckets[b]);
    to.setDegraded(as_data(from.degraded));
    auto workers = to.initWorkers(static_cast<unsigned>(from.workers.size()));
    unsigned i = 0;
    for (const WorkerStatus& worker : from.workers) write_worker(worker, workers[i++]);
  }

 private:
  static void write_worker(const WorkerStatus& from, wire_control::WorkerStatus::Builder to) {
    to.setSlot(from.slot);
    to.setPid(from.pid);
    to.setUid(from.uid);
    to.setSession(from.session);
    to.setCommand(as_data(command_kept(from.command)));
    to.setStartedUs(from.started_us);
    to.setRecords(from.records);
    to.setChunks(from.chunks);
    write_identity(from.identity, to.initIdentity());
  }
};

WorkerIdentity identity(wire_control::Identity::Reader from) {
  using Kept = WorkerIdentity;
  WorkerIdentity to;
  to.user = text(from.getUser()).substr(0, Kept::kUserBytesMax);
  to.container = text(from.getContainer()).substr(0, Kept::kContainerBytesMax);
  if (from.hasCudaVisibleDevices()) {
    to.cuda_visible_devices =
        text(from.getCudaVisibleDevices()).substr(0, Kept::kCudaVisibleDevicesBytesMax);
  }
  for (const auto gpu : from.getGpus()) {
    if (to.gpus.size() == Kept::kGpusMax) break;
    to.gpus.push_back({text(gpu.getUuid()).substr(0, Kept::kGpuUuidBytesMax),
                       text(gpu.getName()).substr(0, Kept::kGpuNameBytesMax)});
  }
  return to;
}

Hello hello(wire_control::Hello::Reader from) {
  Hello to;
  to.version = from.getVersion();
  to.monitor = from.getMonitor();
  to.rejoin = from.getRejoin();
  to.slot = from.getSlot();
  to.incarnation = from.getIncarnation();
  to.session = from.getSession();
  to.command = command_kept(text(from.getCommand()));
  to.identity = identity(from.getIdentity());
  return to;
}

Welcome welcome(wire_control::Welcome::Reader from) {
  Welcome to;
  to.generation = from.getGeneration();
  to.region_file = text(from.getRegionFile());
  to.slot = from.getSlot();
  to.incarnation = from.getIncarnation();
  to.session = from.getSession();
  to.daemon_pid = from.getDaemonPid();
  return to;
}

WorkerStatus worker(wire_control::WorkerStatus::Reader from) {
  WorkerStatus to;
  to.slot = from.getSlot();
  to.pid = from.getPid();
  to.uid = from.getUid();
  to.session = from.getSession();
  to.command = command_kept(text(from.getCommand()));
  to.started_us = from.getStartedUs();
  to.records = from.getRecords();
  to.chunks = from.getChunks();
  to.identity = identity(from.getIdentity());
  return to;
}

Status status(wire_control::Status::Reader from) {
  Status to;
  to.daemon_version = text(from.getDaemonVersion());
  to.folder = text(from.getFolder());
  to.daemon_pid = from.getDaemonPid();
  to.embedded = from.getEmbedded();
  to.started_us = from.getStartedUs();
  to.generation = from.getGeneration();
  to.published = from.getPublished();
  to.written = from.getWritten();
  to.synced = from.getSynced();
  to.retained = from.getRetained();
  to.ring_slots = from.getRingSlots();
  to.chunk_bytes = from.getChunkBytes();
  to.chunk_count = from.getChunkCount();
  to.chunks_in_use = from.getChunksInUse();
  to.region_bytes = from.getRegionBytes();
  to.segments = from.getSegments();
  to.disk_bytes = from.getDiskBytes();
  to.syncs = from.getSyncs();
  to.sync_ns_last = from.getSyncNsLast();
  to.sync_ns_max = from.getSyncNsMax();
  for (const std::uint64_t bucket : from.getSyncNsBuckets()) to.sync_ns_buckets.push_back(bucket);
  to.degraded = text(from.getDegraded());
  for (const auto one : from.getWorkers()) to.workers.push_back(worker(one));
  return to;
}

Result<ControlMessage> read_message(wire_control::Message::Reader from) {
  using Message = wire_control::Message;
  switch (from.which()) {
    case Message::HELLO:
      // Also what a zeroed struct looks like.
      if (!from.hasHello()) return Error{Code::kCorrupt, "a control message without content"};
      return ControlMessage(hello(from.getHello()));
    case Message::WELCOME: return ControlMessage(welcome(from.getWelcome()));
    case Message::REFUSAL: {
      const auto refusal = from.getRefusal();
      return ControlMessage(Refusal{refusal.getCode(), text(refusal.getMessage())});
    }
    case Message::STATUS_REQUEST: return ControlMessage(StatusRequest{});
    case Message::STATUS: return ControlMessage(status(from.getStatus()));
    case Message::STOP_REQUEST: return ControlMessage(StopRequest{});
    case Message::STOPPING: return ControlMessage(Stopping{});
  }
  return Error{Code::kIncompatible, "a control message of kind " +
                                        std::to_string(static_cast<unsigned>(from.which())) +
                                        ", newer than this build"};
}

}  // namespace

std::vector<std::byte> encode_control(const ControlMessage& message) {
  capnp::MallocMessageBuilder builder;
  std::visit(Write{builder.initRoot<wire_control::Message>()}, message);
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  const auto* first = reinterpret_cast<const std::byte*>(bytes.begin());
  return {first, first + bytes.size()};
}

Result<ControlMessage> decode_control(std::span<const std::byte> packet) {
  if (packet.empty() || packet.size() % sizeof(capnp::word) != 0 ||
      packet.size() > kControlMessageBytesMax) {
    return Error{Code::kCorrupt, "a control message of " + std::to_string(packet.size()) +
                                     " bytes: not whole words, or more than " +
                                     std::to_string(kControlMessageBytesMax)};
  }
  auto words = kj::heapArray<capnp::word>(packet.size() / sizeof(capnp::word));
  std::memcpy(static_cast<void*>(words.begin()), packet.data(), packet.size());
  try {
    const capnp::ReaderOptions options{.traversalLimitInWords = 2 * words.size() + 64,
                                       .nestingLimit = kNestingMax};
    capnp::FlatArrayMessageReader reader(words.asPtr(), options);
    return read_message(reader.getRoot<wire_control::Message>());
  } catch (const kj::Exception& exception) {
    return Error{Code::kCorrupt, std::string("a control message that cannot be read: ") +
                                     exception.getDescription().cStr()};
  }
}

}  // namespace oj::schema
