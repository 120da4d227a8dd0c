// Bytes to operations, in place: text stays where it is, lists are gathered in the Decoder's own
// memory.
//
// Trust: none. Cap'n Proto checks bounds as it goes, within a budget of reads that forged pointers
// cannot multiply; what it lets through by design (an enumerant or a union arm out of range, an
// absent struct) is checked here.
//
// SPDX-License-Identifier: MIT
#include <cstring>
#include <memory>
#include <memory_resource>
#include <string>
#include <vector>

#include <capnp/any.h>
#include <capnp/message.h>
#include <kj/array.h>
#include <kj/exception.h>

#include "schema/codec.h"
#include "schema/record.capnp.h"

namespace oj::schema {
namespace {

// Record, batch, createTrial, template, params, choices: each pointer counts, and each list
// element.
constexpr int kNestingMax = 16;
constexpr std::size_t kReadSlackWords = 64;

// What is wrong with the bytes, thrown within this file only: Cap'n Proto's getters throw as well.
struct Wrong {
  Code code;
  const char* message;
};

[[noreturn]] void corrupt(const char* message) { throw Wrong{Code::kCorrupt, message}; }
[[noreturn]] void unknown(const char* message) { throw Wrong{Code::kIncompatible, message}; }

std::string_view text(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

// An array of `count` default T in the decoder's memory. The message's bytes bound `count`.
class Arena {
 public:
  template <class T>
  std::span<T> array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count == 0) return {};
    if (count > bytes_max_) corrupt("a list has more elements than the record has bytes");
    T* const first = static_cast<T*>(memory_.allocate(count * sizeof(T), alignof(T)));
    std::uninitialized_value_construct_n(first, count);
    return {first, count};
  }
  void reset(std::size_t bytes_max) {
    memory_.release();
    bytes_max_ = bytes_max;
  }

