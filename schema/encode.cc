// Operations to bytes: measure exactly, then let Cap'n Proto build in a scratch of that size.
//
// Why the two passes: a record is one segment (a chunk run in the region), and Cap'n Proto starts a
// second one as soon as the first is full. Why not MallocMessageBuilder(scratch): it falls back to
// a second segment silently, and zeroes the scratch in its destructor, under the bytes that we have
// just handed out.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <vector>

#include <capnp/message.h>
#include <kj/array.h>

#include "base/check.h"
#include "schema/codec.h"
#include "schema/record.capnp.h"

namespace oj::schema {
namespace {

constexpr std::size_t kHeaderWords = kRecordHeaderBytes / sizeof(capnp::word);
constexpr std::size_t kScratchWordsKept =
    64 * 1024 / sizeof(capnp::word);  // larger ones are given back

capnp::Data::Reader as_data(std::string_view text) {
  return {reinterpret_cast<const kj::byte*>(text.data()), text.size()};
}
unsigned list_size(std::size_t count) {
  return static_cast<unsigned>(count);
}  // bounded by kEncodedBytesMax

// ---- How many words each thing needs, besides the struct that points to it.

std::size_t bytes_words(std::size_t bytes) { return (bytes + 7) / 8; }

std::size_t value_words(const Value& value) {
  return value.kind == Value::Kind::kText || value.kind == Value::Kind::kJson
             ? bytes_words(value.text.size())
             : 0;
}

std::size_t attr_words(const Attr& attr) {
  return bytes_words(attr.key.size()) + value_words(attr.value);
}

std::size_t param_words(const Param& param) {
  std::size_t words = bytes_words(param.name.size());
  if (param.distribution.kind == Distribution::Kind::kJson)
    words += bytes_words(param.distribution.json.size());
  if (param.distribution.kind == Distribution::Kind::kCategorical) {
    words += 1;  // the list's tag
    for (const Value& choice : param.distribution.choices)
      words += capnp::sizeInWords<wire::Choice>() + value_words(choice);
  }
  return words;
}

template <class Wire, class Items, class Words>
std::size_t list_words(const Items& items, Words words_of) {
  if (items.empty()) return 0;
  std::size_t words = 1;
  for (const auto& item : items) {
    words += capnp::sizeInWords<Wire>() + static_cast<std::size_t>(words_of(item));
  }
  return words;
}

bool needs_template(const CreateTrial& op) {
  return op.complete_us || op.values || !op.params.empty() || !op.user_attrs.empty() ||
         !op.system_attrs.empty() || !op.intermediate_values.empty();
}

struct Words {
  std::size_t operator()(const CreateStudy& op) const {
    return capnp::sizeInWords<wire::CreateStudy>() + bytes_words(op.name.size()) +
           bytes_words(op.directions.size() * sizeof(std::uint16_t));
  }
  std::size_t operator()(const DeleteStudy&) const {
    return capnp::sizeInWords<wire::DeleteStudy>();
  }
  std::size_t operator()(const CreateTrial& op) const {
    std::size_t words = capnp::sizeInWords<wire::CreateTrial>();
    if (!needs_template(op)) return words;
    words += capnp::sizeInWords<wire::Template>() + (op.values ? op.values->size() : 0);
    words += list_words<wire::Param>(op.params, param_words);
    words += list_words<wire::Attr>(op.user_attrs, attr_words) +
             list_words<wire::Attr>(op.system_attrs, attr_words);
    return words + list_words<wire::IntermediateValue>(op.intermediate_values,
                                                       [](const auto&) { return 0; });
  }
  std::size_t operator()(const SetTrialParam& op) const {
    return capnp::sizeInWords<wire::Param>() + param_words(op.param);
  }
  std::size_t operator()(const SetTrialStateValues& op) const {
    return capnp::sizeInWords<wire::SetTrialStateValues>() + (op.values ? op.values->size() : 0);
  }
  std::size_t operator()(const SetTrialIntermediateValue&) const {
    return capnp::sizeInWords<wire::SetTrialIntermediateValue>();
  }
  std::size_t operator()(const SetStudyUserAttr& op) const { return owned_attr(op.attr); }
  std::size_t operator()(const SetStudySystemAttr& op) const { return owned_attr(op.attr); }
  std::size_t operator()(const SetTrialUserAttr& op) const { return owned_attr(op.attr); }
  std::size_t operator()(const SetTrialSystemAttr& op) const { return owned_attr(op.attr); }
  std::size_t operator()(const SessionStarted& op) const {
    std::size_t words = capnp::sizeInWords<wire::SessionStarted>();
    for (const std::string_view text : {op.host, op.command, op.user, op.container,
                                        op.cuda_visible_devices.value_or(std::string_view())})
      words += bytes_words(text.size());
    if (op.orphans != OrphanPolicy()) words += capnp::sizeInWords<wire::OrphanPolicy>();
    return words + list_words<wire::Gpu>(op.gpus, [](const Gpu& gpu) {
             return bytes_words(gpu.uuid.size()) + bytes_words(gpu.name.size());
           });
  }
  std::size_t operator()(const SessionEnded&) const {
    return capnp::sizeInWords<wire::SessionEnded>();
  }
  std::size_t operator()(const EndOrphan&) const { return capnp::sizeInWords<wire::EndOrphan>(); }
  std::size_t operator()(const Tombstone& op) const {
    return capnp::sizeInWords<wire::Tombstone>() + bytes_words(op.reason.size());
  }

