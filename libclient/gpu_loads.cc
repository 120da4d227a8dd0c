// SPDX-License-Identifier: MIT
#include "libclient/gpu_loads.h"

#include <array>

namespace oj::client {

GpuLoads::GpuLoads(const char* nvml_library) : nvml_(Nvml::load(nvml_library)) {
  if (nvml_ && nvml_->init(Nvml::kInitAll) != 0) nvml_.reset();
}

GpuLoads::~GpuLoads() {
  if (nvml_) nvml_->shutdown();
}

std::vector<GpuLoad> GpuLoads::look() const {
  std::vector<GpuLoad> loads;
  unsigned count = 0;
  if (!nvml_ || nvml_->count(&count) != 0) return loads;
  for (unsigned i = 0; i < count; ++i) {
    Nvml::Device device = nullptr;
    std::array<char, Nvml::kTextBytes> uuid{}, name{};
    GpuLoad& load = loads.emplace_back();
    if (nvml_->device(i, &device) != 0) continue;
    if (nvml_->uuid(device, uuid.data(), Nvml::kTextBytes - 1) == 0) load.gpu.uuid = uuid.data();
    if (nvml_->name(device, name.data(), Nvml::kTextBytes - 1) == 0) load.gpu.name = name.data();
    if (Nvml::Utilization said; nvml_->utilization(device, &said) == 0)
      load.busy_percent = said.gpu_percent;
    if (Nvml::Memory said; nvml_->memory(device, &said) == 0) {
      load.memory_used_bytes = said.used_bytes;
      load.memory_bytes = said.bytes;
    }
  }
  return loads;
}

}  // namespace oj::client
