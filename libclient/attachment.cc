// SPDX-License-Identifier: MIT
#include "libclient/attachment.h"

#include <utility>

namespace oj::client {
namespace {

// Why a region did not fit that the daemon had just named. It is of the daemon's own boot; where
// another one is found here, we are in a container that has a boot id of its own, or the region's
// header was just damaged.
Error misfit(const Error& error, const std::string& path, const shm::Id& boot_id) {
  auto region = shm::Region::attach(path, shm::Region::Access::kReadOnly, nullptr);
  if (error.code != Code::kGone || !region || (*region)->identity().boot_id == boot_id)
    return error;
  return Error{Code::kIncompatible,
               error.message +
                   ": the daemon runs in another boot, or this container has a boot id of its own; "
                   "in the container, type: umount /proc/sys/kernel/random/boot_id"};
}

}  // namespace

Result<std::shared_ptr<Attachment>> Attachment::make(const Joined& joined,
                                                     const journal::Folder& folder, bool monitor) {
  const schema::Welcome& welcome = joined.welcome;
  if (welcome.region_file.empty() || welcome.region_file.find('/') != std::string::npos) {
    return Error{Code::kCorrupt,
                 "the daemon names the region file \"" + welcome.region_file + "\""};
  }
  Result<shm::Id> boot_id = shm::this_boot_id();
  if (!boot_id) return boot_id.error();
  const shm::Identity expected{*boot_id, folder.journal_id(), welcome.generation};
  auto made = std::make_shared<Attachment>();
  // A child forked in between would keep the region's descriptor, and with it the lock byte of the
  // seat.
  ForkGuard guard;
  const std::string path = joined.runtime_folder + "/" + welcome.region_file;
  Result<std::shared_ptr<shm::Region>> region = shm::Region::attach(
      path, monitor ? shm::Region::Access::kReadOnly : shm::Region::Access::kReadWrite, &expected);
  if (!region) return monitor ? region.error() : misfit(region.error(), path, *boot_id);
  made->region = std::move(*region);
  guard.add(*made);
  if (monitor) return made;
  Result<shm::Seat> seat =
      shm::Seat::take(made->region, shm::SlotRef{welcome.slot, welcome.incarnation});
  if (!seat) return seat.error();
  made->seat.emplace(std::move(*seat));
  made->session = welcome.session;
  return made;
}

Attachment::~Attachment() {
  ForkGuard guard;
  guard.remove(*this);
  seat.reset();
  region.reset();
}

ForkAware::Then Attachment::after_fork_in_child() noexcept {
  if (seat) seat->abandon_after_fork();
  region->abandon_after_fork();
  return Then::kForget;
}

}  // namespace oj::client
