// SPDX-License-Identifier: MIT
#include "cli/table.h"

#include <algorithm>

#include "base/check.h"
#include "cli/text.h"

namespace oj::cli {
namespace {

constexpr std::size_t kCellColumnsMax = 40;

}  // namespace

void Table::column(std::string name, Align align) {
  OJ_CHECK(rows_.empty());
  columns_.push_back({std::move(name), align});
}

void Table::row(std::vector<Cell> cells) {
  OJ_CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

Result<void> Table::print(Output& out) const {
  const auto shape = [&](const std::string& text) {
    return out.terminal() ? fitted(text, kCellColumnsMax) : text;
  };
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t widest = width(shape(columns_[i].name));
    for (const auto& cells : rows_) widest = std::max(widest, width(shape(cells[i].text)));
    widths.push_back(widest);
  }
  const auto print_row = [&](const auto& cell_of) {
    std::string line;
    std::size_t owed =
        0;  // spaces that a further cell needs before it; never written at a line's end
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const Cell cell = cell_of(i);
      const std::string text = shape(cell.text);
      const std::size_t gap = widths[i] - width(text);
      if (columns_[i].align == Align::kRight) owed += gap;
      if (!text.empty())
        line.append(std::exchange(owed, 0), ' ').append(out.styled(cell.style, text));
      owed += 2 + (columns_[i].align == Align::kLeft ? gap : 0);
    }
    return out.write(line + '\n');
  };
  if (auto done =
          print_row([&](std::size_t i) { return Cell(shape(columns_[i].name), Style::kBold); });
      !done)
    return done;
  for (const auto& cells : rows_) {
    if (auto done = print_row([&](std::size_t i) { return cells[i]; }); !done) return done;
  }
  return {};
}

}  // namespace oj::cli
