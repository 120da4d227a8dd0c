// SPDX-License-Identifier: MIT
#include "libclient/gpus.h"

#include <gtest/gtest.h>

namespace oj::client {
namespace {

const Gpus kAlike = {{"GPU-aa01", "H200"}, {"GPU-ab02", "H200"}, {"GPU-ac03", "H200"}};
const Gpus kMixed = {{"GPU-aa01", "H200"}, {"GPU-ab02", "T4"}};

std::string uuids(const Gpus& gpus) {
  std::string out;
  for (const auto& gpu : gpus) out += gpu.uuid + " ";
  return out;
}

TEST(VisibleGpus, AreAllWhereNothingIsSaid) {
  EXPECT_EQ(uuids(visible_gpus(kMixed, std::nullopt, false)), "GPU-aa01 GPU-ab02 ");
  EXPECT_TRUE(visible_gpus({}, "0", true).empty());
}

TEST(VisibleGpus, AreThoseThatAreNamedInThatOrder) {
  EXPECT_EQ(uuids(visible_gpus(kAlike, "2, 0", false)), "GPU-ac03 GPU-aa01 ");
  EXPECT_EQ(uuids(visible_gpus(kAlike, "GPU-ab,1", false)), "GPU-ab02 GPU-ab02 ");
  EXPECT_EQ(uuids(visible_gpus(kAlike, "MIG-1,0", false)), "MIG-1 GPU-aa01 ");
}

TEST(VisibleGpus, EndAtTheFirstThatIsNone) {
  EXPECT_EQ(uuids(visible_gpus(kAlike, "1,7,0", false)), "GPU-ab02 ");
  for (const char* nothing : {"", "-1", "none", "GPU-x", "NoDevFiles", ",0"})
    EXPECT_TRUE(visible_gpus(kAlike, nothing, false).empty()) << nothing;
}

TEST(VisibleGpus, ByNumberAreToldOnlyWhereCudaCountsAsNvmlDoes) {
  EXPECT_TRUE(visible_gpus(kMixed, "1", false).empty());
  EXPECT_EQ(uuids(visible_gpus(kMixed, "1", true)), "GPU-ab02 ");
  EXPECT_EQ(uuids(visible_gpus(kMixed, "GPU-ab02", false)), "GPU-ab02 ");
}

TEST(GpusOfTheMachine, AreAskedOfALibraryThatIsLoadedThen) {
  const Gpus gpus = gpus_by(OJ_NVML_DOUBLE);
  ASSERT_EQ(gpus.size(), 2u);
  EXPECT_EQ(gpus[0].uuid, "GPU-00000001-0000-4000-8000-000000000000");
  EXPECT_EQ(gpus[1].uuid, "GPU-00000002-0000-4000-8000-000000000000");
  EXPECT_EQ(gpus[1].name, "NVIDIA Double");
}

TEST(GpusOfTheMachine, AreNoneWithoutTheLibraryOrWithAnotherOne) {
  EXPECT_TRUE(gpus_by("libnvidia-ml-of-nobody.so.1").empty());
  EXPECT_TRUE(gpus_by("libc.so.6").empty());
}

TEST(GpusOfTheMachine, AreAnAnswerWithOrWithoutADriver) {
  for (const auto& gpu : gpus_of_machine()) EXPECT_TRUE(gpu.uuid.starts_with("GPU-")) << gpu.uuid;
}

}  // namespace
}  // namespace oj::client
