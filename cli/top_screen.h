// A picture of `optjournal top` as lines that fit a screen. Pure: what draws them is in top.cc.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/output.h"
#include "cli/top_picture.h"

namespace oj::cli {

struct TopView {
  std::size_t columns = 80, rows = 24;
  TopSort sort = TopSort::kAge;
  std::string filter = {};
  bool typing = false;  // the filter
  bool help = false;
};

struct TopLine {
  std::string text;  // shown text, at most view.columns wide
  Style style = Style::kPlain;
};

// At most view.rows lines; what does not fit is counted in a line.
std::vector<TopLine> lines_of(const TopPicture& picture, const TopView& view);

}  // namespace oj::cli
