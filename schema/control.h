// The control protocol between optjournald and its clients: what is said once a session, never on
// the way of a record. Cap'n Proto messages (control.capnp), one a packet, on a Unix SOCK_SEQPACKET
// socket `control.sock` in the runtime folder, which also holds the region file.
//
//   client -> daemon                         daemon -> client
//   Hello (+ the worker's own pidfd)         Welcome | Refusal
//     then, holding the slot's lock byte, the client makes the slot LIVE (shm/worker_slots.h)
//   StatusRequest                            Status
//   StopRequest                              Stopping | Refusal
//
// The open socket is the session's tie to this daemon process. A clean end is written by the client
// itself (SessionEnded{closed} in the journal, slot CLOSED), so that it needs no daemon; end of
// file without it, and the pidfd readable, is a death. After a restart of the daemon the client
// says Hello again with its old slot.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "schema/latency_buckets.h"
#include "schema/operation.h"

namespace oj::schema {

constexpr std::uint32_t kControlVersion = 1;
constexpr std::size_t kControlMessageBytesMax =
    256 * 1024;  // a packet; Status with 1,024 workers fits

// What a worker says of itself, for people. Longer texts are cut, more GPUs left out.
struct GpuIdentity {
  std::string uuid = {}, name = {};  // at most 47 and 63 bytes
};
struct WorkerIdentity {
  static constexpr std::size_t kUserBytesMax = 31, kContainerBytesMax = 63;
  static constexpr std::size_t kCudaVisibleDevicesBytesMax = 255, kGpusMax = 16;
  static constexpr std::size_t kGpuUuidBytesMax = 47, kGpuNameBytesMax = 63;

  std::string user = {};                                 // as the worker finds it; "": not said
  std::string container = {};                            // "": none that it knows of
  std::optional<std::string> cuda_visible_devices = {};  // none: not set
  std::vector<GpuIdentity> gpus = {};  // that it may use, as far as NVML was there to be asked
};

struct Hello {
  std::uint32_t version = kControlVersion;
  bool monitor = false;  // wants no worker slot: asks status, or maps the region read-only
  // An existing session, after the daemon was replaced: slot, incarnation and session say which.
  bool rejoin = false;
  std::uint32_t slot = 0;
  std::uint64_t incarnation = 0;
  SessionId session = 0;
  std::string command = {};  // for people: the program's name, at most 63 bytes are kept
  WorkerIdentity identity = {};
};
struct Welcome {
  std::uint64_t generation = 0;
  std::string region_file = {};  // name in the runtime folder
  std::uint32_t slot = 0;        // ASSIGNED to the caller; meaningless for a monitor
  std::uint64_t incarnation = 0;
  SessionId session = 0;
  std::uint32_t daemon_pid = 0;
};
struct Refusal {
  std::uint32_t code = 0;  // oj::Code
  std::string message = {};
};
struct StatusRequest {};
struct WorkerStatus {
  std::uint32_t slot = 0, pid = 0, uid = 0;
  SessionId session = 0;
  std::string command = {};
  std::int64_t started_us = 0;
  std::uint64_t records = 0, chunks = 0;
  WorkerIdentity identity = {};
};
struct Status {
  std::string daemon_version = {}, folder = {};
  std::uint32_t daemon_pid = 0;
  bool embedded = false;
  std::int64_t started_us = 0;
  std::uint64_t generation = 0, published = 0, written = 0, synced = 0, retained = 0;
  std::uint64_t ring_slots = 0, chunk_bytes = 0, chunk_count = 0, chunks_in_use = 0,
                region_bytes = 0;
  std::uint64_t segments = 0, disk_bytes = 0;
  std::uint64_t syncs = 0, sync_ns_last = 0, sync_ns_max = 0, sync_ns_total = 0;
  LatencyCounts sync_counts = {};  // how long syncs took
  std::string degraded = {};       // empty, or why nothing can be synced at present
  std::vector<WorkerStatus> workers = {};
};
struct StopRequest {};  // drain and end; refused while workers are attached
struct Stopping {};

using ControlMessage =
    std::variant<Hello, Welcome, Refusal, StatusRequest, Status, StopRequest, Stopping>;

std::vector<std::byte> encode_control(const ControlMessage& message);
// kCorrupt for bytes that are no message, kIncompatible for an arm that this build does not know.
Result<ControlMessage> decode_control(std::span<const std::byte> packet);

}  // namespace oj::schema
