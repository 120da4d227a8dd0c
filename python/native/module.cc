// The extension module optjournal._native. Its Python face is python/optjournal/_native.pyi.
//
// SPDX-License-Identifier: MIT
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include "libclient/session.h"
#include "python/native/datetimes.h"
#include "python/native/python_types.h"
#include "python/native/storage.h"

namespace {

namespace nb = nanobind;
using oj::python::NativeStorage;

// None reaches our own checks, which raise what Optuna's storages raise for it.
const auto any = nb::arg().none();  // NOLINT(readability-identifier-naming): a word below

void bind_studies(nb::class_<NativeStorage>& storage) {
  storage.def("create_new_study", &NativeStorage::create_new_study, any, any)
      .def("delete_study", &NativeStorage::delete_study, any)
      .def("set_study_user_attr", &NativeStorage::set_study_user_attr, any, any, any)
      .def("set_study_system_attr", &NativeStorage::set_study_system_attr, any, any, any)
      .def("get_study_id_from_name", &NativeStorage::get_study_id_from_name, any)
      .def("get_study_name_from_id", &NativeStorage::get_study_name_from_id, any)
      .def("get_study_directions", &NativeStorage::get_study_directions, any)
      .def("get_study_user_attrs", &NativeStorage::get_study_user_attrs, any)
      .def("get_study_system_attrs", &NativeStorage::get_study_system_attrs, any)
      .def("get_all_studies", &NativeStorage::get_all_studies);
}

void bind_trials(nb::class_<NativeStorage>& storage) {
  storage.def("create_new_trial", &NativeStorage::create_new_trial, any, any)
      .def("set_trial_param", &NativeStorage::set_trial_param, any, any, any, any)
      .def("set_trial_state_values", &NativeStorage::set_trial_state_values, any, any, any)
      .def("set_trial_intermediate_value", &NativeStorage::set_trial_intermediate_value, any, any,
           any)
      .def("set_trial_user_attr", &NativeStorage::set_trial_user_attr, any, any, any)
      .def("set_trial_system_attr", &NativeStorage::set_trial_system_attr, any, any, any)
      .def("get_trial_id_from_study_id_trial_number",
           &NativeStorage::get_trial_id_from_study_id_trial_number, any, any)
      .def("get_trial_number_from_id", &NativeStorage::get_trial_number_from_id, any)
      .def("get_trial_param", &NativeStorage::get_trial_param, any, any)
      .def("get_trial", &NativeStorage::get_trial, any)
      .def("get_all_trials", &NativeStorage::get_all_trials, any, nb::arg(), any)
      .def("get_n_trials", &NativeStorage::get_n_trials, any, any)
      .def("get_best_trial", &NativeStorage::get_best_trial, any);
}

}  // namespace

NB_MODULE(_native, module) {
  oj::python::import_datetime();
  oj::python::python_types();
  // A storage that a user leaks is no bug of nanobind's bindings; the reports would only confuse.
  nb::set_leak_warnings(false);
  module.attr("__version__") = oj::client::version();

  nb::class_<NativeStorage> storage(module, "Storage", nb::is_weak_referenceable());
  storage
      .def(nb::init<const nb::bytes&, const std::string&, const std::string&, std::int64_t,
                    std::int64_t, std::uint64_t, std::int64_t, const nb::bytes&, const std::string&,
                    const std::optional<std::string>&>(),
           nb::arg("location"), nb::arg("mode"), nb::arg("durability"), nb::arg("timeout_ms"),
           nb::arg("open_timeout_ms"), nb::arg("pool_bytes"), nb::arg("idle_exit_ms"),
           nb::arg("daemon_path"), nb::arg("name"), nb::arg("orphans").none())
      .def("close", &NativeStorage::close)
      .def("digest", &NativeStorage::digest)
      .def("next_seq", &NativeStorage::next_seq)
      .def("sync", &NativeStorage::sync)
      .def("status", &NativeStorage::status)
      .def("stale_trials", &NativeStorage::stale_trials, any, nb::arg())
      .def("set_orphan_policy", &NativeStorage::set_orphan_policy, any, nb::arg().none());
  bind_studies(storage);
  bind_trials(storage);
}
