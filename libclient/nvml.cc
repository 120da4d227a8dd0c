// SPDX-License-Identifier: MIT
#include "libclient/nvml.h"

#include <dlfcn.h>

namespace oj::client {
namespace {

template <class Function>
bool get(void* library, const char* symbol, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

}  // namespace

std::optional<Nvml> Nvml::load(const char* library) {
  void* const loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  Nvml nvml;
  if (loaded == nullptr || !get(loaded, "nvmlInitWithFlags", nvml.init) ||
      !get(loaded, "nvmlShutdown", nvml.shutdown) ||
      !get(loaded, "nvmlDeviceGetCount_v2", nvml.count) ||
      !get(loaded, "nvmlDeviceGetHandleByIndex_v2", nvml.device) ||
      !get(loaded, "nvmlDeviceGetUUID", nvml.uuid) ||
      !get(loaded, "nvmlDeviceGetName", nvml.name) ||
      !get(loaded, "nvmlDeviceGetUtilizationRates", nvml.utilization) ||
      !get(loaded, "nvmlDeviceGetMemoryInfo", nvml.memory))
    return std::nullopt;
  return nvml;
}

}  // namespace oj::client
