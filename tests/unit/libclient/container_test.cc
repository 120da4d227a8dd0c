// SPDX-License-Identifier: MIT
#include "libclient/container.h"

#include <gtest/gtest.h>

namespace oj::client {
namespace {

const std::string kId = "3f2a90b1c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f";
const std::string kOther = "aaaaaaaaaaaabbbbbbbbbbbbccccccccccccdddddddddddd0000000000000000";

TEST(Container, IsReadFromTheCgroup) {
  EXPECT_EQ(container_of("0::/system.slice/docker-" + kId + ".scope\n", ""), "3f2a90b1c4d5");
  EXPECT_EQ(container_of("12:pids:/docker/" + kId + "\n1:name=systemd:/docker/" + kId + "\n", ""),
            "3f2a90b1c4d5");
  EXPECT_EQ(
      container_of("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kId + ".scope", ""),
      "3f2a90b1c4d5");
  EXPECT_EQ(container_of("0::/user.slice/user-1000.slice/libpod-" + kId + ".scope/container", ""),
            "3f2a90b1c4d5");
  EXPECT_EQ(container_of("0::/machine.slice/machine-worker\\x2d7.scope/payload\n", ""), "worker-7");
  EXPECT_EQ(container_of("0::/machine.slice/systemd-nspawn@box.service/payload\n", ""), "box");
  EXPECT_EQ(container_of("0::/lxc.payload.box/user.slice\n", ""), "box");
}

TEST(Container, OfANestedOneIsTheInnermost) {
  EXPECT_EQ(container_of("0::/docker/" + kId + "/docker/" + kOther + "\n", ""), "aaaaaaaaaaaa");
}

TEST(Container, IsReadFromMountsWhereTheCgroupTellsNothing) {
  EXPECT_EQ(container_of("0::/\n", "612 590 254:1 /var/lib/docker/containers/" + kId +
                                       "/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"),
            "3f2a90b1c4d5");
  EXPECT_EQ(container_of("0::/\n", "612 590 0:25 /containers/overlay-containers/" + kId +
                                       "/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"),
            "3f2a90b1c4d5");
}

TEST(Container, IsNoneOutsideOfOne) {
  EXPECT_EQ(container_of("", ""), "");
  EXPECT_EQ(container_of("0::/user.slice/user-1000.slice/session-2.scope\n",
                         "24 29 0:22 / /sys rw - sysfs sysfs rw\n"),
            "");
  EXPECT_EQ(container_of("0::/x/" + kId.substr(1) + "\n", "1 1 0:1 /" + kId + " / rw\n"), "");
}

}  // namespace
}  // namespace oj::client
