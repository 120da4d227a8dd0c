// SPDX-License-Identifier: MIT
#include "schema/codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "tests/described.h"
#include "tests/random_operations.h"
#include "tests/unit/schema/sample_operations.h"

namespace oj::schema {
namespace {

using testing::described;

std::vector<std::byte> encoded(std::span<const Operation> operations) {
  Encoder encoder;
  const std::span<std::byte> bytes = encoder.encode(operations);
  stamp(bytes, testing::kSampleHeader);
  return {bytes.begin(), bytes.end()};
}

TEST(Codec, GivesBackWhatItWasGiven) {
  testing::RandomOperations random(testing::announced_seed(1), UINT64_MAX);
  Encoder encoder;
  Decoder decoder;
  for (int round = 0; round < 5000; ++round) {
    std::vector<Operation> operations;
    const std::uint64_t count = random.chance(4) ? 1 + random.below(6) : 1;
    for (std::uint64_t i = 0; i < count; ++i) operations.push_back(random.operation());
    const std::span<std::byte> bytes = encoder.encode(operations);
    ASSERT_EQ(bytes.size() % 8, 0u);
    const RecordHeader header{random.below(UINT64_MAX), random.below(UINT64_MAX), -1};
    stamp(bytes, header);
    const Result<DecodedRecord> decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(std::memcmp(&decoded->header, &header, sizeof(header)), 0);
    ASSERT_EQ(described(decoded->operations), described(operations));
    random.forget();
  }
}

TEST(Codec, GivesBackTheSamples) {
  Decoder decoder;
  for (const auto& [name, operations] : testing::sample_operations()) {
    const auto bytes = encoded(operations);
    const Result<DecodedRecord> decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded) << name << ": " << decoded.error().message;
    EXPECT_EQ(described(decoded->operations), described(operations)) << name;
  }
}

TEST(Codec, KeepsTellingAbsentValuesFromEmptyOnes) {
  Decoder decoder;
  for (const bool there : {false, true}) {
    CreateTrial create{.study = 1};
    SetTrialStateValues set{.trial = 1, .state = TrialState::kComplete};
    if (there) create.values = set.values = std::span<const double>();
    const std::array<Operation, 2> operations = {create, set};
    const auto bytes = encoded(operations);
    const auto decoded = decoder.decode(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(std::get<CreateTrial>(decoded->operations[0]).values.has_value(), there);
    EXPECT_EQ(std::get<SetTrialStateValues>(decoded->operations[1]).values.has_value(), there);
  }
}

TEST(Codec, CarriesTextsOfAMebibyteInPlace) {
  std::string text(1 << 20, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 >> 4);
  const Operation operation =
      SetTrialUserAttr{1, {text, {.kind = Value::Kind::kText, .text = text}}};
  const auto bytes = encoded({&operation, 1});
  EXPECT_LT(bytes.size(), 2 * text.size() + 128);
  Decoder decoder;
  const auto decoded = decoder.decode(bytes);
  ASSERT_TRUE(decoded);
  const Attr& attr = std::get<SetTrialUserAttr>(decoded->operations[0]).attr;
  EXPECT_EQ(attr.key, text);
  EXPECT_EQ(attr.value.text, text);
  EXPECT_GE(reinterpret_cast<const std::byte*>(attr.key.data()), bytes.data());
  EXPECT_LT(reinterpret_cast<const std::byte*>(attr.key.data()), bytes.data() + bytes.size());
}

TEST(Codec, CarriesThousandsOfParamsAndChoices) {
  std::deque<std::string> names;
  std::vector<Value> choices(5000, Value{.kind = Value::Kind::kInt64, .int64 = 7});
  std::vector<Param> params;
  for (int i = 0; i < 1000; ++i) {
    params.push_back(
        {names.emplace_back("p" + std::to_string(i)), 0.5, Distribution{.low = 0, .high = 1}});
  }
  params.push_back({"choices", 1, {.kind = Distribution::Kind::kCategorical, .choices = choices}});
  const Operation operation = CreateTrial{.study = 1, .params = params};
  const auto bytes = encoded({&operation, 1});
  Decoder decoder;
  const auto decoded = decoder.decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(described(decoded->operations[0]), described(operation));
}

TEST(Codec, LeavesNothingOfALargerRecordInASmallerOne) {
  const auto samples = testing::sample_operations();
  const std::string large(1 << 20, 'x');
  const Operation big = Tombstone{large};
  Encoder used;
  for (const auto& [name, operations] : samples) {
    for (const auto& [name_before, before] : samples) {
      (void)used.encode(big);
      stamp(used.encode(before), testing::kSampleHeader);
      const auto bytes = used.encode(operations);
      stamp(bytes, testing::kSampleHeader);
      const auto fresh = encoded(operations);
      ASSERT_TRUE(std::equal(bytes.begin(), bytes.end(), fresh.begin(), fresh.end()))
          << name << " after " << name_before;
    }
  }
}

TEST(Codec, RefusesToEncodeMoreThanItsLimit) {
  const std::string mebibyte(1 << 20, 'x');
  const std::vector<Operation> at_limit(255, Tombstone{mebibyte});
  const std::vector<Operation> above(256, Tombstone{mebibyte});
  Encoder encoder;
  EXPECT_TRUE(encoder.encode(above).empty());
  EXPECT_GT(encoder.encode(at_limit).size(), 255u << 20);
  EXPECT_EQ(encoder.encode(above[0]).size(), kRecordHeaderBytes + 32 + mebibyte.size());
}

TEST(Codec, ReadsARecordThatIsNotAligned) {
  const Operation operation = SetTrialIntermediateValue{1, {2, 3.5}};
  const auto bytes = encoded({&operation, 1});
  const auto shifted = std::make_unique<std::byte[]>(bytes.size() + 8);
  Decoder decoder;
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::memcpy(shifted.get() + shift, bytes.data(), bytes.size());
    const auto decoded = decoder.decode({shifted.get() + shift, bytes.size()});
    ASSERT_TRUE(decoded);
    EXPECT_EQ(described(decoded->operations[0]), described(operation));
  }
}

// The sizes that docs/decisions/0020-one-arm-an-operation.md promises.
TEST(Codec, KeepsCommonRecordsSmall) {
  const Distribution uniform{.low = 0, .high = 1};
  const std::array<double, 1> value = {0.5};
  const auto size = [](const Operation& operation) { return encoded({&operation, 1}).size(); };
  EXPECT_EQ(size(CreateTrial{.study = 1, .start_us = 1}), 80u);
  EXPECT_EQ(size(SetTrialParam{1, {"x0", 0.5, uniform}}), 120u);
  EXPECT_EQ(size(SetTrialIntermediateValue{1, {2, 0.5}}), 72u);
  EXPECT_EQ(size(SetTrialUserAttr{1, {"key", {.kind = Value::Kind::kInt64, .int64 = 1}}}), 96u);
  EXPECT_EQ(size(SetTrialStateValues{1, TrialState::kComplete, std::span<const double>(value), 1}),
            88u);
  EXPECT_EQ(size(DeleteStudy{1}), 56u);
}

TEST(OperationName, IsTheArmInRecordCapnp) {
  for (const auto& [name, operations] : testing::sample_operations()) {
    if (name == "batch") continue;
    EXPECT_EQ(operation_name(operations[0]), name.substr(0, name.find('-')));
  }
}

}  // namespace
}  // namespace oj::schema
