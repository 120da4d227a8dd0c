// SPDX-License-Identifier: MIT
#include "libclient/gpu_loads.h"

#include <gtest/gtest.h>

namespace oj::client {
namespace {

TEST(GpuLoads, AreAskedOfALibraryThatIsLoadedThen) {
  const GpuLoads loads(OJ_NVML_DOUBLE);
  for (int again = 0; again < 2; ++again) {
    const std::vector<GpuLoad> said = loads.look();
    ASSERT_EQ(said.size(), 2u);
    EXPECT_EQ(said[0].gpu.uuid, "GPU-00000001-0000-4000-8000-000000000000");
    EXPECT_EQ(said[0].busy_percent, 40u);
    EXPECT_EQ(said[1].busy_percent, 41u);
    EXPECT_EQ(said[1].memory_used_bytes, 10ULL << 30);
    EXPECT_EQ(said[1].memory_bytes, 80ULL << 30);
  }
}

TEST(GpuLoads, AreNoneWithoutTheLibraryOrWithAnotherOne) {
  EXPECT_TRUE(GpuLoads("libnvidia-ml-of-nobody.so.1").look().empty());
  EXPECT_TRUE(GpuLoads("libc.so.6").look().empty());
}

TEST(GpuLoads, AreAnAnswerWithOrWithoutADriver) {
  for (const GpuLoad& load : GpuLoads().look())
    EXPECT_LE(load.busy_percent.value_or(0), 100u) << load.gpu.uuid;
}

}  // namespace
}  // namespace oj::client
