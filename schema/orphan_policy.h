// OrphanPolicy as people write it: "keep", "fail", "retry:3", "optuna".
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "schema/operation.h"

namespace oj::schema {

constexpr std::uint32_t kRetriesMax = 1000;  // of "retry:N"

// The system attribute of a study that holds its policy, as text. Anything else than such a text in
// it, null included, means that the study has none.
constexpr std::string_view kOrphansAttr = "optjournal:orphans";

// kInvalid with what may be written instead.
Result<OrphanPolicy> parse_orphan_policy(std::string_view text);
// "unset" for kUnset, which parse_orphan_policy() does not take.
std::string text_of(const OrphanPolicy& policy);

}  // namespace oj::schema
