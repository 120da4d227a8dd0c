// SPDX-License-Identifier: MIT
#include "python/native/python_types.h"

#include <algorithm>
#include <map>
#include <string>

namespace oj::python {
namespace {

nb::object interned(const char* text) {
  PyObject* object = PyUnicode_InternFromString(text);
  if (object == nullptr) throw nb::python_error();
  return nb::steal(object);
}

// Names of the attributes that `instance` has, in their order.
std::vector<std::string> attribute_names(nb::handle instance) {
  std::vector<std::string> names;
  nb::dict attributes = nb::borrow<nb::dict>(instance.attr("__dict__"));
  for (auto item : attributes) names.emplace_back(nb::cast<std::string>(item.first));
  return names;
}

const std::map<std::string, TrialField>& known_trial_attributes() {
  static const std::map<std::string, TrialField> known = {
      {"_number", TrialField::kNumber},
      {"state", TrialField::kState},
      {"_values", TrialField::kValues},
      {"_datetime_start", TrialField::kDatetimeStart},
      {"datetime_complete", TrialField::kDatetimeComplete},
      {"_params", TrialField::kParams},
      {"_user_attrs", TrialField::kUserAttrs},
      {"_system_attrs", TrialField::kSystemAttrs},
      {"intermediate_values", TrialField::kIntermediateValues},
      {"_distributions", TrialField::kDistributions},
      {"_trial_id", TrialField::kTrialId},
  };
  return known;
}

std::vector<std::pair<nb::object, TrialField>> trial_attributes(nb::handle frozen_trial,
                                                                nb::handle state) {
  nb::object instance = frozen_trial(
      nb::arg("number") = 0, nb::arg("state") = state, nb::arg("value") = nb::none(),
      nb::arg("datetime_start") = nb::none(), nb::arg("datetime_complete") = nb::none(),
      nb::arg("params") = nb::dict(), nb::arg("distributions") = nb::dict(),
      nb::arg("user_attrs") = nb::dict(), nb::arg("system_attrs") = nb::dict(),
      nb::arg("intermediate_values") = nb::dict(), nb::arg("trial_id") = 0);
  std::vector<std::pair<nb::object, TrialField>> attributes;
  for (const std::string& name : attribute_names(instance)) {
    const auto known = known_trial_attributes().find(name);
    if (known == known_trial_attributes().end()) return {};
    attributes.emplace_back(interned(name.c_str()), known->second);
  }
  if (attributes.size() != kTrialFieldCount) return {};
  return attributes;
}

bool has_attributes(nb::handle instance, std::vector<std::string> expected) {
  std::vector<std::string> names = attribute_names(instance);
  std::sort(names.begin(), names.end());
  return names == expected;
}

}  // namespace

PythonTypes::PythonTypes() {
  nb::module_ trial = nb::module_::import_("optuna.trial");
  frozen_trial = trial.attr("FrozenTrial");
  for (std::size_t i = 0; i < trial_states.size(); ++i)
    trial_states[i] = trial.attr("TrialState")(i);
  nb::object direction = nb::module_::import_("optuna.study").attr("StudyDirection");
  for (std::size_t i = 0; i < directions.size(); ++i) directions[i] = direction(i);

  nb::module_ distributions = nb::module_::import_("optuna.distributions");
  base_distribution = distributions.attr("BaseDistribution");
  float_distribution = distributions.attr("FloatDistribution");
  int_distribution = distributions.attr("IntDistribution");
  categorical_distribution = distributions.attr("CategoricalDistribution");
  distribution_to_json = distributions.attr("distribution_to_json");
  json_to_distribution = distributions.attr("json_to_distribution");
  convert_old_distribution =
      nb::getattr(distributions, "_convert_old_distribution_to_new_distribution", nb::none());

  nb::module_ json = nb::module_::import_("json");
  json_encode =
      json.attr("JSONEncoder")(nb::arg("separators") = nb::make_tuple(",", ":")).attr("encode");
  json_decode = json.attr("JSONDecoder")().attr("decode");

  nb::module_ errors = nb::module_::import_("optjournal._errors");
  const std::pair<Code, const char*> classes[] = {
      {Code::kBusy, "BusyError"},
      {Code::kGone, "GoneError"},
      {Code::kInvalid, "InvalidError"},
      {Code::kRefused, "RefusedError"},
      {Code::kIncompatible, "IncompatibleError"},
      {Code::kCorrupt, "CorruptError"},
      {Code::kIo, "IoError"},
      {Code::kPublished, "PublishedError"},
  };
  for (const auto& [code, name] : classes)
    journal_errors[static_cast<std::size_t>(code)] = errors.attr(name);
  nb::module_ exceptions = nb::module_::import_("optuna.exceptions");
  duplicated_study_error = exceptions.attr("DuplicatedStudyError");
  // Since Optuna 4.3; before, RuntimeError was raised, of which it is a subclass.
  update_finished_error =
      nb::getattr(exceptions, "UpdateFinishedTrialError", nb::borrow(PyExc_RuntimeError));

  empty_tuple = nb::steal(PyTuple_New(0));
  low = interned("low");
  high = interned("high");
  step = interned("step");
  log = interned("log");
  choices = interned("choices");
  q = interned("q");
  to_internal_repr = interned("to_internal_repr");
  to_external_repr = interned("to_external_repr");

  trial_attributes = python::trial_attributes(frozen_trial, trial_states[0]);
  plain_distributions =
      has_attributes(float_distribution(0.0, 1.0), {"high", "log", "low", "step"}) &&
      has_attributes(int_distribution(0, 1), {"high", "log", "low", "step"}) &&
      has_attributes(categorical_distribution(nb::make_tuple(0)), {"choices"});
}

const PythonTypes& python_types() {
  static const PythonTypes* types = new PythonTypes();  // for the process's life, see the header
  return *types;
}

}  // namespace oj::python
