// What a process pays for every record that it sees: decoding it and applying it to its state.
//
// SPDX-License-Identifier: MIT
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "replay/state.h"
#include "schema/codec.h"

namespace oj {
namespace {

using namespace schema;

constexpr int kTrials = 20'000, kParams = 5, kReports = 10;  // 18 records a trial

std::vector<std::vector<std::byte>> journal() {
  std::vector<std::vector<std::byte>> records;
  Encoder encoder;
  const auto add = [&](const Operation& operation) {
    const auto bytes = encoder.encode(operation);
    stamp(bytes, {1, records.size() + 1, 0});
    records.emplace_back(bytes.begin(), bytes.end());
  };
  const std::array directions = {Direction::kMinimize};
  const std::array<std::string, kParams> names = {"x0", "x1", "learning_rate", "depth",
                                                  "a name that is rather long"};
  add(SessionStarted{.pid = 1, .uid = 1, .host = "h", .command = "c"});
  add(CreateStudy{"study", directions});
  for (int i = 0; i < kTrials; ++i) {
    const auto trial = static_cast<TrialId>(i);
    add(CreateTrial{.study = 0, .start_us = i});
    for (const std::string& name : names)
      add(SetTrialParam{trial, {name, i / 7.0, {.low = 0, .high = 1}}});
    for (int step = 0; step < kReports; ++step)
      add(SetTrialIntermediateValue{trial, {step, 1.0 / (i + step + 1)}});
    add(SetTrialUserAttr{trial, {"note", {.kind = Value::Kind::kInt64, .int64 = i}}});
    const std::array<double, 1> value = {1.0 / (i + 1)};
    add(SetTrialStateValues{trial, TrialState::kComplete, std::span<const double>(value), i});
  }
  return records;
}

void decode(benchmark::State& bench) {
  const auto records = journal();
  Decoder decoder;
  std::size_t i = 0;
  for (auto _ : bench) {
    benchmark::DoNotOptimize(decoder.decode(records[i]).ok());
    if (++i == records.size()) i = 0;
  }
}
BENCHMARK(decode);

void decode_and_apply(benchmark::State& bench) {
  const auto records = journal();
  for (auto _ : bench) {
    Decoder decoder;
    replay::State state;
    for (std::size_t seq = 0; seq < records.size(); ++seq) {
      const auto decoded = decoder.decode(records[seq]);
      benchmark::DoNotOptimize(state.apply(seq, *decoded).data());
    }
    bench.PauseTiming();
    state = {};
    bench.ResumeTiming();
  }
  bench.counters["ns_a_record"] = benchmark::Counter(
      static_cast<double>(records.size()) * 1e-9,
      benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}
BENCHMARK(decode_and_apply)->Unit(benchmark::kMillisecond);

void encode_report(benchmark::State& bench) {
  Encoder encoder;
  const Operation operation = SetTrialIntermediateValue{1, {2, 0.5}};
  for (auto _ : bench) benchmark::DoNotOptimize(encoder.encode(operation).data());
}
BENCHMARK(encode_report);

void encode_param(benchmark::State& bench) {
  Encoder encoder;
  const Operation operation = SetTrialParam{1, {"learning_rate", 0.5, {.low = 0, .high = 1}}};
  for (auto _ : bench) benchmark::DoNotOptimize(encoder.encode(operation).data());
}
BENCHMARK(encode_param);

void digest(benchmark::State& bench) {
  const auto records = journal();
  Decoder decoder;
  replay::State state;
  for (std::size_t seq = 0; seq < records.size(); ++seq)
    (void)state.apply(seq, *decoder.decode(records[seq]));
  for (auto _ : bench) benchmark::DoNotOptimize(state.digest());
}
BENCHMARK(digest)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace oj

BENCHMARK_MAIN();
