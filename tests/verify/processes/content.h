// The bytes that record `number` of worker `worker` has: a function of the two, so that a journal
// says of every record whose it is and whether it is whole.
//
// The records are operations on trials that do not exist (from kFirstTrial on): every replica
// refuses them alike, so they can share a journal with workers that use Optuna.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "schema/operation.h"

namespace oj::verify {

constexpr std::uint64_t kFirstTrial = std::uint64_t{1} << 40;
constexpr std::uint32_t kLargeEvery = 97;  // such a record takes a run of chunks
constexpr std::size_t kLargeBytes = 40'000;

struct RecordName {
  std::uint64_t worker = 0;
  std::uint64_t number = 0;  // 1, 2, 3, ...
};

// Makes operations; what it returns borrows from it, until the next call.
class Content {
 public:
  schema::Operation of(RecordName name);

 private:
  std::string key_, text_;
};

// Whose record this is, by what it says. None: not a worker's (Optuna's, or a session's).
std::optional<RecordName> name_in(const schema::Operation& operation);
// Is it, to the last bit, what Content makes of that name?
bool is_whole(const schema::Operation& operation, RecordName name);

}  // namespace oj::verify
