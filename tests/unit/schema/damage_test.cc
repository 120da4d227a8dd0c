// Goal: bytes that are not what an Encoder made give an answer or an error, and nothing else.
//
// Method: every truncation, every single bit flipped, and random bytes over every sample. What
// decodes is read to its last byte, so that the sanitizers see every access. Then the few things
// that Cap'n Proto lets through by design, by hand.
//
// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "schema/codec.h"
#include "tests/described.h"
#include "tests/random_operations.h"
#include "tests/unit/schema/sample_operations.h"

namespace oj::schema {
namespace {

using testing::described;
using Words = std::vector<std::uint64_t>;

Words encoded(std::span<const Operation> operations) {
  Encoder encoder;
  const std::span<std::byte> bytes = encoder.encode(operations);
  Words words(bytes.size() / 8);
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

// In memory of exactly that size, so that AddressSanitizer sees a read of one byte too many.
Result<std::string> decoded(std::span<const std::byte> bytes) {
  const std::unique_ptr<std::uint64_t[]> exact(new std::uint64_t[(bytes.size() + 7) / 8]);
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  Decoder decoder;
  const auto record =
      decoder.decode({reinterpret_cast<const std::byte*>(exact.get()), bytes.size()});
  if (!record) return record.error();
  EXPECT_FALSE(record->operations.empty());
  return described(record->operations);
}
Result<std::string> decoded(const Words& words) { return decoded(std::as_bytes(std::span(words))); }

void expect_answer_or_error(std::span<const std::byte> bytes) {
  const auto answer = decoded(bytes);
  if (answer) return;
  EXPECT_TRUE(answer.error().code == Code::kCorrupt || answer.error().code == Code::kIncompatible);
  EXPECT_FALSE(answer.error().message.empty());
}

TEST(DamagedRecord, CutAnywhereIsAnError) {
  for (const auto& [name, operations] : testing::sample_operations()) {
    const Words words = encoded(operations);
    const auto bytes = std::as_bytes(std::span(words));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decoded(bytes.first(size))) << name << " cut to " << size;
    }
  }
}

TEST(DamagedRecord, OneBitFlippedIsAnAnswerOrAnError) {
  for (const auto& [name, operations] : testing::sample_operations()) {
    Words words = encoded(operations);
    for (std::size_t bit = 0; bit < words.size() * 64; ++bit) {
      words[bit / 64] ^= std::uint64_t{1} << bit % 64;
      expect_answer_or_error(std::as_bytes(std::span(words)));
      words[bit / 64] ^= std::uint64_t{1} << bit % 64;
    }
  }
}

TEST(DamagedRecord, RandomWordsAreAnAnswerOrAnError) {
  std::mt19937_64 random(testing::announced_seed(2));
  const auto samples = testing::sample_operations();
  for (int round = 0; round < 20'000; ++round) {
    Words words = encoded(samples[random() % samples.size()].second);
    for (std::uint64_t i = 0, count = 1 + random() % 4; i < count; ++i) {
      std::uint64_t& word = words[3 + random() % (words.size() - 3)];
      // Mostly what looks like a pointer or a small number: that is what reaches deep.
      switch (random() % 4) {
        case 0: word = random(); break;
        case 1: word = random() % 64 | (random() % 8) << 32 | (random() % 8) << 48; break;
        case 2: word = words[random() % words.size()]; break;
        default: word = random() % 32; break;
      }
    }
    expect_answer_or_error(std::as_bytes(std::span(words)));
  }
}

// Words: 0-2 header, 3 root pointer, 4 Record's data (the arm), 5 its pointer, 6 ... the operation.
constexpr std::size_t kArm = 4, kArmPointer = 5, kOperation = 6;

TEST(DamagedRecord, AnUnknownArmIsIncompatible) {
  const Operation operation = DeleteStudy{1};
  Words words = encoded({&operation, 1});
  for (const std::uint64_t arm : {15u, 16u, 1000u, 65535u}) {
    words[kArm] = arm;
    const auto answer = decoded(words);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kIncompatible);
    EXPECT_NE(answer.error().message.find("newer than this build"), std::string::npos);
  }
}

TEST(DamagedRecord, AnUnknownKindOfValueIsIncompatible) {
  const Operation attr = SetTrialUserAttr{1, {"k", {.kind = Value::Kind::kInt64, .int64 = 1}}};
  Words words = encoded({&attr, 1});
  words[kOperation + 1] = 9;  // owner, {kind, bool}, int64 | float64
  auto answer = decoded(words);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kIncompatible);

  const Operation param = SetTrialParam{1, {"k", 0, {}}};
  words = encoded({&param, 1});
  words[kOperation + 2] |= 0x7700770000;  // trial, internal, {log, kind, ...}: wherever the kind is
  answer = decoded(words);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kIncompatible);
}

