// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace oj::cli {
namespace {

constexpr std::size_t kPendingBytesMax = 64 * 1024;

bool set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

const char* code_of(Style style) {
  switch (style) {
    case Style::kBold: return "\x1b[1m";
    case Style::kDim: return "\x1b[2m";
    case Style::kRed: return "\x1b[31m";
    case Style::kGreen: return "\x1b[32m";
    case Style::kYellow: return "\x1b[33m";
    case Style::kCyan: return "\x1b[36m";
    case Style::kPlain: break;
  }
  return "";
}

}  // namespace

Output::Output(When color) : terminal_(isatty(STDOUT_FILENO) == 1) {
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  color_ =
      color == When::kAlways || (color == When::kAuto && terminal_ && !dumb && !set("NO_COLOR"));
  winsize size{};
  if (terminal_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    columns_ = size.ws_col;
}

std::string Output::styled(Style style, std::string_view text) const {
  if (!color_ || style == Style::kPlain || text.empty()) return std::string(text);
  return std::string(code_of(style)).append(text).append("\x1b[0m");
}

Result<void> Output::write(std::string_view text) {
  pending_ += text;
  if (pending_.size() < kPendingBytesMax) return {};
  return flush();
}

Result<void> Output::flush() {
  std::size_t done = 0;
  while (done < pending_.size()) {
    const ssize_t n = ::write(STDOUT_FILENO, pending_.data() + done, pending_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      pending_.clear();
      reader_gone_ = error == EPIPE;
      return io_error("cannot write to standard output", error);
    }
    done += static_cast<std::size_t>(n);
  }
  pending_.clear();
  return {};
}

}  // namespace oj::cli