 private:
  static std::size_t owned_attr(const Attr& attr) {
    return capnp::sizeInWords<wire::Attr>() + attr_words(attr);
  }
};

std::size_t record_words(std::span<const Operation> operations) {
  std::size_t words = 1;  // the root pointer
  if (operations.size() > 1) words += capnp::sizeInWords<wire::Record>() + 1;
  for (const Operation& operation : operations) {
    words += capnp::sizeInWords<wire::Record>() + std::visit(Words{}, operation);
  }
  return words;
}

// ---- Writing.

// `to` is a wire::Attr or wire::Choice: both have the arms of a value.
template <class Builder>
void write_value(const Value& value, Builder to) {
  switch (value.kind) {
    case Value::Kind::kNull: to.setNull(); return;
    case Value::Kind::kBool: to.setBoolean(value.boolean); return;
    case Value::Kind::kInt64: to.setInt64(value.int64); return;
    case Value::Kind::kFloat64: to.setFloat64(value.float64); return;
    case Value::Kind::kText: to.setText(as_data(value.text)); return;
    case Value::Kind::kJson: to.setJson(as_data(value.text)); return;
  }
  OJ_CHECK(false && "a value's kind");
}

void write_attr(std::uint64_t owner, const Attr& attr, wire::Attr::Builder to) {
  to.setOwner(owner);
  to.setKey(as_data(attr.key));
  write_value(attr.value, to);
}

void write_distribution(const Distribution& distribution, wire::Param::Builder to) {
  to.setLog(distribution.log);
  switch (distribution.kind) {
    case Distribution::Kind::kFloat: {
      auto wire = to.initFloat();
      wire.setLow(distribution.low);
      wire.setHigh(distribution.high);
      wire.setHasStep(distribution.has_step);
      if (distribution.has_step) wire.setStep(distribution.step);
      return;
    }
    case Distribution::Kind::kInt: {
      auto wire = to.initInt();
      wire.setLow(distribution.int_low);
      wire.setHigh(distribution.int_high);
      wire.setStep(distribution.int_step);
      return;
    }
    case Distribution::Kind::kCategorical: {
      auto wire = to.initCategorical(list_size(distribution.choices.size()));
      unsigned i = 0;
      for (const Value& choice : distribution.choices) write_value(choice, wire[i++]);
      return;
    }
    case Distribution::Kind::kJson: to.setJson(as_data(distribution.json)); return;
  }
  OJ_CHECK(false && "a distribution's kind");
}

void write_param(std::uint64_t trial, const Param& param, wire::Param::Builder to) {
  to.setTrial(trial);
  to.setInternal(param.internal);
  to.setName(as_data(param.name));
  write_distribution(param.distribution, to);
}

void write_doubles(std::span<const double> values, capnp::List<double>::Builder to) {
  unsigned i = 0;
  for (const double value : values) to.set(i++, value);
}

void write_template(const CreateTrial& op, wire::Template::Builder to) {
  to.setHasComplete(op.complete_us.has_value());
  to.setCompleteUs(op.complete_us.value_or(0));
  if (op.values) write_doubles(*op.values, to.initValues(list_size(op.values->size())));
  unsigned i = 0;
  if (!op.params.empty()) {
    auto params = to.initParams(list_size(op.params.size()));
    for (const Param& param : op.params) write_param(0, param, params[i++]);
  }
  const auto write_attrs = [](std::span<const Attr> attrs, capnp::List<wire::Attr>::Builder list) {
    unsigned k = 0;
    for (const Attr& attr : attrs) write_attr(0, attr, list[k++]);
  };
  if (!op.user_attrs.empty())
    write_attrs(op.user_attrs, to.initUserAttrs(list_size(op.user_attrs.size())));
  if (!op.system_attrs.empty())
    write_attrs(op.system_attrs, to.initSystemAttrs(list_size(op.system_attrs.size())));
  if (op.intermediate_values.empty()) return;
  i = 0;
  auto steps = to.initIntermediateValues(list_size(op.intermediate_values.size()));
  for (const IntermediateValue& value : op.intermediate_values) {
    steps[i].setStep(value.step);
    steps[i++].setValue(value.value);
  }
}

struct Write {
  wire::Record::Builder record;

