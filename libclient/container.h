// In which container this process runs, as far as it can tell.
//
// A process in a container sees little of it: with a cgroup namespace of its own the path of its
// cgroup is "/", and what is left are the files that the runtime mounts from its own folder of the
// container (/etc/hostname, /etc/hosts), whose place mountinfo tells.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

namespace oj::client {

// From the texts of /proc/self/cgroup and /proc/self/mountinfo: the first 12 digits of the id for
// Docker, Podman, containerd and CRI-O, the name for systemd-nspawn and LXC; "" if there is none to
// be seen.
std::string container_of(std::string_view cgroup, std::string_view mountinfo);

}  // namespace oj::client
