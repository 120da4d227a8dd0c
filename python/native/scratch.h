// A TrialCopies to use for one call, taken from those that lie ready and given back after it, so
// that its room is used again. Calls nest (Python code that runs while objects are built may call a
// storage), hence several. With the GIL.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "python/native/trial_copies.h"

namespace oj::python {

class Scratch {
 public:
  using Ready = std::vector<std::unique_ptr<TrialCopies>>;

  explicit Scratch(Ready& ready) : ready_(ready) {
    if (ready.empty()) {
      copies_ = std::make_unique<TrialCopies>();
    } else {
      copies_ = std::move(ready.back());
      ready.pop_back();
    }
  }
  ~Scratch() {
    copies_->clear();
    if (ready_.size() < kReadyMax) ready_.push_back(std::move(copies_));
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  TrialCopies& operator*() const { return *copies_; }
  TrialCopies* operator->() const { return copies_.get(); }

 private:
  static constexpr std::size_t kReadyMax = 4;
  Ready& ready_;
  std::unique_ptr<TrialCopies> copies_;
};

}  // namespace oj::python