TEST(DamagedRecord, AnEnumerantOutOfRangeIsCorrupt) {
  const auto expect_corrupt = [](const Operation& operation, std::size_t word, std::uint64_t value,
                                 const char* says) {
    Words words = encoded({&operation, 1});
    words[word] = value;
    const auto answer = decoded(words);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kCorrupt);
    EXPECT_NE(answer.error().message.find(says), std::string::npos) << answer.error().message;
  };
  const std::array directions = {Direction::kMinimize};
  expect_corrupt(SetTrialStateValues{1, TrialState::kFail, {}, 0}, kOperation + 2, 5, "state");
  expect_corrupt(CreateTrial{.study = 1}, kOperation + 2, 5, "state");
  expect_corrupt(SessionEnded{1, SessionEnded::Reason::kDied}, kOperation + 1, 2, "reason");
  expect_corrupt(CreateStudy{"", directions}, kOperation + 2, 3, "direction");
}

TEST(DamagedRecord, AnAbsentOperationIsCorruptNotZero) {
  for (const auto& [name, operations] : testing::sample_operations()) {
    if (operations.size() > 1) continue;
    Words words = encoded(operations);
    words[kArmPointer] = 0;
    const auto answer = decoded(words);
    ASSERT_FALSE(answer) << name;
    EXPECT_EQ(answer.error().code, Code::kCorrupt) << name;
  }
}

TEST(DamagedRecord, AllZeroIsCorrupt) {
  for (std::size_t size = 0; size < 64; ++size) EXPECT_FALSE(decoded(Words(size)));
}

TEST(DamagedRecord, ABatchOfNothingOrOfBatchesIsCorrupt) {
  const std::array<Operation, 2> operations = {DeleteStudy{1}, DeleteStudy{2}};
  Words words = encoded(operations);
  // kOperation is the batch's tag: {count << 2 | struct, sizes}; then {arm, pointer} of each.
  Words empty = words;
  empty[kArmPointer] = 1 | std::uint64_t{7} << 32;  // an inline list of no words ...
  empty[kOperation] &= 0xffffffff00000000;          // ... with no elements
  EXPECT_FALSE(decoded(empty));
  Words nested = words;
  nested[kOperation + 1] = 13;
  const auto answer = decoded(nested);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCorrupt);
}

// A forged list of 2^29 - 1 elements of no size costs the forger 16 bytes; it must not cost us more
// than that.
TEST(DamagedRecord, AListOfElementsWithoutSizeIsNotBelieved) {
  const std::array<double, 1> one = {1};
  const Operation operation =
      SetTrialStateValues{1, TrialState::kComplete, std::span<const double>(one), 0};
  Words words = encoded({&operation, 1});
  for (const std::uint64_t element_size : {0u, 1u}) {  // void, bit
    words[kOperation + 3] = 1 | element_size << 32 | std::uint64_t{0x1fffffff} << 35;
    EXPECT_FALSE(decoded(words));
  }
  const std::array attrs = {Attr{"k", {}}};
  const Operation create = CreateTrial{.study = 1, .user_attrs = attrs};
  words = encoded({&create, 1});
  for (std::size_t i = kOperation; i < words.size(); ++i) {
    Words forged = words;
    forged[i] = std::uint64_t{0x1fffffff} << 2;  // as a tag: very many structs of no size
    expect_answer_or_error(std::as_bytes(std::span(forged)));
  }
}

// Many pointers to one large thing: the budget of reads is twice the record.
TEST(DamagedRecord, ManyPointersToOneTextRunIntoTheBudget) {
  const std::string large(64 * 1024, 'x');
  std::vector<Attr> attrs(1000, Attr{"k", {}});
  attrs[0].value = {.kind = Value::Kind::kText, .text = large};
  const Operation create = CreateTrial{.study = 1, .user_attrs = attrs};
  Words words = encoded({&create, 1});
  // The attributes are one list of 5-word structs {owner, kind, value, key, text}; find the first's
  // text pointer.
  std::size_t first = 0;
  for (std::size_t i = kOperation; i < words.size() && first == 0; ++i) {
    if ((words[i] & 3) == 1 && words[i] >> 35 == large.size()) first = i;
  }
  ASSERT_NE(first, 0u);
  const std::size_t target = first + 1 + (words[first] >> 2 & 0x3fffffff);
  for (std::size_t k = 1; k < attrs.size(); ++k) {
    const std::size_t at = first + 5 * k;
    words[at - 3] = 4;  // text
    words[at] = (words[first] & ~std::uint64_t{0xfffffffc}) | (target - at - 1) << 2;
  }
  const auto answer = decoded(words);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kCorrupt);
}

}  // namespace
}  // namespace oj::schema
