// From a TrialId to its trial: pages of pointers, because ids are dense and never reused.
//
// A page is given back when the last trial on it is deleted, so that a journal which lives for
// years, making and deleting studies, keeps 8 bytes for every 512 trials that are gone.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "replay/state.h"

namespace oj::replay {

struct StudyParts;

struct TrialPlace {
  Trial* trial = nullptr;  // null: no such trial
  StudyParts* study = nullptr;
};

class TrialIndex {
 public:
  TrialPlace find(TrialId id) const {
    const std::size_t page = id / kPage;
    if (page >= pages_.size() || !pages_[page]) return {};
    return pages_[page]->places[id % kPage];
  }
  // Ids come in ascending order, each once.
  void add(TrialId id, TrialPlace place) {
    const std::size_t page = id / kPage;
    if (page >= pages_.size()) pages_.resize(page + 1);
    if (!pages_[page]) pages_[page] = std::make_unique<Page>();
    pages_[page]->places[id % kPage] = place;
    ++pages_[page]->count;
  }
  // REQUIRES: find(id).trial.
  void remove(TrialId id) {
    std::unique_ptr<Page>& page = pages_[id / kPage];
    page->places[id % kPage] = {};
    if (--page->count == 0) page.reset();
  }

 private:
  static constexpr std::size_t kPage = 512;
  struct Page {
    std::array<TrialPlace, kPage> places{};
    std::size_t count = 0;
  };
  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace oj::replay
