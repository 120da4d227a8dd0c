// One function for each operation, and for each the question what it would return.
//
// check() and apply() of an operation agree because apply() asks the same function before it
// changes anything.
//
// SPDX-License-Identifier: MIT
#pragma once

#include "replay/state.h"
#include "replay/tables.h"

namespace oj::replay {

// apply_study.cc
Outcome check(const Tables& tables, const schema::CreateStudy& op);
Outcome check(const Tables& tables, const schema::DeleteStudy& op);
Outcome check(const Tables& tables, const schema::SetStudyUserAttr& op);
Outcome check(const Tables& tables, const schema::SetStudySystemAttr& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::CreateStudy& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::DeleteStudy& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetStudyUserAttr& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetStudySystemAttr& op);

// apply_trial.cc
Outcome check(const Tables& tables, const schema::CreateTrial& op);
Outcome check(const Tables& tables, const schema::SetTrialParam& op);
Outcome check(const Tables& tables, const schema::SetTrialStateValues& op);
Outcome check(const Tables& tables, const schema::SetTrialIntermediateValue& op);
Outcome check(const Tables& tables, const schema::SetTrialUserAttr& op);
Outcome check(const Tables& tables, const schema::SetTrialSystemAttr& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::CreateTrial& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::SetTrialParam& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetTrialStateValues& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetTrialIntermediateValue& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetTrialUserAttr& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header,
              const schema::SetTrialSystemAttr& op);

// apply_orphan.cc
Outcome check(const Tables& tables, const schema::EndOrphan& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::EndOrphan& op);

// apply_session.cc
Outcome check(const Tables& tables, const schema::SessionStarted& op);
Outcome check(const Tables& tables, const schema::SessionEnded& op);
Outcome check(const Tables& tables, const schema::Tombstone& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::SessionStarted& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::SessionEnded& op);
Outcome apply(Tables& tables, const schema::RecordHeader& header, const schema::Tombstone& op);
// After a record's operations: the session's op_no.
void record_applied(Tables& tables, const schema::RecordHeader& header);

}  // namespace oj::replay
