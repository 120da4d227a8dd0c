// SPDX-License-Identifier: MIT
#include "tests/verify/hostile/attacks.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/fd.h"
#include "libclient/session.h"
#include "schema/codec.h"
#include "shm/layout.h"
#include "shm/region.h"

namespace oj::verify {
namespace {

constexpr std::uint64_t kStepsBetween = 200;  // of the clients

// The file of the newest region, opened at each use: it is replaced now and then.
class OpenRegion {
 public:
  explicit OpenRegion(const Stage& stage)
      : fd_(open(stage.region_file().c_str(), O_RDWR | O_CLOEXEC)) {
    shm::HeaderFields h{};
    if (!fd_ || pread(fd_.get(), &h, sizeof h, 0) != static_cast<ssize_t>(sizeof h)) return;
    if (!shm::check_sizes({h.ring_slots, h.chunk_bytes, h.chunk_count, h.worker_slots})) return;
    geometry_ = shm::geometry_of(h.ring_slots, h.chunk_bytes, h.chunk_count, h.worker_slots);
  }
  bool usable() const { return geometry_.end != 0; }
  const shm::Geometry& geometry() const { return geometry_; }
  std::uint64_t load(std::uint64_t offset) const {
    std::uint64_t word = 0;
    (void)!pread(fd_.get(), &word, sizeof word, static_cast<off_t>(offset));
    return word;
  }
  void store(std::uint64_t offset, const void* bytes, std::size_t size) const {
    (void)!pwrite(fd_.get(), bytes, size, static_cast<off_t>(offset));
  }
  void cut(std::uint64_t bytes) const { (void)!ftruncate(fd_.get(), static_cast<off_t>(bytes)); }
  void punch(std::uint64_t offset, std::uint64_t bytes) const {
    (void)!fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(offset), static_cast<off_t>(bytes));
  }

 private:
  Fd fd_;
  shm::Geometry geometry_;
};

// One word of [begin, end): a flipped bit, zeros, ones, the next value, or anything.
void scribble(const OpenRegion& region, std::mt19937_64& random, std::uint64_t begin,
              std::uint64_t end) {
  const std::uint64_t offset = begin + random() % ((end - begin) / 8) * 8;
  const std::uint64_t now = region.load(offset);
  const std::uint64_t choices[] = {now ^ std::uint64_t{1} << random() % 64, 0, ~std::uint64_t{0},
                                   now + 1, random()};
  region.store(offset, &choices[random() % 5], 8);
}

using Part = std::function<std::pair<std::uint64_t, std::uint64_t>(const shm::Geometry&)>;

// Scribbles over one part while the clients go on.
Attack scribbling(const std::string& name, const Part& part, int words) {
  Attack attack;
  attack.name = name;
  attack.rounds = 400;
  attack.rounds_fast = 60;
  attack.run = [part, words](Stage& stage, std::mt19937_64& random, std::uint64_t rounds) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const OpenRegion region(stage);
      if (region.usable()) {
        const auto [begin, end] = part(region.geometry());
        for (int i = 0; i < words; ++i) scribble(region, random, begin, end);
      }
      stage.let_them(kStepsBetween);
    }
  };
  return attack;
}

// A bit of every byte of the header in turn. Whoever comes then finds a region that he can attach
// to: this one, or the next.
Attack header() {
  Attack attack;
  attack.name = "every byte of the header";
  attack.rounds = sizeof(shm::HeaderFields) + sizeof(std::uint32_t);
  attack.rounds_fast = 12;
  attack.said = "the region is damaged";
  attack.keeps_records = true;
  attack.run = [](Stage& stage, std::mt19937_64& random, std::uint64_t rounds) {
    constexpr std::uint64_t kBytes = sizeof(shm::HeaderFields) + sizeof(std::uint32_t);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const OpenRegion region(stage);
      const std::uint64_t offset = round * kBytes / rounds;
      const auto byte = static_cast<std::uint8_t>(region.load(offset) ^ 1u << random() % 8);
      region.store(offset, &byte, 1);
      const std::string met = stage.visit();
      if (!met.empty()) {
        throw std::runtime_error("byte " + std::to_string(offset) +
                                 " of the header changed, and nobody can attach: " + met);
      }
    }
  };
  return attack;
}

