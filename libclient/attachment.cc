// SPDX-License-Identifier: MIT
#include "libclient/attachment.h"

#include <utility>

namespace oj::client {

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
  Result<std::shared_ptr<shm::Region>> region = shm::Region::attach(
      joined.runtime_folder + "/" + welcome.region_file,
      monitor ? shm::Region::Access::kReadOnly : shm::Region::Access::kReadWrite, &expected);
  if (!region) return region.error();
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
