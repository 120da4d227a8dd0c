// The calls of NativeStorage that write trials.
//
// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "python/native/borrowed.h"
#include "python/native/datetimes.h"
#include "python/native/errors.h"
#include "python/native/storage.h"

namespace oj::python {
namespace {

schema::CreateTrial from_template(std::uint64_t study, nb::handle trial, Borrowed& borrowed) {
  schema::CreateTrial create;
  create.study = study;
  create.state = state_from_python(trial.attr("state"));
  create.start_us = datetime_from_python(trial.attr("datetime_start"));
  create.complete_us = datetime_from_python(trial.attr("datetime_complete"));
  nb::object values = trial.attr("values");
  if (!values.is_none()) create.values = borrowed.doubles(values);
  create.params = borrowed.params(trial.attr("params"), trial.attr("distributions"));
  create.user_attrs = borrowed.attrs(trial.attr("user_attrs"));
  create.system_attrs = borrowed.attrs(trial.attr("system_attrs"));
  create.intermediate_values = borrowed.intermediate_values(trial.attr("intermediate_values"));
  return create;
}

}  // namespace

std::uint64_t NativeStorage::create_new_trial(nb::handle study_id, nb::handle template_trial) {
  Borrowed borrowed;
  const std::uint64_t study = id_from_python(study_id);
  schema::CreateTrial create;
  create.study = study;
  if (template_trial.is_none()) {
    create.start_us = utc_us();
  } else {
    create = from_template(study, template_trial, borrowed);
  }
  return write(create).id;
}

void NativeStorage::set_trial_param(nb::handle trial_id, nb::handle name, nb::handle internal,
                                    nb::handle distribution) {
  Borrowed borrowed;
  schema::SetTrialParam set;
  set.trial = id_from_python(trial_id);
  set.param.name = borrowed.text(name, "a parameter's name");
  set.param.internal = double_from_python(internal);
  set.param.distribution = borrowed.distribution(distribution);
  check_internal(set.param.internal, set.param.distribution);
  write(set);
}

bool NativeStorage::set_trial_state_values(nb::handle trial_id, nb::handle state,
                                           nb::handle values) {
  Borrowed borrowed;
  schema::SetTrialStateValues set;
  set.trial = id_from_python(trial_id);
  set.state = state_from_python(state);
  if (!values.is_none()) set.values = borrowed.doubles(values);
  set.time_us = utc_us();
  return write(set).code == replay::OutcomeCode::kDone;
}

void NativeStorage::set_trial_intermediate_value(nb::handle trial_id, nb::handle step,
                                                 nb::handle value) {
  write(schema::SetTrialIntermediateValue{
      id_from_python(trial_id), {int64_from_python(step, "a step"), double_from_python(value)}});
}

void NativeStorage::set_trial_user_attr(nb::handle trial_id, nb::handle key, nb::handle value) {
  Borrowed borrowed;
  const schema::Attr attr{borrowed.text(key, "an attribute's key"), borrowed.value(value)};
  write(schema::SetTrialUserAttr{id_from_python(trial_id), attr});
}

void NativeStorage::set_trial_system_attr(nb::handle trial_id, nb::handle key, nb::handle value) {
  Borrowed borrowed;
  const schema::Attr attr{borrowed.text(key, "an attribute's key"), borrowed.value(value)};
  write(schema::SetTrialSystemAttr{id_from_python(trial_id), attr});
}

}  // namespace oj::python
