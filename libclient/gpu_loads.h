// How busy the machine's GPUs are and how full their memory is, asked of the driver's library
// (NVML) again and again.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "libclient/nvml.h"
#include "schema/control.h"

namespace oj::client {

struct GpuLoad {
  schema::GpuIdentity gpu = {};  // empty texts: it does not answer
  // Unset where NVML does not say. Busy: of the time in the driver's last sample, at most a second.
  std::optional<unsigned> busy_percent = {};
  std::optional<std::uint64_t> memory_used_bytes = {}, memory_bytes = {};
};

// Not thread-safe. Holds NVML initialised for as long as it lives.
class GpuLoads {
 public:
  // The first call may take some tens of milliseconds, much longer where the driver has to be
  // started first.
  explicit GpuLoads(const char* nvml_library = kNvmlLibrary);
  ~GpuLoads();
  GpuLoads(const GpuLoads&) = delete;
  GpuLoads& operator=(const GpuLoads&) = delete;

  // As NVML numbers them; empty without NVML.
  std::vector<GpuLoad> look() const;

 private:
  std::optional<Nvml> nvml_;
};

}  // namespace oj::client
