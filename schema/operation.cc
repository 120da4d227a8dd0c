// SPDX-License-Identifier: MIT
#include "schema/operation.h"

#include <array>

namespace oj::schema {

std::string_view operation_name(const Operation& operation) {
  // In the order of the variant, which is the order of the union in record.capnp but for the batch.
  static constexpr std::array<std::string_view, std::variant_size_v<Operation>> kNames = {
      "createStudy",      "deleteStudy",        "setStudyUserAttr",    "setStudySystemAttr",
      "createTrial",      "setTrialParam",      "setTrialStateValues", "setTrialIntermediateValue",
      "setTrialUserAttr", "setTrialSystemAttr", "sessionStarted",      "sessionEnded",
      "tombstone",        "endOrphan"};
  return kNames[operation.index()];
}

}  // namespace oj::schema
