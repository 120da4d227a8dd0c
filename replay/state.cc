// SPDX-License-Identifier: MIT
#include "replay/state.h"

#include <variant>

#include "base/check.h"
#include "replay/apply.h"
#include "replay/tables.h"

namespace oj::replay {

struct State::Impl {
  Tables tables;
  std::vector<Outcome> outcomes;  // of the latest record
};

State::State() : impl_(std::make_unique<Impl>()) {}
State::~State() = default;
State::State(State&&) noexcept = default;
State& State::operator=(State&&) noexcept = default;

std::uint64_t State::next_seq() const { return impl_->tables.next_seq; }

std::span<const Outcome> State::apply(std::uint64_t seq, const schema::DecodedRecord& record) {
  Tables& tables = impl_->tables;
  OJ_CHECK(seq == tables.next_seq);
  impl_->outcomes.clear();
  for (const schema::Operation& operation : record.operations) {
    impl_->outcomes.push_back(std::visit(
        [&](const auto& op) { return replay::apply(tables, record.header, op); }, operation));
  }
  record_applied(tables, record.header);
  return impl_->outcomes;
}

void State::apply_tombstone(std::uint64_t seq) {
  Tables& tables = impl_->tables;
  OJ_CHECK(seq == tables.next_seq);
  ++tables.next_seq;
  ++tables.tombstone_count;
}

Outcome State::check(const schema::Operation& operation) const {
  const Tables& tables = impl_->tables;
  return std::visit([&](const auto& op) { return replay::check(tables, op); }, operation);
}

const Study* State::study(StudyId id) const { return std::as_const(impl_->tables).find_study(id); }

const Study* State::study(std::string_view name) const {
  const auto found = impl_->tables.by_name.find(name);
  return found == impl_->tables.by_name.end() ? nullptr : found->second;
}

const Trial* State::trial(TrialId id) const { return impl_->tables.trials.find(id).trial; }
const std::map<StudyId, Study>& State::studies() const { return impl_->tables.studies; }
std::uint64_t State::trial_id_count() const { return impl_->tables.trial_id_count; }
std::uint64_t State::study_id_count() const { return impl_->tables.study_id_count; }
std::uint64_t State::tombstone_count() const { return impl_->tables.tombstone_count; }
const std::map<SessionId, SessionInfo>& State::sessions() const { return impl_->tables.sessions; }

std::uint64_t State::last_op_no(SessionId session) const {
  const auto found = impl_->tables.sessions.find(session);
  return found == impl_->tables.sessions.end() ? 0 : found->second.last_op_no;
}

std::string State::digest() const { return replay::digest(impl_->tables); }

}  // namespace oj::replay
