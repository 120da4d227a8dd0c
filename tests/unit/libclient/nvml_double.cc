// A library with the functions of NVML that libclient calls, for machines without a GPU: two GPUs,
// of which the second tells who it is only after a full initialisation. They are busy for 40 and
// 41 % of the time, with 5 and 10 of 80 GiB in use.
//
// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdio>

namespace {
unsigned flags_given = 99;
constexpr int kSuccess = 0, kInvalidArgument = 2, kUninitialized = 1;
}  // namespace

// NOLINTBEGIN(readability-identifier-naming): names and types are those of nvml.h
extern "C" {
int nvmlInitWithFlags(unsigned flags);
int nvmlShutdown();
int nvmlDeviceGetCount_v2(unsigned* count);
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device);
int nvmlDeviceGetUUID(void* device, char* text, unsigned bytes);
int nvmlDeviceGetName(void* device, char* text, unsigned bytes);
int nvmlDeviceGetUtilizationRates(void* device, unsigned* percents);
int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* amounts);

int nvmlInitWithFlags(unsigned flags) {
  flags_given = flags;
  return kSuccess;
}
int nvmlShutdown() {
  flags_given = 99;
  return kSuccess;
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  if (flags_given == 99) return kUninitialized;
  if (index > 1) return kInvalidArgument;
  *device = reinterpret_cast<void*>(std::uintptr_t{index} + 1);
  return kSuccess;
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned bytes) {
  const auto number = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(device));
  if (number == 2 && flags_given != 0) return kUninitialized;
  std::snprintf(text, bytes, "GPU-%08u-0000-4000-8000-000000000000", number);
  return kSuccess;
}
int nvmlDeviceGetName(void*, char* text, unsigned bytes) {
  std::snprintf(text, bytes, "NVIDIA Double");
  return kSuccess;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* percents) {
  percents[0] = 39 + static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(device));  // the GPU
  percents[1] = 7;  // its memory's bus
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* amounts) {
  amounts[0] = 80ULL << 30;  // total, free, used
  amounts[2] = (5ULL << 30) * reinterpret_cast<std::uintptr_t>(device);
  amounts[1] = amounts[0] - amounts[2];
  return kSuccess;
}
}
// NOLINTEND(readability-identifier-naming)
