// SPDX-License-Identifier: MIT
#include "schema/orphan_policy.h"

#include <charconv>

namespace oj::schema {

Result<OrphanPolicy> parse_orphan_policy(std::string_view text) {
  using Kind = OrphanPolicy::Kind;
  constexpr std::string_view kRetry = "retry:";
  if (text == "keep") return OrphanPolicy{Kind::kKeep};
  if (text == "fail") return OrphanPolicy{Kind::kFail};
  if (text == "optuna") return OrphanPolicy{Kind::kOptuna};
  std::uint32_t count = 0;
  if (text.starts_with(kRetry)) {
    const char* const end = text.data() + text.size();
    const auto [at, failed] = std::from_chars(text.data() + kRetry.size(), end, count);
    if (failed == std::errc() && at == end && count >= 1 && count <= kRetriesMax)
      return OrphanPolicy{Kind::kRetry, count};
  }
  std::string message = "no policy for orphans is called '";
  message.append(text).append("': give keep, fail, optuna, or retry:N with N in 1 .. ");
  return Error{Code::kInvalid, message + std::to_string(kRetriesMax)};
}

std::string text_of(const OrphanPolicy& policy) {
  switch (policy.kind) {
    case OrphanPolicy::Kind::kUnset: return "unset";
    case OrphanPolicy::Kind::kKeep: return "keep";
    case OrphanPolicy::Kind::kFail: return "fail";
    case OrphanPolicy::Kind::kRetry:
      return std::string("retry:").append(std::to_string(policy.retries_max));
    case OrphanPolicy::Kind::kOptuna: return "optuna";
  }
  return "?";
}

}  // namespace oj::schema
