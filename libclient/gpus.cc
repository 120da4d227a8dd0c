// SPDX-License-Identifier: MIT
#include "libclient/gpus.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "libclient/nvml.h"

namespace oj::client {
namespace {

constexpr const char* kDriverFile = "/dev/nvidiactl";  // without it NVML only costs time

Gpus ask(const Nvml& nvml) {
  Gpus gpus;
  unsigned count = 0;
  if (nvml.count(&count) != 0) return gpus;
  for (unsigned i = 0; i < count; ++i) {
    Nvml::Device device = nullptr;
    std::array<char, Nvml::kTextBytes> uuid{}, name{};
    // A place in the list even for one that does not answer: the others keep their numbers.
    schema::GpuIdentity& gpu = gpus.emplace_back();
    if (nvml.device(i, &device) != 0) continue;
    if (nvml.uuid(device, uuid.data(), Nvml::kTextBytes - 1) == 0) gpu.uuid = uuid.data();
    if (nvml.name(device, name.data(), Nvml::kTextBytes - 1) == 0) gpu.name = name.data();
  }
  return gpus;
}

bool all_answered(const Gpus& gpus) {
  return std::all_of(gpus.begin(), gpus.end(),
                     [](const schema::GpuIdentity& gpu) { return !gpu.uuid.empty(); });
}

bool of_one_kind(const Gpus& gpus) {
  return std::all_of(gpus.begin(), gpus.end(),
                     [&](const schema::GpuIdentity& gpu) { return gpu.name == gpus[0].name; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

Gpus gpus_by(const char* nvml_library) {
  const std::optional<Nvml> nvml = Nvml::load(nvml_library);
  Gpus gpus;
  if (!nvml) return gpus;
  // The second where the first is not enough to be told who they are.
  for (const unsigned flags : {Nvml::kInitNoAttach, Nvml::kInitAll}) {
    if (nvml->init(flags) != 0) continue;
    gpus = ask(*nvml);
    nvml->shutdown();
    if (!gpus.empty() && all_answered(gpus)) break;
  }
  return gpus;
}

const Gpus& gpus_of_machine() {
  static const Gpus kGpus = access(kDriverFile, F_OK) == 0 ? gpus_by(kNvmlLibrary) : Gpus();
  return kGpus;
}

Gpus visible_gpus(const Gpus& all, const std::optional<std::string>& visible, bool pci_order) {
  if (!visible || all.empty()) return all;
  Gpus seen;
  for (std::string_view rest = *visible; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    const std::string_view entry = trimmed(rest.substr(0, comma));
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    const schema::GpuIdentity* found = nullptr;
    std::size_t number = 0;
    const auto [end, failed] = std::from_chars(entry.data(), entry.data() + entry.size(), number);
    if (failed == std::errc() && end == entry.data() + entry.size()) {
      if (!pci_order && !of_one_kind(all)) return {};
      if (number < all.size()) found = &all[number];
    } else if (entry.starts_with("GPU-")) {
      for (const schema::GpuIdentity& gpu : all) {
        if (gpu.uuid.starts_with(entry)) found = &gpu;
      }
    } else if (entry.starts_with("MIG-")) {
      seen.push_back({std::string(entry), "MIG"});  // a part of a GPU: NVML is not asked of which
      continue;
    }
    if (found == nullptr) break;
    seen.push_back(*found);
  }
  return seen;
}

}  // namespace oj::client
