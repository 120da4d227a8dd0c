// A State fed through the wire: every operation is encoded, stamped, decoded and applied, as in a
// process.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "replay/state.h"
#include "schema/codec.h"

namespace oj::testing {

class Replayed {
 public:
  // REQUIRES: the bytes decode. Keeps them, so that replay() can feed another State.
  std::span<const replay::Outcome> apply_all(std::span<const schema::Operation> operations,
                                             schema::SessionId session = kSession) {
    const std::span<std::byte> bytes = encoder_.encode(operations);
    schema::stamp(bytes, {session, ++op_no_, time_us});
    journal_.emplace_back(bytes.begin(), bytes.end());
    return feed(state, journal_.back());
  }
  replay::Outcome apply(const schema::Operation& operation, schema::SessionId session = kSession) {
    return apply_all({&operation, 1}, session).front();
  }
  // The same, where success is expected.
  std::uint64_t done(const schema::Operation& operation, schema::SessionId session = kSession) {
    const replay::Outcome outcome = apply(operation, session);
    EXPECT_EQ(outcome.code, replay::OutcomeCode::kDone) << operation_name(operation);
    return outcome.id;
  }
  void replay(replay::State& into) {
    for (const auto& record : journal_) (void)feed(into, record);
  }

  static constexpr schema::SessionId kSession = std::uint64_t{1} << 32 | 1;
  replay::State state;
  std::int64_t time_us = 1'000'000;

 private:
  std::span<const replay::Outcome> feed(replay::State& into, std::span<const std::byte> record) {
    const auto decoded = decoder_.decode(record);
    EXPECT_TRUE(decoded);
    return into.apply(into.next_seq(), *decoded);
  }

  schema::Encoder encoder_;
  schema::Decoder decoder_;
  std::uint64_t op_no_ = 0;
  std::vector<std::vector<std::byte>> journal_;
};

}  // namespace oj::testing
