// What a record says: the operations of an Optuna storage, as plain views.
//
// These structs are what the rest of the code handles; Cap'n Proto stays inside schema/
// (record.capnp, codec.cc). All text is bytes: UTF-8 in which lone surrogates are encoded like any
// other code point (Python's "surrogatepass"), with NUL and empty allowed.
//
// Lifetime: every string_view and span here borrows. A decoded operation borrows from the record's
// bytes and from the Decoder that made it; it is valid until that Decoder decodes the next record.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

namespace oj::schema {

using StudyId = std::uint64_t;  // counts the successful creations, 0, 1, 2, ...; never reused
using TrialId = std::uint64_t;  // likewise, over all studies
using SessionId =
    std::uint64_t;  // (generation << 32 | n): unique in a journal for ever; 0 is the daemon

// The numbers are Optuna's TrialState and StudyDirection.
enum class TrialState : std::uint8_t {
  kRunning = 0,
  kComplete = 1,
  kPruned = 2,
  kFail = 3,
  kWaiting = 4
};
enum class Direction : std::uint8_t { kNotSet = 0, kMinimize = 1, kMaximize = 2 };

constexpr bool is_finished(TrialState state) {
  return state == TrialState::kComplete || state == TrialState::kPruned ||
         state == TrialState::kFail;
}

// An attribute's value or a categorical choice. Scalars are typed; anything else is JSON text as
// Python's json.dumps writes it (ASCII, bare NaN and Infinity), which also carries integers beyond
// 64 bits.
struct Value {
  enum class Kind : std::uint8_t {
    kNull = 0,
    kBool = 1,
    kInt64 = 2,
    kFloat64 = 3,
    kText = 4,
    kJson = 5
  };
  Kind kind = Kind::kNull;
  bool boolean = false;
  std::int64_t int64 = 0;
  double float64 = 0;
  std::string_view text = {};  // of kText and kJson
};

// The domain of a parameter. Two distributions of one name in one study must be *compatible*: same
// kind, same `log`, and for categorical the same choices in the same order; low, high and step may
// differ (replay/state.h says it exactly).
struct Distribution {
  enum class Kind : std::uint8_t { kFloat = 0, kInt = 1, kCategorical = 2, kJson = 3 };
  Kind kind = Kind::kFloat;
  bool log = false;
  bool has_step = false;               // kFloat only: Optuna's step is a number or None
  double low = 0, high = 0, step = 0;  // kFloat
  std::int64_t int_low = 0, int_high = 0, int_step = 1;  // kInt
  std::span<const Value> choices = {};                   // kCategorical
  std::string_view json =
      {};  // kJson: Optuna's distribution_to_json text of whatever does not fit above
           // (an IntDistribution with bounds beyond 64 bits); never two spellings of one kind
};

struct Param {
  std::string_view name = {};
  double internal =
      0;  // Optuna's internal representation: for categorical, the index of the choice
  Distribution distribution = {};
};
struct Attr {
  std::string_view key = {};
  Value value = {};
};
struct IntermediateValue {
  std::int64_t step = 0;
  double value = 0;
};

struct CreateStudy {
  std::string_view name = {};
  std::span<const Direction> directions = {};
};
struct DeleteStudy {
  StudyId study = 0;
};
struct SetStudyUserAttr {
  StudyId study = 0;
  Attr attr = {};
};
struct SetStudySystemAttr {
  StudyId study = 0;
  Attr attr = {};
};
// Times are UTC microseconds. Without a template: state kRunning, start set, everything else empty.
struct CreateTrial {
  StudyId study = 0;
  TrialState state = TrialState::kRunning;
  std::optional<std::int64_t> start_us = {}, complete_us = {};
  std::optional<std::span<const double>> values = {};
  std::span<const Param> params = {};  // in the order in which the trial shows them
  std::span<const Attr> user_attrs = {}, system_attrs = {};
  std::span<const IntermediateValue> intermediate_values = {};
};
struct SetTrialParam {
  TrialId trial = 0;
  Param param = {};
};
// `values` absent keeps the old ones. `time_us` becomes the start (to kRunning) or the completion.
struct SetTrialStateValues {
  TrialId trial = 0;
  TrialState state = TrialState::kRunning;
  std::optional<std::span<const double>> values = {};
  std::int64_t time_us = 0;
};
struct SetTrialIntermediateValue {
  TrialId trial = 0;
  IntermediateValue value = {};
};
struct SetTrialUserAttr {
  TrialId trial = 0;
  Attr attr = {};
};
struct SetTrialSystemAttr {
  TrialId trial = 0;
  Attr attr = {};
};
struct Gpu {
  std::string_view uuid = {}, name = {};
};
// What becomes of a RUNNING trial whose session died (replay/orphans.h).
struct OrphanPolicy {
  enum class Kind : std::uint8_t {
    kUnset = 0,
    kKeep = 1,    // it stays RUNNING
    kFail = 2,    // FAIL
    kRetry = 3,   // FAIL, and a WAITING copy of it, at most `retries_max` times in a row
    kOptuna = 4,  // left to Optuna's fail_stale_trials() and its callback
  };
  Kind kind = Kind::kUnset;
  std::uint32_t retries_max = 0;  // of kRetry: at least 1
  bool operator==(const OrphanPolicy&) const = default;
};
// Which process, among all that ever ran on this machine. Zeros: not known.
struct ProcessBirth {
  std::uint64_t boot_id_high = 0, boot_id_low = 0;
  std::uint64_t pid_namespace = 0;  // inode number of /proc/self/ns/pid
  std::uint64_t start_ticks = 0;    // field 22 of /proc/self/stat
  bool operator==(const ProcessBirth&) const = default;
};
struct SessionStarted {  // the session is the record's
  std::uint32_t pid = 0, uid = 0;
  std::string_view host = {}, command = {};
  std::string_view user = {}, container = {};  // container: empty if none is known
  std::optional<std::string_view> cuda_visible_devices = {};
  std::span<const Gpu> gpus = {};  // that it may use, as far as NVML was there to be asked
  OrphanPolicy orphans = {};       // for its own trials
  // The session that this one takes the place and the RUNNING trials of: of the same process, in a
  // region that was replaced. 0: none.
  SessionId former = 0;
  ProcessBirth birth = {};
};
struct SessionEnded {
  SessionId session = 0;
  enum class Reason : std::uint8_t { kClosed = 0, kDied = 1 };
  Reason reason = Reason::kClosed;
};
// Fails the trial if it is RUNNING, of `session`, and that has died; with `retries_max` > 0 and
// fewer retries so far also creates a WAITING copy. Otherwise changes nothing, so it may be issued
// by many, and again.
struct EndOrphan {
  TrialId trial = 0;
  SessionId session = 0;
  std::int64_t time_us = 0;
  std::uint32_t retries_max = 0;
};
struct Tombstone {  // stands where a published record failed its checks
  std::string_view reason = {};
};

using Operation =
    std::variant<CreateStudy, DeleteStudy, SetStudyUserAttr, SetStudySystemAttr, CreateTrial,
                 SetTrialParam, SetTrialStateValues, SetTrialIntermediateValue, SetTrialUserAttr,
                 SetTrialSystemAttr, SessionStarted, SessionEnded, Tombstone, EndOrphan>;

// "createStudy", "setTrialParam", ...: the union arm's name in record.capnp; used by logs and the
// CLI.
std::string_view operation_name(const Operation& operation);
std::span<const std::string_view> operation_names();

}  // namespace oj::schema
