// The words for an operation that the order refused: Optuna's own where Optuna has some.
//
// SPDX-License-Identifier: MIT
#include <cstdint>
#include <string>
#include <variant>

#include "base/check.h"
#include "libclient/storage.h"

namespace oj::client {
namespace {

// The study or trial that an operation is about.
std::uint64_t subject(const schema::Operation& operation) {
  return std::visit(
      [](const auto& arm) -> std::uint64_t {
        if constexpr (requires { arm.trial; }) {
          return arm.trial;
        } else if constexpr (requires { arm.study; }) {
          return arm.study;
        } else {
          return 0;
        }
      },
      operation);
}

std::string incompatible(const schema::Operation& operation) {
  const auto* set = std::get_if<schema::SetTrialParam>(&operation);
  if (set != nullptr && set->param.distribution.kind == schema::Distribution::Kind::kCategorical) {
    return "CategoricalDistribution does not support dynamic value space. (parameter '" +
           std::string(set->param.name) + "')";
  }
  return "Cannot set different distribution kind to the same parameter name." +
         (set == nullptr ? "" : " (parameter '" + std::string(set->param.name) + "')");
}

}  // namespace

Error outcome_error(const replay::Outcome& outcome, const schema::Operation& operation) {
  using enum replay::OutcomeCode;
  switch (outcome.code) {
    case kNoSuchStudy:
      return Error{Code::kInvalid,
                   "study " + std::to_string(subject(operation)) + " does not exist"};
    case kNoSuchTrial:
      return Error{Code::kInvalid,
                   "trial " + std::to_string(subject(operation)) + " does not exist"};
    case kStudyExists: {
      const auto* create = std::get_if<schema::CreateStudy>(&operation);
      const std::string name = create == nullptr ? "" : std::string(create->name);
      return Error{
          Code::kInvalid,
          "Another study with name '" + name +
              "' already exists. Please specify a different name, or reuse the existing "
              "one by setting `load_if_exists` (for Python API) or `--skip-if-exists` flag "
              "(for CLI)."};
    }
    case kTrialFinished:
      return Error{Code::kRefused, "Trial#" + std::to_string(outcome.id) +
                                       " has already finished and can not be updated."};
    case kIncompatible: return Error{Code::kInvalid, incompatible(operation)};
    case kUnchanged:
      return Error{Code::kRefused,
                   "trial " + std::to_string(subject(operation)) + " is RUNNING already"};
    case kDone: break;
  }
  OJ_CHECK(outcome.code != kDone);
  return Error{Code::kCorrupt, "an outcome of another version"};
}

}  // namespace oj::client
