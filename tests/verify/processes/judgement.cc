// SPDX-License-Identifier: MIT
#include "tests/verify/processes/judgement.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <functional>
#include <random>
#include <utility>

#include "base/clock.h"
#include "libclient/session.h"
#include "tests/verify/processes/content.h"

namespace oj::verify {
namespace {

constexpr std::int64_t kWatchdogMs = 120'000;

using Bytes = std::vector<std::byte>;
using See = std::function<void(std::uint64_t seq, std::span<const std::byte> record)>;

// Every record from 0 on; an error's text, or "".
std::string read_all(const std::string& journal, Source source, const See& see) {
  client::OpenOptions options;
  if (source == Source::kDisk) options.mode = client::OpenOptions::Mode::kOffline;
  auto session = client::Session::open(journal, options);
  if (!session) return session.error().message;
  for (std::uint64_t from = 0;;) {
    const auto read = (*session)->read(from, [&](auto seq, auto record) {
      see(seq, record);
      return true;
    });
    if (!read) return read.error().message;
    from = read->next_seq;
    if (read->caught_up) return {};
  }
}

// Two neighbouring acknowledged records of one worker, and all between them.
struct Spot {
  std::uint64_t first = 0, second = 0;  // seqs
  std::uint64_t worker = 0;
};
Spot pick(const std::map<std::uint64_t, History>& histories, std::mt19937_64& random) {
  std::vector<Spot> spots;
  for (const auto& [worker, history] : histories) {
    for (std::size_t i = 0; i + 1 < history.calls.size(); ++i) {
      if (history.calls[i].returned_ns != 0 && history.calls[i + 1].returned_ns != 0)
        spots.push_back({history.calls[i].seq, history.calls[i + 1].seq, worker});
    }
  }
  return spots.at(random() % spots.size());
}

Bytes operation_bytes(const schema::Operation& operation, const schema::RecordHeader& header) {
  schema::Encoder encoder;
  const auto record = encoder.encode(operation);
  schema::stamp(record, header);
  return {record.begin(), record.end()};
}

// The same record with the lowest bit of what its worker wrote the other way round.
Bytes with_a_bit_changed(std::span<const std::byte> record) {
  schema::Decoder decoder;
  const auto decoded = decoder.decode(record);
  schema::Operation operation = decoded->operations[0];
  std::string text;
  if (auto* value = std::get_if<schema::SetTrialIntermediateValue>(&operation)) {
    value->value.value =
        std::bit_cast<double>(std::bit_cast<std::uint64_t>(value->value.value) ^ 1);
  } else if (auto* attr = std::get_if<schema::SetTrialUserAttr>(&operation)) {
    text = attr->attr.value.text;
    text.back() ^= 1;
    attr->attr.value.text = text;
  }
  return operation_bytes(operation, decoded->header);
}

}  // namespace

Verdict judge(const std::map<std::uint64_t, History>& histories, const std::string& journal,
              Source source) {
  Oracle oracle(histories);
  const std::string error =
      read_all(journal, source, [&](auto seq, auto record) { oracle.see(seq, record); });
  Verdict verdict = oracle.finish();
  if (!error.empty()) {
    ++verdict.broken["unreadable"];
    verdict.first_complaint = error;
  }
  return verdict;
}

bool find_planted(const std::map<std::uint64_t, History>& histories, const std::string& journal,
                  std::uint64_t seed) {
  std::mt19937_64 random(seed);
  // A fault sees each record before the oracle does, and passes on what it likes.
  using Fault = std::function<void(std::uint64_t, std::span<const std::byte>, Oracle&)>;
  const auto find = [&](const char* name, const std::vector<std::string>& rules,
                        const Fault& fault) {
    Oracle oracle(histories);
    read_all(journal, Source::kDisk, [&](auto seq, auto record) { fault(seq, record, oracle); });
    const Verdict verdict = oracle.finish();
    const bool found = std::all_of(rules.begin(), rules.end(), [&](const std::string& rule) {
      return verdict.count(rule) > 0;
    });
    std::printf("%s mutant %s: %s\n", found ? "ok" : "FAILED", name,
                found ? ("found as " + verdict.text()).c_str() : "not found");
    return found;
  };
  const Spot spot = pick(histories, random);
  bool all = find("removed", {"lost"}, [&](auto seq, auto record, Oracle& oracle) {
    if (seq != spot.first) oracle.see(seq, record);
  });
  all &= find("doubled", {"doubled"}, [&](auto seq, auto record, Oracle& oracle) {
    oracle.see(seq, record);
    if (seq == spot.second) oracle.see(seq, record);
  });
  Bytes kept;
  all &= find("exchanged", {"disordered", "overtaken"}, [&](auto seq, auto record, Oracle& oracle) {
    if (seq == spot.first) {
      kept.assign(record.begin(), record.end());
      return;
    }
    oracle.see(seq, record);
    if (seq == spot.second) oracle.see(spot.first, kept);
  });
  all &= find("one bit", {"torn"}, [&](auto seq, auto record, Oracle& oracle) {
    const Bytes changed = seq == spot.first ? with_a_bit_changed(record) : Bytes();
    oracle.see(seq, seq == spot.first ? std::span<const std::byte>(changed) : record);
  });
  all &= find("nobody's", {"uninvited"}, [&](auto seq, auto record, Oracle& oracle) {
    oracle.see(seq, record);
    if (seq != spot.first) return;
    Content content;
    oracle.see(seq, operation_bytes(content.of({spot.worker, 4'000'000}), {}));
  });
  const auto alive = std::find_if(histories.begin(), histories.end(), [](const auto& entry) {
    return !entry.second.killed && !entry.second.calls.empty();
  });
  all &=
      find("false death", {"false_death", "after_end"}, [&](auto seq, auto record, Oracle& oracle) {
        oracle.see(seq, record);
        if (seq != alive->second.calls.front().seq) return;
        const schema::SessionEnded ended{alive->second.sessions.front(),
                                         schema::SessionEnded::Reason::kDied};
        oracle.see(seq, operation_bytes(ended, {}));
      });
  return all;
}

std::vector<double> waits_ms(const std::map<std::uint64_t, History>& histories,
                             const Fleet& fleet) {
  std::vector<double> all;
  for (const auto& [worker, history] : histories) {
    const std::vector<Pause>& pauses = fleet.members().at(worker).pauses;
    for (const Call& call : history.calls) {
      if (call.returned_ns == 0 || call.synced) continue;
      const std::int64_t began_ns = call.returned_ns - call.wait_ns;
      std::int64_t stopped_ns = 0;
      for (const Pause& pause : pauses) {
        const std::int64_t until_ns = std::min(pause.end_ns, call.returned_ns);
        stopped_ns += std::max<std::int64_t>(0, until_ns - std::max(pause.begin_ns, began_ns));
      }
      all.push_back(static_cast<double>(call.wait_ns - stopped_ns) / kNsPerMs);
    }
  }
  return all;
}

bool wait_for_deaths(const std::string& journal) {
  const Deadline watchdog = Deadline::in_ms(kWatchdogMs);
  // A session of our own keeps the daemon here, and starts one where the last was killed.
  auto session = client::Session::open(journal);
  while (session && !watchdog.passed()) {
    const auto status = (*session)->status();
    if (status && status->workers.size() <= 1) return true;
    ::usleep(2'000);
  }
  return false;
}

bool stop_serving(const std::string& journal) {
  const Deadline watchdog = Deadline::in_ms(kWatchdogMs);
  while (!watchdog.passed()) {
    const auto stopped = client::stop_daemon(journal, watchdog);
    if (stopped || stopped.error().code == Code::kGone) return true;
    ::usleep(2'000);  // the last worker's slot is being freed
  }
  return false;
}

}  // namespace oj::verify
