// Operations as text that differs whenever they do: to compare them, and to read what differs.
// Doubles by their bits.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <string>
#include <string_view>

#include "schema/operation.h"

namespace oj::testing {

inline std::string described(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "'";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += {'\\', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out + "' ";
}
inline std::string described(double value) {
  return "d" + std::to_string(std::bit_cast<std::uint64_t>(value)) + " ";
}
inline std::string described(std::int64_t value) { return std::to_string(value) + " "; }
inline std::string described(std::uint64_t value) { return std::to_string(value) + " "; }
inline std::string described(bool value) { return value ? "yes " : "no "; }
inline std::string described(schema::TrialState value) {
  return std::to_string(static_cast<int>(value)) + " ";
}
inline std::string described(schema::Direction value) {
  return std::to_string(static_cast<int>(value)) + " ";
}
inline std::string described(const schema::Value& value) {
  return "(" + std::to_string(static_cast<int>(value.kind)) + " " + described(value.boolean) +
         described(value.int64) + described(value.float64) + described(value.text) + ")";
}
inline std::string described(const schema::Attr& attr) {
  return described(attr.key) + described(attr.value);
}
inline std::string described(const schema::IntermediateValue& value) {
  return described(value.step) + described(value.value);
}
inline std::string described(const schema::Gpu& gpu) {
  return described(gpu.uuid) + described(gpu.name);
}
inline std::string described(const schema::Param& param);
template <class T>
std::string described(std::span<const T> items) {
  std::string out = "[";
  for (const T& item : items) out += described(item);
  return out + "] ";
}
template <class T>
std::string described(const std::optional<T>& item) {
  return item ? described(*item) : "- ";
}
inline std::string described(const schema::Param& param) {
  const schema::Distribution& d = param.distribution;
  return described(param.name) + described(param.internal) + "{" +
         std::to_string(static_cast<int>(d.kind)) + " " + described(d.log) + described(d.has_step) +
         described(d.low) + described(d.high) + described(d.step) + described(d.int_low) +
         described(d.int_high) + described(d.int_step) + described(d.choices) + described(d.json) +
         "} ";
}

struct Described {
  std::string operator()(const schema::CreateStudy& op) {
    return described(op.name) + described(op.directions);
  }
  std::string operator()(const schema::DeleteStudy& op) { return described(op.study); }
  std::string operator()(const schema::SetStudyUserAttr& op) {
    return described(op.study) + described(op.attr);
  }
  std::string operator()(const schema::SetStudySystemAttr& op) {
    return described(op.study) + described(op.attr);
  }
  std::string operator()(const schema::CreateTrial& op) {
    return described(op.study) + described(op.state) + described(op.start_us) +
           described(op.complete_us) + described(op.values) + described(op.params) +
           described(op.user_attrs) + described(op.system_attrs) +
           described(op.intermediate_values);
  }
  std::string operator()(const schema::SetTrialParam& op) {
    return described(op.trial) + described(op.param);
  }
  std::string operator()(const schema::SetTrialStateValues& op) {
    return described(op.trial) + described(op.state) + described(op.values) + described(op.time_us);
  }
  std::string operator()(const schema::SetTrialIntermediateValue& op) {
    return described(op.trial) + described(op.value);
  }
  std::string operator()(const schema::SetTrialUserAttr& op) {
    return described(op.trial) + described(op.attr);
  }
  std::string operator()(const schema::SetTrialSystemAttr& op) {
    return described(op.trial) + described(op.attr);
  }
  std::string operator()(const schema::SessionStarted& op) {
    return std::to_string(op.pid) + " " + std::to_string(op.uid) + " " + described(op.host) +
           described(op.command) + described(op.user) + described(op.container) +
           described(op.cuda_visible_devices) + described(op.gpus) +
           std::to_string(static_cast<int>(op.orphans.kind)) + " " +
           std::to_string(op.orphans.retries_max) + " " + described(op.former) +
           described(op.birth.boot_id_high) + described(op.birth.boot_id_low) +
           described(op.birth.pid_namespace) + described(op.birth.start_ticks);
  }
  std::string operator()(const schema::SessionEnded& op) {
    return described(op.session) + std::to_string(static_cast<int>(op.reason));
  }
  std::string operator()(const schema::EndOrphan& op) {
    return described(op.trial) + described(op.session) + described(op.time_us) +
           std::to_string(op.retries_max);
  }
  std::string operator()(const schema::Tombstone& op) { return described(op.reason); }
};

inline std::string described(const schema::Operation& operation) {
  return std::string(schema::operation_name(operation)) + ": " + std::visit(Described{}, operation);
}
inline std::string described(std::span<const schema::Operation> operations) {
  std::string out;
  for (const schema::Operation& operation : operations) out += described(operation) + "\n";
  return out;
}

}  // namespace oj::testing
