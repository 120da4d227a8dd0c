// The state that a journal describes, and the pure function that makes it: (State, Record) ->
// Outcome.
//
// Everybody who applies the same records in the same order has the same State; digest() says so in
// one word. Nothing here knows of clocks, files, shared memory or Python.
//
// Costs: apply is O(1) in the number of trials and studies (deleting a study is O(its trials)).
// Memory: a Trial owns its strings; deleting a study gives all of it back.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "replay/position_index.h"
#include "schema/codec.h"
#include "schema/operation.h"

namespace oj::replay {

using schema::Direction;
using schema::SessionId;
using schema::StudyId;
using schema::TrialId;
using schema::TrialState;

// Owning twins of schema::Value and schema::Distribution.
struct Value {
  schema::Value::Kind kind = schema::Value::Kind::kNull;
  bool boolean = false;
  std::int64_t int64 = 0;
  double float64 = 0;
  std::string text;

  static Value from(const schema::Value& view);
  schema::Value view() const;  // borrows from this
};

struct Distribution {
  schema::Distribution::Kind kind = schema::Distribution::Kind::kFloat;
  bool log = false;
  bool has_step = false;
  double low = 0, high = 0, step = 0;
  std::int64_t int_low = 0, int_high = 0, int_step = 1;
  std::vector<Value> choices;
  std::string json;

  static Distribution from(const schema::Distribution& view);
};

// Optuna's rule (see schema::Distribution). Choices compare as Python's == does (1 == 1.0 == True),
// with NaN equal to NaN; those kept as JSON compare as text. An IntDistribution kept as JSON is of
// the same kind as kInt. `a` is what the study has, `b` what is asked for.
bool compatible(const Distribution& a, const schema::Distribution& b);

struct Gpu {
  std::string uuid, name;
  bool operator==(const Gpu&) const = default;
};

struct Param {
  std::string name;
  double internal = 0;
  std::shared_ptr<const Distribution>
      distribution;  // shared by equal distributions of a study's trials
};

// Keeps the order of first insertion; a key set again keeps its place, as a Python dict does.
class AttrMap {
 public:
  void set(std::string_view key, const schema::Value& value);
  const Value* find(std::string_view key) const;
  const std::vector<std::pair<std::string, Value>>& items() const { return items_; }

 private:
  std::vector<std::pair<std::string, Value>> items_;
  NameIndex index_;
};

struct Trial {
  TrialId id = 0;
  StudyId study = 0;
  std::uint64_t number = 0;
  TrialState state = TrialState::kRunning;
  std::optional<std::vector<double>> values;
  std::optional<std::int64_t> start_us, complete_us;
  std::vector<Param> params;  // first-set order; `param()` finds by name
  AttrMap user_attrs, system_attrs;
  std::vector<schema::IntermediateValue> intermediate_values;  // first-set order
  SessionId session = 0;      // who made it RUNNING last (or created it)
  std::uint64_t version = 0;  // changes with every applied operation on this trial

  const Param* param(std::string_view name) const;

  // For apply. Each overwrites what is there, in its place.
  void set_param(std::string_view name, double internal,
                 std::shared_ptr<const Distribution> distribution);
  void set_intermediate_value(const schema::IntermediateValue& value);
  // After `params` were assigned as a whole.
  void index_params();
  // Gives back what only an unfinished trial needs.
  void settle();

