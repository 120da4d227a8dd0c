// Columns that line up, on a terminal and in a pipe alike.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/output.h"

namespace oj::cli {

class Table {
 public:
  enum class Align : std::uint8_t { kLeft, kRight };
  struct Cell {
    std::string text;  // shown text
    Style style = Style::kPlain;
    Cell() = default;
    Cell(std::string t, Style s = Style::kPlain)
        : text(std::move(t)),
          style(s) {}  // NOLINT(google-explicit-constructor): rows read as lists of texts
  };

  void column(std::string name, Align align);
  void row(std::vector<Cell> cells);  // as many as there are columns

  // On a terminal, cells are cut at 40 columns each; in a pipe nothing is.
  Result<void> print(Output& out) const;

 private:
  struct Column {
    std::string name;
    Align align;
  };
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace oj::cli
