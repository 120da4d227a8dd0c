// One word for a whole state: XXH3-128 over a canonical serialisation of it.
//
// Canonical: the order of studies is by id, of trials by number, of attributes, parameters and
// steps as readers see them, of a study's distributions by name; integers are 8 bytes, least
// significant first; every string and list is preceded by its length, and every optional by whether
// it is there. Doubles count by their bits (-0.0 is not 0.0), but all NaNs are one, because readers
// cannot tell them apart and an export does not keep them apart.
//
// IF YOU CHANGE WHAT A STATE HOLDS: add it here and to tests/unit/replay/digest_test.cc, and count
// kFormat up.
//
// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <vector>

#define XXH_INLINE_ALL  // NOLINT(readability-identifier-naming): its name
#include <xxhash.h>

#include "replay/tables.h"

namespace oj::replay {
namespace {

constexpr std::string_view kFormat = "optjournal state 2";

class Canon {
 public:
  Canon() { XXH3_128bits_reset(&hash_); }

  void number(std::uint64_t value) {
    static_assert(std::endian::native == std::endian::little);
    if (used_ + sizeof(value) > buffer_.size()) flush();
    std::memcpy(&buffer_[used_], &value, sizeof(value));
    used_ += sizeof(value);
  }
  void number(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }
  void real(double value) { number(canonical_bits(value)); }
  template <class Enum>
  void enumerant(Enum value) {
    number(static_cast<std::uint64_t>(value));
  }
  void text(std::string_view bytes) {
    number(bytes.size());
    flush();
    XXH3_128bits_update(&hash_, bytes.data(), bytes.size());
  }
  void optional(const std::optional<std::int64_t>& value) {
    number(std::uint64_t{value.has_value()});
    number(value.value_or(0));
  }

  std::string hex() {
    flush();
    const XXH128_hash_t hash = XXH3_128bits_digest(&hash_);
    constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (const std::uint64_t half : {hash.high64, hash.low64}) {
      for (int shift = 60; shift >= 0; shift -= 4) hex += kDigits[half >> shift & 15];
    }
    return hex;
  }

 private:
  void flush() {
    XXH3_128bits_update(&hash_, buffer_.data(), used_);
    used_ = 0;
  }