  void operator()(const CreateStudy& op) {
    auto to = record.initCreateStudy();
    to.setName(as_data(op.name));
    auto directions = to.initDirections(list_size(op.directions.size()));
    unsigned i = 0;
    for (const Direction direction : op.directions)
      directions.set(i++, static_cast<wire::Direction>(direction));
  }
  void operator()(const DeleteStudy& op) { record.initDeleteStudy().setStudy(op.study); }
  void operator()(const SetStudyUserAttr& op) {
    write_attr(op.study, op.attr, record.initSetStudyUserAttr());
  }
  void operator()(const SetStudySystemAttr& op) {
    write_attr(op.study, op.attr, record.initSetStudySystemAttr());
  }
  void operator()(const CreateTrial& op) {
    auto to = record.initCreateTrial();
    to.setStudy(op.study);
    to.setState(static_cast<wire::TrialState>(op.state));
    to.setHasStart(op.start_us.has_value());
    to.setStartUs(op.start_us.value_or(0));
    if (needs_template(op)) write_template(op, to.initTemplate());
  }
  void operator()(const SetTrialParam& op) {
    write_param(op.trial, op.param, record.initSetTrialParam());
  }
  void operator()(const SetTrialStateValues& op) {
    auto to = record.initSetTrialStateValues();
    to.setTrial(op.trial);
    to.setState(static_cast<wire::TrialState>(op.state));
    to.setTimeUs(op.time_us);
    if (op.values) write_doubles(*op.values, to.initValues(list_size(op.values->size())));
  }
  void operator()(const SetTrialIntermediateValue& op) {
    auto to = record.initSetTrialIntermediateValue();
    to.setTrial(op.trial);
    to.setStep(op.value.step);
    to.setValue(op.value.value);
  }
  void operator()(const SetTrialUserAttr& op) {
    write_attr(op.trial, op.attr, record.initSetTrialUserAttr());
  }
  void operator()(const SetTrialSystemAttr& op) {
    write_attr(op.trial, op.attr, record.initSetTrialSystemAttr());
  }
  void operator()(const SessionStarted& op) {
    auto to = record.initSessionStarted();
    to.setPid(op.pid);
    to.setUid(op.uid);
    to.setHost(as_data(op.host));
    to.setCommand(as_data(op.command));
    to.setUser(as_data(op.user));
    to.setContainer(as_data(op.container));
    if (op.cuda_visible_devices) to.setCudaVisibleDevices(as_data(*op.cuda_visible_devices));
    if (!op.gpus.empty()) {
      auto gpus = to.initGpus(list_size(op.gpus.size()));
      unsigned i = 0;
      for (const Gpu& gpu : op.gpus) {
        gpus[i].setUuid(as_data(gpu.uuid));
        gpus[i++].setName(as_data(gpu.name));
      }
    }
    if (op.orphans != OrphanPolicy()) {
      auto orphans = to.initOrphans();
      orphans.setKind(static_cast<wire::OrphanPolicy::Kind>(op.orphans.kind));
      orphans.setRetriesMax(op.orphans.retries_max);
    }
    to.setFormer(op.former);
    to.setBootIdHigh(op.birth.boot_id_high);
    to.setBootIdLow(op.birth.boot_id_low);
    to.setPidNamespace(op.birth.pid_namespace);
    to.setStartTicks(op.birth.start_ticks);
  }
  void operator()(const SessionEnded& op) {
    auto to = record.initSessionEnded();
    to.setSession(op.session);
    to.setReason(static_cast<wire::SessionEnded::Reason>(op.reason));
  }
  void operator()(const EndOrphan& op) {
    auto to = record.initEndOrphan();
    to.setTrial(op.trial);
    to.setSession(op.session);
    to.setTimeUs(op.time_us);
    to.setRetriesMax(op.retries_max);
  }
  void operator()(const Tombstone& op) { record.initTombstone().setReason(as_data(op.reason)); }
};

// Builds in one span of zeroed words that somebody else owns, once.
class ScratchMessage final : public capnp::MessageBuilder {
 public:
  explicit ScratchMessage(std::span<capnp::word> scratch) : scratch_(scratch) {}

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned words) override {
    OJ_CHECK(!used_ && words <= scratch_.size());  // else record_words() counted wrong
    used_ = true;
    return {scratch_.data(), scratch_.size()};
  }

