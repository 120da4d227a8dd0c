// SPDX-License-Identifier: MIT
#include "tests/verify/hostile/journal_judge.h"

#include <cstdlib>

#include "journal/reader.h"
#include "schema/codec.h"
#include "tests/verify/hostile/processes.h"

namespace oj::verify {

Judged judge_journal(const std::string& path) {
  Judged judged;
  const auto folder = journal::Folder::open(path, journal::Folder::IfAbsent::kRefuse);
  if (!folder) return {folder.error().message, 0, 0, 0, {}};
  const auto end = journal::find_end(*folder);
  if (!end) return {end.error().message, 0, 0, 0, {}};
  journal::Reader reader(*folder, 0);
  schema::Decoder decoder;
  while (reader.next_seq() < *end && judged.wrong.empty()) {
    const std::string name = "record " + std::to_string(reader.next_seq());
    const auto bytes = reader.next(*end);
    if (!bytes) {
      judged.wrong = bytes.error().message;
      break;
    }
    ++judged.records;
    const auto record = decoder.decode(*bytes);
    if (!record) {
      judged.wrong = name + ": " + record.error().message;
      break;
    }
    for (const schema::Operation& operation : record->operations) {
      if (const auto* tombstone = std::get_if<schema::Tombstone>(&operation)) {
        ++judged.tombstones;
        if (tombstone->reason.empty()) judged.wrong = name + " is a tombstone without a reason";
      } else if (const auto* attr = std::get_if<schema::SetStudyUserAttr>(&operation)) {
        const std::uint64_t number =
            std::strtoull(std::string(attr->attr.key).c_str(), nullptr, 10);
        if (attr->attr.value.int64 != value_of(number))
          judged.wrong = name + " holds what no client appended";
        judged.twice += judged.numbers.insert(number).second ? 0 : 1;
      } else if (!std::holds_alternative<schema::SessionStarted>(operation) &&
                 !std::holds_alternative<schema::SessionEnded>(operation)) {
        judged.wrong = name + " is an operation that nobody made";
      }
    }
  }
  return judged;
}

}  // namespace oj::verify