 private:
  alignas(std::max_align_t) std::byte first_[4096];
  std::pmr::monotonic_buffer_resource memory_{first_, sizeof(first_)};
  std::size_t bytes_max_ = 0;
};

TrialState state(wire::TrialState wire) {
  const auto number = static_cast<std::uint16_t>(wire);
  if (number > static_cast<std::uint16_t>(TrialState::kWaiting))
    corrupt("a trial's state is out of range");
  return static_cast<TrialState>(number);
}

// `from` is a wire::Attr or wire::Choice: both have the arms of a value.
template <class Reader>
Value value(Reader from) {
  using Wire = typename Reader::Reads;
  Value value;
  switch (from.which()) {
    case Wire::NULL_: value.kind = Value::Kind::kNull; return value;
    case Wire::BOOLEAN:
      value.kind = Value::Kind::kBool;
      value.boolean = from.getBoolean();
      return value;
    case Wire::INT64:
      value.kind = Value::Kind::kInt64;
      value.int64 = from.getInt64();
      return value;
    case Wire::FLOAT64:
      value.kind = Value::Kind::kFloat64;
      value.float64 = from.getFloat64();
      return value;
    case Wire::TEXT:
      value.kind = Value::Kind::kText;
      value.text = text(from.getText());
      return value;
    case Wire::JSON:
      value.kind = Value::Kind::kJson;
      value.text = text(from.getJson());
      return value;
  }
  unknown("an attribute's value is of a kind newer than this build");
}

Attr attr(wire::Attr::Reader from) { return {.key = text(from.getKey()), .value = value(from)}; }

Distribution distribution(wire::Param::Reader from, Arena& arena) {
  Distribution to;
  to.log = from.getLog();
  switch (from.which()) {
    case wire::Param::FLOAT: {
      const auto wire = from.getFloat();
      to.kind = Distribution::Kind::kFloat;
      to.low = wire.getLow();
      to.high = wire.getHigh();
      to.has_step = wire.getHasStep();
      to.step = wire.getStep();
      return to;
    }
    case wire::Param::INT: {
      const auto wire = from.getInt();
      to.kind = Distribution::Kind::kInt;
      to.int_low = wire.getLow();
      to.int_high = wire.getHigh();
      to.int_step = wire.getStep();
      return to;
    }
    case wire::Param::CATEGORICAL: {
      const auto wire = from.getCategorical();
      const std::span<Value> choices = arena.array<Value>(wire.size());
      for (unsigned i = 0; i < wire.size(); ++i) choices[i] = value(wire[i]);
      to.kind = Distribution::Kind::kCategorical;
      to.choices = choices;
      return to;
    }
    case wire::Param::JSON:
      to.kind = Distribution::Kind::kJson;
      to.json = text(from.getJson());
      return to;
  }
  unknown("a distribution is of a kind newer than this build");
}

Param param(wire::Param::Reader from, Arena& arena) {
  return {.name = text(from.getName()),
          .internal = from.getInternal(),
          .distribution = distribution(from, arena)};
}

std::span<const double> doubles(capnp::List<double>::Reader from, Arena& arena) {
  const std::span<double> to = arena.array<double>(from.size());
  for (unsigned i = 0; i < from.size(); ++i) to[i] = from[i];
  return to;
}

std::span<const Attr> attrs(capnp::List<wire::Attr>::Reader from, Arena& arena) {
  const std::span<Attr> to = arena.array<Attr>(from.size());
  for (unsigned i = 0; i < from.size(); ++i) to[i] = attr(from[i]);
  return to;
}

CreateStudy create_study(wire::CreateStudy::Reader from, Arena& arena) {
  const auto wire = from.getDirections();
  const std::span<Direction> directions = arena.array<Direction>(wire.size());
  for (unsigned i = 0; i < wire.size(); ++i) {
    const auto number = static_cast<std::uint16_t>(wire[i]);
    if (number > static_cast<std::uint16_t>(Direction::kMaximize))
      corrupt("a study's direction is out of range");
    directions[i] = static_cast<Direction>(number);
  }
  return {.name = text(from.getName()), .directions = directions};
}

void read_template(wire::Template::Reader from, CreateTrial& op, Arena& arena) {
  if (from.getHasComplete()) op.complete_us = from.getCompleteUs();
  if (from.hasValues()) op.values = doubles(from.getValues(), arena);
  const auto wire_params = from.getParams();
  const std::span<Param> params = arena.array<Param>(wire_params.size());
  for (unsigned i = 0; i < wire_params.size(); ++i) params[i] = param(wire_params[i], arena);
  op.params = params;
  op.user_attrs = attrs(from.getUserAttrs(), arena);
  op.system_attrs = attrs(from.getSystemAttrs(), arena);
  const auto wire_steps = from.getIntermediateValues();
  const std::span<IntermediateValue> steps = arena.array<IntermediateValue>(wire_steps.size());
  for (unsigned i = 0; i < wire_steps.size(); ++i) {
    steps[i] = {.step = wire_steps[i].getStep(), .value = wire_steps[i].getValue()};
  }
  op.intermediate_values = steps;
}

CreateTrial create_trial(wire::CreateTrial::Reader from, Arena& arena) {
  CreateTrial op;
  op.study = from.getStudy();
  op.state = state(from.getState());
  if (from.getHasStart()) op.start_us = from.getStartUs();
  if (from.hasTemplate()) read_template(from.getTemplate(), op, arena);
  return op;
}

SetTrialStateValues set_trial_state_values(wire::SetTrialStateValues::Reader from, Arena& arena) {
  SetTrialStateValues op{.trial = from.getTrial(),
                         .state = state(from.getState()),
                         .values = {},
                         .time_us = from.getTimeUs()};
  if (from.hasValues()) op.values = doubles(from.getValues(), arena);
  return op;
}

OrphanPolicy orphan_policy(wire::OrphanPolicy::Reader from) {
  const auto kind = static_cast<std::uint16_t>(from.getKind());
  if (kind > static_cast<std::uint16_t>(OrphanPolicy::Kind::kOptuna))
    unknown("a policy for orphans is newer than this build");
  return {.kind = static_cast<OrphanPolicy::Kind>(kind), .retries_max = from.getRetriesMax()};
}

SessionStarted session_started(wire::SessionStarted::Reader from, Arena& arena) {
  const auto wire = from.getGpus();
  const std::span<Gpu> gpus = arena.array<Gpu>(wire.size());
  for (unsigned i = 0; i < wire.size(); ++i)
    gpus[i] = {.uuid = text(wire[i].getUuid()), .name = text(wire[i].getName())};
  SessionStarted to{.pid = from.getPid(),
                    .uid = from.getUid(),
                    .host = text(from.getHost()),
                    .command = text(from.getCommand()),
                    .user = text(from.getUser()),
                    .container = text(from.getContainer()),
                    .cuda_visible_devices = {},
                    .gpus = gpus,
                    .orphans = orphan_policy(from.getOrphans()),
                    .former = from.getFormer(),
                    .birth = {.boot_id_high = from.getBootIdHigh(),
                              .boot_id_low = from.getBootIdLow(),
                              .pid_namespace = from.getPidNamespace(),
                              .start_ticks = from.getStartTicks()}};
  if (from.hasCudaVisibleDevices()) to.cuda_visible_devices = text(from.getCudaVisibleDevices());
  return to;
}

SessionEnded session_ended(wire::SessionEnded::Reader from) {
  const auto reason = static_cast<std::uint16_t>(from.getReason());
  if (reason > static_cast<std::uint16_t>(SessionEnded::Reason::kDied))
    corrupt("the reason of a session's end is out of range");
  return {.session = from.getSession(), .reason = static_cast<SessionEnded::Reason>(reason)};
}

// All arms are pointers and share one place. A null one would read as a struct of zeros, as "delete
// study 0".
bool is_absent(wire::Record::Reader record) {
  const auto pointers = capnp::AnyStruct::Reader(record).getPointerSection();
  return pointers.size() == 0 || pointers[0].isNull();
}

// One operation; `from` is no batch.
void read_operation(wire::Record::Reader from, Arena& arena, std::vector<Operation>& to) {
  if (from.which() <= wire::Record::END_ORPHAN && is_absent(from))
    corrupt("the operation is absent");
  switch (from.which()) {
    case wire::Record::CREATE_STUDY:
      to.emplace_back(create_study(from.getCreateStudy(), arena));
      return;
    case wire::Record::DELETE_STUDY:
      to.emplace_back(DeleteStudy{from.getDeleteStudy().getStudy()});
      return;
    case wire::Record::SET_STUDY_USER_ATTR: {
      const auto wire = from.getSetStudyUserAttr();
      to.emplace_back(SetStudyUserAttr{wire.getOwner(), attr(wire)});
      return;
    }
    case wire::Record::SET_STUDY_SYSTEM_ATTR: {
      const auto wire = from.getSetStudySystemAttr();
      to.emplace_back(SetStudySystemAttr{wire.getOwner(), attr(wire)});
      return;
    }
    case wire::Record::CREATE_TRIAL:
      to.emplace_back(create_trial(from.getCreateTrial(), arena));
      return;
    case wire::Record::SET_TRIAL_PARAM: {
      const auto wire = from.getSetTrialParam();
      to.emplace_back(SetTrialParam{wire.getTrial(), param(wire, arena)});
      return;
    }
    case wire::Record::SET_TRIAL_STATE_VALUES:
      to.emplace_back(set_trial_state_values(from.getSetTrialStateValues(), arena));
      return;
    case wire::Record::SET_TRIAL_INTERMEDIATE_VALUE: {
      const auto wire = from.getSetTrialIntermediateValue();
      to.emplace_back(
          SetTrialIntermediateValue{wire.getTrial(), {wire.getStep(), wire.getValue()}});
      return;
    }
    case wire::Record::SET_TRIAL_USER_ATTR: {
      const auto wire = from.getSetTrialUserAttr();
      to.emplace_back(SetTrialUserAttr{wire.getOwner(), attr(wire)});
      return;
    }
    case wire::Record::SET_TRIAL_SYSTEM_ATTR: {
      const auto wire = from.getSetTrialSystemAttr();
      to.emplace_back(SetTrialSystemAttr{wire.getOwner(), attr(wire)});
      return;
    }
    case wire::Record::SESSION_STARTED:
      to.emplace_back(session_started(from.getSessionStarted(), arena));
      return;
    case wire::Record::SESSION_ENDED:
      to.emplace_back(session_ended(from.getSessionEnded()));
      return;
    case wire::Record::TOMBSTONE:
      to.emplace_back(Tombstone{text(from.getTombstone().getReason())});
      return;
    case wire::Record::END_ORPHAN: {
      const auto wire = from.getEndOrphan();
      to.emplace_back(
          EndOrphan{wire.getTrial(), wire.getSession(), wire.getTimeUs(), wire.getRetriesMax()});
      return;
    }
    case wire::Record::BATCH: corrupt("a batch within a batch");
  }
  unknown("the operation is newer than this build");
}

void read_record(std::span<const capnp::word> words, Arena& arena, std::vector<Operation>& to) {
  const kj::ArrayPtr<const capnp::word> segment(words.data(), words.size());
  const capnp::ReaderOptions options{.traversalLimitInWords = 2 * words.size() + kReadSlackWords,
                                     .nestingLimit = kNestingMax};
  capnp::SegmentArrayMessageReader message(kj::arrayPtr(&segment, 1), options);
  const auto record = message.getRoot<wire::Record>();
  if (record.which() != wire::Record::BATCH) return read_operation(record, arena, to);
  const auto batch = record.getBatch();
  if (batch.size() == 0) corrupt("an empty batch");
  if (batch.size() > words.size()) corrupt("a batch has more operations than the record has words");
  for (const auto operation : batch) read_operation(operation, arena, to);
}

}  // namespace