  XXH3_state_t hash_;
  std::array<std::byte, 512> buffer_;
  std::size_t used_ = 0;
};

void add(Canon& canon, const Value& value) {
  canon.enumerant(value.kind);
  switch (value.kind) {
    case schema::Value::Kind::kNull: break;
    case schema::Value::Kind::kBool: canon.number(std::uint64_t{value.boolean}); break;
    case schema::Value::Kind::kInt64: canon.number(value.int64); break;
    case schema::Value::Kind::kFloat64: canon.real(value.float64); break;
    case schema::Value::Kind::kText:
    case schema::Value::Kind::kJson: canon.text(value.text); break;
  }
}

void add(Canon& canon, const AttrMap& attrs) {
  canon.number(attrs.items().size());
  for (const auto& [key, value] : attrs.items()) {
    canon.text(key);
    add(canon, value);
  }
}

void add(Canon& canon, const Distribution& distribution) {
  canon.enumerant(distribution.kind);
  canon.number(std::uint64_t{distribution.log});
  switch (distribution.kind) {
    case schema::Distribution::Kind::kFloat:
      canon.real(distribution.low);
      canon.real(distribution.high);
      canon.number(std::uint64_t{distribution.has_step});
      canon.real(distribution.step);
      break;
    case schema::Distribution::Kind::kInt:
      canon.number(distribution.int_low);
      canon.number(distribution.int_high);
      canon.number(distribution.int_step);
      break;
    case schema::Distribution::Kind::kCategorical:
      canon.number(distribution.choices.size());
      for (const Value& choice : distribution.choices) add(canon, choice);
      break;
    case schema::Distribution::Kind::kJson: canon.text(distribution.json); break;
  }
}

void add(Canon& canon, const Trial& trial) {
  canon.number(trial.id);
  canon.number(trial.number);
  canon.enumerant(trial.state);
  canon.number(std::uint64_t{trial.values.has_value()});
  if (trial.values) {
    canon.number(trial.values->size());
    for (const double value : *trial.values) canon.real(value);
  }
  canon.optional(trial.start_us);
  canon.optional(trial.complete_us);
  canon.number(trial.params.size());
  for (const Param& param : trial.params) {
    canon.text(param.name);
    canon.real(param.internal);
    add(canon, *param.distribution);
  }
  add(canon, trial.user_attrs);
  add(canon, trial.system_attrs);
  canon.number(trial.intermediate_values.size());
  for (const schema::IntermediateValue& value : trial.intermediate_values) {
    canon.number(value.step);
    canon.real(value.value);
  }
  canon.number(trial.session);
  canon.number(trial.version);
}

void add_distributions(Canon& canon, const Study& study) {
  std::vector<const decltype(study.distributions)::value_type*> sorted;
  sorted.reserve(study.distributions.size());
  for (const auto& entry : study.distributions) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  canon.number(sorted.size());
  for (const auto* entry : sorted) {
    canon.text(entry->first);
    add(canon, *entry->second);
  }
}

void add(Canon& canon, const Study& study) {
  canon.number(study.id);
  canon.text(study.name);
  canon.number(study.directions.size());
  for (const Direction direction : study.directions) canon.enumerant(direction);
  add(canon, study.user_attrs);
  add(canon, study.system_attrs);
  canon.number(study.attrs_version);
  canon.number(study.trials.size());
  for (const Trial* trial : study.trials) add(canon, *trial);
  canon.number(study.waiting.size());
  for (const std::uint64_t number : study.waiting) canon.number(number);
  for (const std::uint64_t count : study.count_by_state) canon.number(count);
  canon.number(study.best ? study.best->number + 1 : 0);
  add_distributions(canon, study);
}

void add(Canon& canon, const SessionInfo& session) {
  canon.number(session.id);
  canon.number(std::uint64_t{session.pid});
  canon.number(std::uint64_t{session.uid});
  canon.text(session.host);
  canon.text(session.command);
  canon.text(session.user);
  canon.text(session.container);
  canon.number(std::uint64_t{session.cuda_visible_devices.has_value()});
  if (session.cuda_visible_devices) canon.text(*session.cuda_visible_devices);
  canon.number(session.gpus.size());
  for (const Gpu& gpu : session.gpus) {
    canon.text(gpu.uuid);
    canon.text(gpu.name);
  }
  canon.enumerant(session.orphans.kind);
  canon.number(std::uint64_t{session.orphans.retries_max});
  canon.number(session.birth.boot_id_high);
  canon.number(session.birth.boot_id_low);
  canon.number(session.birth.pid_namespace);
  canon.number(session.birth.start_ticks);
  canon.number(session.started_us);
  canon.number(std::uint64_t{session.ended});
  canon.number(std::uint64_t{session.died});
  canon.number(session.ended_us);
  canon.number(session.last_op_no);
  canon.number(session.running.size());
  for (const TrialId trial : session.running) canon.number(trial);
  for (const auto& [study, policy] : session.policies_at_death) {
    canon.number(study);
    canon.enumerant(policy.kind);
    canon.number(std::uint64_t{policy.retries_max});
  }
}

}  // namespace

std::string digest(const Tables& tables) {
  Canon canon;
  canon.text(kFormat);
  canon.number(tables.next_seq);
  canon.number(tables.study_id_count);
  canon.number(tables.trial_id_count);
  canon.number(tables.tombstone_count);
  canon.number(tables.sessions.size());
  for (const auto& [id, session] : tables.sessions) add(canon, session);
  canon.number(tables.studies.size());
  for (const auto& [id, study] : tables.studies) add(canon, study);
  return canon.hex();
}

}  // namespace oj::replay
