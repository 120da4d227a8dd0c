// The real code of shm/ under a scheduler: seeds FIRST .. FIRST + COUNT - 1, a schedule each.
//
// usage: schedules [--first SEED] [--count N] [--fault NAME] | --list-faults
//   OJ_SEED=N   that one schedule, with a line for every step of it
// Prints what was explored, and the seed and the reason of the first schedule that went wrong.
// Status: 0 nothing was wrong; 1 something was; 2 it could not be run.
//
// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "tests/verify/schedules/simulation.h"

namespace {

using namespace oj::schedules;

struct Shape {
  oj::shm::Sizes sizes;
  std::uint64_t first_seq;
};
// The last: lap tags come round after two laps.
const Shape kShapes[] = {
    {{4, 128, 8, 5}, 0},
    {{2, 128, 8, 5}, 0},
    {{8, 128, 16, 5}, 3},
    {{16, 64, 16, 5}, 0},
    {{4, 128, 8, 5}, ((std::uint64_t{1} << 24) - 2) * 4 + 1},
};

struct Options {
  std::uint64_t first = 1, count = 1000;
  Fault fault = Fault::kNone;
  bool trace = false;
};

Options options_of(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--list-faults") {
      for (const NamedFault& fault : kFaults) std::printf("%s\n", fault.name.data());
      std::exit(0);
    }
    ++i;
    if (word == "--first") {
      options.first = std::strtoull(value, nullptr, 10);
    } else if (word == "--count") {
      options.count = std::strtoull(value, nullptr, 10);
    } else if (word == "--fault") {
      for (const NamedFault& fault : kFaults) {
        if (fault.name == value) options.fault = fault.fault;
      }
      if (options.fault == Fault::kNone) std::exit(2);
    } else {
      std::fprintf(stderr, "unknown: %s\n", word.c_str());
      std::exit(2);
    }
  }
  if (const char* seed = std::getenv("OJ_SEED"); seed != nullptr) {
    options.first = std::strtoull(seed, nullptr, 10);
    options.count = 1;
    options.trace = true;
  }
  return options;
}

void print(const Counts& c) {
  const std::pair<std::uint64_t, const char*> figures[] = {
      {c.schedules, "schedules"},           {c.steps, "steps"},
      {c.seen.records, "records"},          {c.seen.refilled, "slots refilled"},
      {c.seen.chunk_lives, "chunks freed"}, {c.seen.pins, "pins"},
      {c.in_place, "read in place"},        {c.copied, "copied"},
      {c.from_disk, "from disk"},           {c.waits_ring, "waits for a ring slot"},
      {c.waits_pool, "for a chunk"},        {c.waits_synced, "for the disk"},
      {c.failed_syncs, "syncs failed"},     {c.kills, "workers killed"},
      {c.crashes, "daemons killed"},        {c.stops, "processes stopped"},
      {c.reaped, "worker slots freed"},
  };
  std::string line;
  for (const auto& [n, what] : figures)
    line += (line.empty() ? "" : ", ") + std::to_string(n) + " " + what;
  line += "; halted ";
  for (const auto& [place, n] : c.halted_at) line += std::to_string(n) + " at " + place + ", ";
  std::printf("%s\n", line.substr(0, line.size() - 2).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = options_of(argc, argv);
  spdlog::set_level(spdlog::level::off);
  std::string folder = (std::filesystem::temp_directory_path() / "oj-schedules-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 2;
  std::vector<std::unique_ptr<Machine>> machines;
  for (const Shape& shape : kShapes) {
    const std::string path = folder + "/" + std::to_string(machines.size());
    machines.push_back(std::make_unique<Machine>(path, shape.sizes, shape.first_seq));
  }
  std::filesystem::remove_all(folder);  // the mappings stay

  Counts counts;
  for (std::uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
    Simulation simulation(*machines[seed % machines.size()], seed, options.fault, options.trace,
                          counts);
    if (const std::string wrong = simulation.run(); !wrong.empty()) {
      std::printf("OJ_SEED=%llu after %llu schedules: %s\n", static_cast<unsigned long long>(seed),
                  static_cast<unsigned long long>(counts.schedules), wrong.c_str());
      return 1;
    }
  }
  print(counts);
  return 0;
}
