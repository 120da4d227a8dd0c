// Copies of trials in plain buffers: what one look at the state takes along, so that Python objects
// can be built after the state's lock was given back (see storage.h, "The lock and the GIL").
//
// The buffers keep their room between uses, so that copying a trial allocates nothing after a few.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "replay/state.h"

namespace oj::python {

class TrialCopies {
 public:
  struct Range {
    std::size_t begin = 0, end = 0;
    std::size_t size() const { return end - begin; }
  };
  struct Trial {
    replay::TrialId id = 0;
    replay::StudyId study = 0;
    std::uint64_t number = 0, version = 0;
    replay::TrialState state = replay::TrialState::kRunning;
    bool has_values = false;
    std::optional<std::int64_t> start_us, complete_us;
    Range values, params, user_attrs, system_attrs, intermediate_values;
  };
  struct Param {
    Range name;
    double internal = 0;
    std::shared_ptr<const replay::Distribution> distribution;
  };
  struct Attr {
    Range key, text;
    schema::Value value;  // its text is in `text`
  };

  void clear();
  // No Python in here: it is called under the state's lock.
  void add(const replay::Trial& trial);
  // Also a study's attributes; the range is for attrs().
  Range add(const replay::AttrMap& attrs);
  Range add(std::string_view text);

  std::size_t size() const { return trials_.size(); }
  const std::vector<Trial>& trials() const { return trials_; }

  // Views into this: valid until the next add() or clear().
  std::string_view text(Range range) const {
    return std::string_view(text_).substr(range.begin, range.size());
  }
  std::span<const double> values(Range range) const { return cut(values_, range); }
  std::span<const Param> params(Range range) const { return cut(params_, range); }
  std::span<const Attr> attrs(Range range) const { return cut(attrs_, range); }
  std::span<const schema::IntermediateValue> intermediate_values(Range range) const {
    return cut(intermediate_values_, range);
  }
  schema::Value value(const Attr& attr) const;

 private:
  template <class T>
  static std::span<const T> cut(const std::vector<T>& all, Range range) {
    return std::span<const T>(all).subspan(range.begin, range.size());
  }

  std::vector<Trial> trials_;
  std::vector<double> values_;
  std::vector<Param> params_;
  std::vector<Attr> attrs_;
  std::vector<schema::IntermediateValue> intermediate_values_;
  std::string text_;
};

}  // namespace oj::python
