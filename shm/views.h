// The parts of a mapped region, as the production instantiations of the protocol's templates. For
// shm/ only.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "shm/chunk_pool.h"
#include "shm/environment.h"
#include "shm/hazards.h"
#include "shm/layout.h"
#include "shm/order_ring.h"
#include "shm/region.h"

namespace oj::shm {

using ProductionWord = Production::Atomic<std::uint64_t>;

// The casts of the layer: a region is bytes that other processes wrote, mapped on a page, laid out
// as layout.h says. Views of a read-only mapping must only be loaded from.
class RegionView {
 public:
  explicit RegionView(const Region& region)
      : base_(region.base()),
        sizes_(region.sizes()),
        geometry_(geometry_of(sizes_.ring_slots, sizes_.chunk_bytes, sizes_.chunk_count,
                              sizes_.worker_slots)) {}

  ProductionHeader& header() const { return *at<ProductionHeader>(kHeaderOffset); }
  ProductionWatermarks& marks() const { return *at<ProductionWatermarks>(kWatermarksOffset); }
  ProductionSlot& slot(std::uint32_t index) const {
    return at<ProductionSlot>(geometry_.slots)[index];
  }
  std::byte* pool_bytes() const { return base_ + geometry_.pool; }

  OrderRing<Production> ring() const {
    return {&marks(), at<ProductionWord>(geometry_.ring), sizes_.ring_slots};
  }
  ChunkPool<Production> pool() const {
    return {&marks(), at<ProductionWord>(geometry_.owners), at<ProductionWord>(geometry_.pool),
            sizes_.chunk_count, sizes_.chunk_bytes};
  }
  Hazards<Production> hazards() const {
    return {&marks(), at<ProductionSlot>(geometry_.slots), sizes_.worker_slots};
  }

 private:
  template <class T>
  T* at(std::uint64_t offset) const {
    return reinterpret_cast<T*>(base_ + offset);
  }

  std::byte* base_;
  const Sizes& sizes_;
  Geometry geometry_;
};

}  // namespace oj::shm
