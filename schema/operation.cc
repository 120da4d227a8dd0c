// SPDX-License-Identifier: MIT
#include "schema/operation.h"

#include <array>

namespace oj::schema {

namespace {

// In the order of the variant, which is the order of the union in record.capnp but for the batch.
constexpr std::array<std::string_view, std::variant_size_v<Operation>> kNames = {
    "createStudy",      "deleteStudy",        "setStudyUserAttr",    "setStudySystemAttr",
    "createTrial",      "setTrialParam",      "setTrialStateValues", "setTrialIntermediateValue",
    "setTrialUserAttr", "setTrialSystemAttr", "sessionStarted",      "sessionEnded",
    "tombstone",        "endOrphan"};

}  // namespace

std::string_view operation_name(const Operation& operation) { return kNames[operation.index()]; }

std::span<const std::string_view> operation_names() { return kNames; }

}  // namespace oj::schema
