// Looks for the usual troubles of a journal and its surroundings, as whoever asks: what is fine,
// what is strange, what is wrong, and what to type. Changes nothing and starts nothing.
//
// Each look is a function of one of the three .cc files: of the folder on disk and who serves it
// (diagnosis.cc), of shared memory, limits and clock (diagnosis_surroundings.cc), of a service's
// unit, configuration and group (diagnosis_service.cc).
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schema/control.h"

namespace oj::client {

enum class Verdict : std::uint8_t { kOk, kWarning, kProblem };
const char* verdict_name(Verdict verdict);  // "ok", "warning", "problem"

struct Finding {
  std::string check;  // "folder", "disk", "region", ...: a promise, scripts compare it
  Verdict verdict = Verdict::kOk;
  std::string what;    // was found, with the thing, the limit and the value
  std::string advice;  // what to type or do; empty where nothing is to be done
};

// One finding or more for each check. An error: the location cannot be one, or there is nothing.
Result<std::vector<Finding>> diagnose(const std::string& location);

// What the looks share.
struct Patient {
  std::string location;  // as typed
  bool service = false;
  std::string service_name;
  std::string folder;  // absolute
  std::string
      runtime_folder;  // of the daemon that serves, or served, the folder; empty: none known
  std::optional<schema::Status> status;  // of the daemon that serves it now and answers
};

using Findings = std::vector<Finding>;
Finding finding(const char* check, Verdict verdict, std::initializer_list<std::string_view> what,
                std::initializer_list<std::string_view> advice = {});

// diagnosis_service.cc. REQUIRES: patient.service. Asks systemctl and optjournald.
void look_at_service(const Patient& patient, Findings& findings);

// diagnosis_surroundings.cc. `journal_id`: regions of another journal are no business of ours.
void look_at_runtime_folder(const Patient& patient, Findings& findings);
void look_at_regions(const Patient& patient, const std::array<std::byte, 16>& journal_id,
                     Findings& findings);
void look_at_limits(const Patient& patient, Findings& findings);
void look_at_clock(const Patient& patient, Findings& findings);

}  // namespace oj::client