struct Decoder::Impl {
  Arena arena;
  std::vector<Operation> operations;
  kj::Array<capnp::word> aligned;  // a copy of a record that is not 8-aligned
};

Decoder::Decoder() : impl_(std::make_unique<Impl>()) {}
Decoder::~Decoder() = default;

Result<DecodedRecord> Decoder::decode(std::span<const std::byte> record) {
  if (record.size() < kRecordHeaderBytes + sizeof(capnp::word) ||
      record.size() % sizeof(capnp::word) != 0) {
    return Error{Code::kCorrupt, "a record of " + std::to_string(record.size()) +
                                     " bytes: not whole words after a header"};
  }
  const std::byte* bytes = record.data();
  if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(capnp::word) != 0) {
    kj::Array<capnp::word>& aligned = impl_->aligned;
    const std::size_t words = record.size() / sizeof(capnp::word);
    if (aligned.size() < words) aligned = kj::heapArray<capnp::word>(words);
    std::memcpy(static_cast<void*>(aligned.begin()), bytes, record.size());
    bytes = reinterpret_cast<const std::byte*>(aligned.begin());
  }
  DecodedRecord decoded;
  std::memcpy(&decoded.header, bytes, kRecordHeaderBytes);
  impl_->arena.reset(record.size());
  impl_->operations.clear();
  const auto* words = reinterpret_cast<const capnp::word*>(bytes + kRecordHeaderBytes);
  try {
    read_record({words, (record.size() - kRecordHeaderBytes) / sizeof(capnp::word)}, impl_->arena,
                impl_->operations);
  } catch (const Wrong& wrong) {
    return Error{wrong.code, std::string("a record of ") + std::to_string(record.size()) +
                                 " bytes: " + wrong.message};
  } catch (const kj::Exception& exception) {
    return Error{Code::kCorrupt, std::string("a record of ") + std::to_string(record.size()) +
                                     " bytes: " + exception.getDescription().cStr()};
  }
  decoded.operations = impl_->operations;
  return decoded;
}

}  // namespace oj::schema