Attack cutting() {
  Attack attack;
  attack.name = "the file cut";
  attack.rounds = 30;
  attack.rounds_fast = 6;
  attack.said = "the region is damaged";
  attack.keeps_records = true;
  attack.run = [](Stage& stage, std::mt19937_64& random, std::uint64_t rounds) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const OpenRegion region(stage);
      if (region.usable()) {
        const shm::Geometry& g = region.geometry();
        const std::uint64_t places[] = {0,
                                        4096,
                                        g.slots,
                                        g.owners,
                                        g.ring,
                                        g.pool,
                                        g.pool + (g.end - g.pool) / 2,
                                        g.end - 4096,
                                        random() % g.end,
                                        g.end + 8192};
        region.cut(places[round % 10]);
      }
      const std::string met = stage.visit();
      if (!met.empty()) throw std::runtime_error("cut, and nobody can attach: " + met);
      stage.let_them(kStepsBetween);
    }
  };
  return attack;
}

Attack punching() {
  Attack attack = scribbling("pages of zeros", {}, 0);
  attack.keeps_single = attack.keeps_synced = false;
  attack.run = [](Stage& stage, std::mt19937_64& random, std::uint64_t rounds) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const OpenRegion region(stage);
      if (region.usable()) {
        const std::uint64_t pages = region.geometry().end / shm::kPageBytes;
        region.punch((1 + random() % (pages - 1)) * shm::kPageBytes, shm::kPageBytes);
      }
      stage.let_them(kStepsBetween);
    }
  };
  return attack;
}

}  // namespace

void forge_record(Stage& stage, std::mt19937_64& /*random*/, std::uint64_t /*rounds*/) {
  client::OpenOptions options;
  auto session = client::Session::open(stage.folder(), options);
  if (!session) throw std::logic_error(session.error().message);
  schema::SetStudyUserAttr attr;
  attr.attr.key = "7";
  attr.attr.value.kind = schema::Value::Kind::kInt64;
  attr.attr.value.int64 = value_of(7) ^ 1;
  schema::Encoder encoder;
  (void)(*session)->append(encoder.encode(schema::Operation(attr)), client::Durability::kSynced,
                           Deadline::in_ms(10'000));
}

std::vector<Attack> attacks() {
  using Geometry = shm::Geometry;
  const auto marks = [](const Geometry&) {
    return std::pair{shm::kWatermarksOffset, shm::kWatermarksOffset + 1280};
  };
  const auto slots = [](const Geometry& g) { return std::pair{g.slots, g.slots + 8 * 256}; };
  const auto owners = [](const Geometry& g) { return std::pair{g.owners, g.owners + 64 * 8}; };
  const auto ring = [](const Geometry& g) { return std::pair{g.ring, g.ring + 512 * 8}; };
  const auto pool = [](const Geometry& g) { return std::pair{g.pool, g.end}; };
  const auto all = [](const Geometry& g) { return std::pair{shm::kWatermarksOffset, g.end}; };
  Attack watermarks = scribbling("watermarks", marks, 4);
  // A client believes `synced`; a chunk is freed early by what `synced` and `retained` say.
  watermarks.keeps_synced = watermarks.keeps_single = false;
  Attack owner_words = scribbling("chunk table", owners, 4);
  owner_words.keeps_single = owner_words.keeps_synced = false;  // a chunk given twice
  Attack order_ring = scribbling("order ring", ring, 16);
  order_ring.keeps_single = order_ring.keeps_synced = false;  // a ticket names another whole record
  Attack chunks = scribbling("chunks", pool, 3000);
  chunks.said = "fails its checks";
  chunks.keeps_synced = false;  // as a tombstone
  Attack everywhere = scribbling("everywhere", all, 100);
  everywhere.keeps_single = everywhere.keeps_synced = false;
  return {header(),    cutting(),  watermarks, scribbling("worker slots", slots, 4),
          owner_words, order_ring, chunks,     punching(),
          everywhere};
}

}  // namespace oj::verify
