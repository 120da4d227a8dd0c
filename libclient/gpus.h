// Which GPUs this process may use, asked of the driver's library (NVML), which is loaded at run
// time where it is there and never needed.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/control.h"

namespace oj::client {

// A GPU as NVML numbers them.
using Gpus = std::vector<schema::GpuIdentity>;

// The machine's (or container's) GPUs. Asked once a process: the first call may take some tens of
// milliseconds. Empty without a driver, or where NVML says no.
const Gpus& gpus_of_machine();

// Asked of this library: NVML, or in tests one like it.
Gpus gpus_by(const char* nvml_library);

// Those of `all` that CUDA_VISIBLE_DEVICES leaves, in its order: UUIDs, beginnings of UUIDs, or
// numbers, up to the first entry that names none, as CUDA reads it. Not set: all. Numbers count as
// CUDA counts, which is NVML's way only if `pci_order` (CUDA_DEVICE_ORDER=PCI_BUS_ID) or all are of
// one kind; otherwise nothing is said rather than something wrong.
Gpus visible_gpus(const Gpus& all, const std::optional<std::string>& visible, bool pci_order);

}  // namespace oj::client