 private:
  std::span<capnp::word> scratch_;
  bool used_ = false;
};

}  // namespace

struct Encoder::Impl {
  kj::Array<capnp::word> scratch;
  std::size_t dirty_words = 0;  // of scratch, from its beginning; the rest is zero

  std::span<capnp::word> zeroed(std::size_t words) {
    if (scratch.size() > kScratchWordsKept && words <= kScratchWordsKept) {
      scratch = {};
      dirty_words = 0;
    }
    if (scratch.size() < words) {
      scratch = kj::heapArray<capnp::word>(std::max<std::size_t>(words, 256));
      dirty_words = scratch.size();
    }
    std::memset(static_cast<void*>(scratch.begin()), 0,
                std::min(dirty_words, scratch.size()) * sizeof(capnp::word));
    dirty_words = words;
    return {scratch.begin(), words};
  }
};

Encoder::Encoder() : impl_(std::make_unique<Impl>()) {}
Encoder::~Encoder() = default;

std::span<std::byte> Encoder::encode(std::span<const Operation> operations) {
  OJ_CHECK(!operations.empty());
  const std::size_t words = kHeaderWords + record_words(operations);
  if (words > kEncodedBytesMax / sizeof(capnp::word)) return {};
  const std::span<capnp::word> scratch = impl_->zeroed(words);

  ScratchMessage message(scratch.subspan(kHeaderWords));
  auto record = message.initRoot<wire::Record>();
  if (operations.size() == 1) {
    std::visit(Write{record}, operations.front());
  } else {
    auto batch = record.initBatch(list_size(operations.size()));
    unsigned i = 0;
    for (const Operation& operation : operations) std::visit(Write{batch[i++]}, operation);
  }
  OJ_CHECK(message.getSegmentsForOutput()[0].size() == words - kHeaderWords);
  return std::as_writable_bytes(scratch);
}

void stamp(std::span<std::byte> record, const RecordHeader& header) {
  OJ_CHECK(record.size() >= kRecordHeaderBytes);
  static_assert(sizeof(RecordHeader) == kRecordHeaderBytes);
  std::memcpy(record.data(), &header, kRecordHeaderBytes);
}

RecordHeader header_of(std::span<const std::byte> record) {
  OJ_CHECK(record.size() >= kRecordHeaderBytes);
  RecordHeader header;
  std::memcpy(&header, record.data(), kRecordHeaderBytes);
  return header;
}

}  // namespace oj::schema
