// The few functions of NVML, the NVIDIA driver's library, that are called: loaded at run time where
// it is there, and never needed.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

namespace oj::client {

constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

// With the types of nvml.h: nvmlReturn_t is an int (0: success), nvmlDevice_t a pointer.
struct Nvml {
  using Device = void*;
  struct Utilization {
    unsigned gpu_percent = 0, memory_percent = 0;
  };
  struct Memory {
    unsigned long long bytes = 0, free_bytes = 0, used_bytes = 0;
  };
  static constexpr unsigned kInitNoAttach = 2;  // NVML_INIT_FLAG_NO_ATTACH: wake up no GPU
  static constexpr unsigned kInitAll = 0;
  static constexpr unsigned kTextBytes = 96;  // NVML_DEVICE_UUID_V2_BUFFER_SIZE, .._NAME_V2_..

  int (*init)(unsigned flags) = nullptr;
  int (*shutdown)() = nullptr;
  int (*count)(unsigned* count) = nullptr;
  int (*device)(unsigned index, Device* device) = nullptr;
  int (*uuid)(Device device, char* text, unsigned bytes) = nullptr;
  int (*name)(Device device, char* text, unsigned bytes) = nullptr;
  int (*utilization)(Device device, Utilization* utilization) = nullptr;
  int (*memory)(Device device, Memory* memory) = nullptr;

  // Nothing if there is no such library or it lacks one of them. Not yet initialised; stays loaded.
  static std::optional<Nvml> load(const char* library);
};

}  // namespace oj::client
