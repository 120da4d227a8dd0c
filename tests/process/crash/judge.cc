// SPDX-License-Identifier: MIT
#include "tests/process/crash/judge.h"

#include <cstdlib>
#include <variant>

#include "libclient/session.h"
#include "schema/codec.h"

namespace oj::crash {

void Judge::complain(const std::string& text) {
  if (verdict_.first_complaint.empty()) verdict_.first_complaint = text;
}

void Judge::see_numbered(std::uint64_t seq, std::uint64_t worker, std::uint64_t number) {
  const auto board = boards_.find(worker);
  if (board == boards_.end()) return;
  ++verdict_.records;
  const std::string who = "worker " + std::to_string(worker) + " record " + std::to_string(number) +
                          " at seq " + std::to_string(seq);
  std::uint64_t& last = last_number_[worker];
  if (number <= last) {
    ++verdict_.doubled;
    complain(who + " after record " + std::to_string(last));
  } else if (number > last + 1) {
    ++verdict_.out_of_order;
    complain(who + " directly after record " + std::to_string(last));
  }
  if (number > last) last = number;
  const std::uint64_t acked = board->second->acked.load();
  if (number > acked) {
    ++verdict_.unacknowledged;
    return;
  }
  const std::uint64_t told = board->second->seq[number].load();
  if (told != seq) {
    ++verdict_.lost;
    complain(who + ", but the worker was told " + std::to_string(told));
  }
}

void Judge::see(std::uint64_t seq, std::span<const std::byte> record) {
  schema::Decoder decoder;
  const auto decoded = decoder.decode(record);
  if (!decoded) {
    ++verdict_.torn;
    complain("seq " + std::to_string(seq) + ": " + decoded.error().message);
    return;
  }
  for (const schema::Operation& operation : decoded->operations) {
    if (const auto* value = std::get_if<schema::SetTrialIntermediateValue>(&operation)) {
      const auto number = static_cast<std::uint64_t>(value->value.step);
      if (value->value.value != static_cast<double>(value->trial) * static_cast<double>(number)) {
        ++verdict_.torn;
        complain("seq " + std::to_string(seq) + ": content is not what its worker wrote");
      }
      see_numbered(seq, value->trial, number);
    } else if (const auto* attr = std::get_if<schema::SetTrialUserAttr>(&operation)) {
      const char letter = static_cast<char>('a' + attr->trial % 26);
      if (attr->attr.value.text.size() != 40'000 ||
          attr->attr.value.text.find_first_not_of(letter) != std::string_view::npos) {
        ++verdict_.torn;
        complain("seq " + std::to_string(seq) +
                 ": the large record's bytes are not what its worker wrote");
      }
      see_numbered(seq, attr->trial,
                   std::strtoull(std::string(attr->attr.key).c_str(), nullptr, 10));
    } else if (std::holds_alternative<schema::Tombstone>(operation)) {
      ++verdict_.torn;
      complain("seq " + std::to_string(seq) + " is a tombstone");
    }
  }
}

Verdict Judge::finish() {
  for (const auto& [worker, board] : boards_) {
    const std::uint64_t acked = board->acked.load();
    const std::uint64_t last = last_number_[worker];
    if (last < acked) {
      verdict_.lost += acked - last;
      complain("worker " + std::to_string(worker) + " was told that " + std::to_string(acked) +
               " records are published; the journal has " + std::to_string(last));
    }
  }
  return verdict_;
}

Verdict judge(const std::string& location, bool offline,
              const std::map<std::uint64_t, const Board*>& boards) {
  Judge judge(boards);
  client::OpenOptions options;
  if (offline) options.mode = client::OpenOptions::Mode::kOffline;
  auto session = client::Session::open(location, options);
  Verdict failed;
  failed.torn = 1;
  if (!session) {
    failed.first_complaint = session.error().message;
    return failed;
  }
  std::uint64_t tombstones = 0;
  std::uint64_t from = 0;
  for (;;) {
    auto read = (*session)->read(from, [&](std::uint64_t seq, std::span<const std::byte> record) {
      if (record.empty())
        ++tombstones;
      else
        judge.see(seq, record);
      return true;
    });
    if (!read) {
      failed.first_complaint = read.error().message;
      return failed;
    }
    from = read->next_seq;
    if (read->caught_up) break;
  }
  Verdict verdict = judge.finish();
  if (tombstones > 0 && verdict.first_complaint.empty())
    verdict.first_complaint = "the ring held a record that failed its checks";
  verdict.torn += tombstones;
  return verdict;
}

}  // namespace oj::crash