 private:
  NameIndex param_index_;
  StepIndex step_index_;
  bool steps_ascend_ = true;  // then steps need no index
};

struct Study {
  StudyId id = 0;
  std::string name;
  std::vector<Direction> directions;
  AttrMap user_attrs, system_attrs;
  std::vector<const Trial*> trials;  // by number; the pointers live as long as the study
  std::set<std::uint64_t> waiting;   // numbers of WAITING trials
  std::uint64_t count_by_state[5] = {};
  // Best COMPLETE trial of a single-objective study, by its first value: the largest if the
  // direction is kMaximize, else the smallest. The lowest number wins ties; infinities count; NaN
  // and absent values never win.
  const Trial* best = nullptr;
  // What each parameter is: its distribution when it was first set in the study. Later ones are
  // compatible with it, but for those of templates, which Optuna does not check.
  std::unordered_map<std::string, std::shared_ptr<const Distribution>, StringHash, std::equal_to<>>
      distributions;
  std::uint64_t attrs_version = 0;  // changes with every attribute written
  std::uint64_t finished_count() const {
    return count_by_state[1] + count_by_state[2] + count_by_state[3];
  }
};

// What one operation returned to its issuer. Everything but kDone and kUnchanged left the state as
// it was.
enum class OutcomeCode : std::uint8_t {
  kDone,
  // RUNNING asked of a RUNNING trial: Optuna's `False`; or the end of an orphan that is none
  kUnchanged,
  kNoSuchStudy,
  kNoSuchTrial,
  kStudyExists,    // the name is taken; `id` is the study that has it
  kTrialFinished,  // `id` is the trial's number
  kIncompatible,   // the study has the parameter with another kind of distribution
};
constexpr TrialId kNoTrial = UINT64_MAX;
struct Outcome {
  OutcomeCode code = OutcomeCode::kDone;
  // The new StudyId or TrialId, or as said above. Of EndOrphan: the copy's, or kNoTrial.
  std::uint64_t id = 0;
};

struct SessionInfo {
  SessionId id = 0;
  std::uint32_t pid = 0, uid = 0;
  std::string host, command, user, container;
  std::optional<std::string> cuda_visible_devices;
  std::vector<Gpu> gpus;
  schema::OrphanPolicy orphans;  // what it was told to say; mostly unset
  schema::ProcessBirth birth;
  std::int64_t started_us = 0;
  bool ended = false, died = false;
  std::int64_t ended_us = 0;
  std::uint64_t last_op_no = 0;  // the highest applied
  std::set<TrialId> running;     // RUNNING trials whose `session` this is
  // Of one that died: what the studies of these trials said of orphans at that moment.
  std::map<StudyId, schema::OrphanPolicy> policies_at_death;
};

class State {
 public:
  State();
  ~State();
  State(State&&) noexcept;
  State& operator=(State&&) noexcept;

  // The seq of the record that apply() expects next.
  std::uint64_t next_seq() const;

  // Applies record `seq` == next_seq(). The outcomes, one an operation in order, stay valid until
  // the next call. The operations of a record become visible together, each with an outcome of its
  // own: a refused one changes nothing and does not hinder the others.
  std::span<const Outcome> apply(std::uint64_t seq, const schema::DecodedRecord& record);
  // A record whose bytes failed their checks, or do not decode (kCorrupt): counts, changes nothing
  // else.
  void apply_tombstone(std::uint64_t seq);

  // What apply() would return for this operation now, changing nothing; kDone and kUnchanged mean
  // that it would not be refused. For errors before anything is written; the journal decides.
  Outcome check(const schema::Operation& operation) const;

  const Study* study(StudyId id) const;  // null: unknown or deleted
  const Study* study(std::string_view name) const;
  const Trial* trial(TrialId id) const;             // null: unknown, or of a deleted study
  const std::map<StudyId, Study>& studies() const;  // the live ones, by id
  std::uint64_t trial_id_count() const;             // trials ever created
  std::uint64_t study_id_count() const;
  std::uint64_t tombstone_count() const;
  // Sessions that have not ended, and died ones while they have RUNNING trials (orphans). A session
  // is known from its SessionStarted on; the end of one that is unknown or has ended is ignored.
  const std::map<SessionId, SessionInfo>& sessions() const;
  // The highest op_no applied of `session`; 0 if it is not in sessions().
  std::uint64_t last_op_no(SessionId session) const;

  // 128 bits as 32 hex digits over everything above that readers can see, and next_seq(). O(size of
  // the state).
  std::string digest() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace oj::replay
