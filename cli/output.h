// Standard output: collected, written in whole pieces, coloured only where a person looks.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace oj::cli {

enum class When : std::uint8_t { kAuto, kAlways, kNever };
enum class Style : std::uint8_t { kPlain, kBold, kDim, kRed, kGreen, kYellow, kCyan };

class Output {
 public:
  // kAuto: colour if standard output is a terminal, $TERM is not "dumb" and $NO_COLOR is unset or
  // empty.
  explicit Output(When color);

  bool terminal() const { return terminal_; }
  bool color() const { return color_; }
  std::size_t columns() const { return columns_; }  // of the terminal; 80 where there is none

  std::string styled(Style style, std::string_view text) const;

  // Collects; what is collected is written at flush(), and early once there is much of it.
  Result<void> write(std::string_view text);
  // Error kIo: standard output takes no more.
  Result<void> flush();
  // It takes no more because its reader has closed it, which is no mistake.
  bool reader_gone() const { return reader_gone_; }

 private:
  std::string pending_;
  bool terminal_ = false, color_ = false, reader_gone_ = false;
  std::size_t columns_ = 80;
};

}  // namespace oj::cli
