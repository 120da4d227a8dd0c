// SPDX-License-Identifier: MIT
#include "daemon/logging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/fd.h"

namespace oj::daemon {
namespace {

constexpr const char* kPattern = "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %_";
constexpr const char* kPatternOfSystemd = "%*%_";

// The message in one line, whatever the names are that clients have put into it: control characters
// as \n and \x1b, so that nobody writes lines of his own here or moves the cursor of who reads.
class OneLineFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    constexpr unsigned char kControlEnd = 0x20, kDelete = 0x7f;
    // U+0080 to U+009F, in UTF-8.
    constexpr unsigned char kHighControls = 0xc2, kHighControlBegin = 0x80, kHighControlEnd = 0xa0;
    const std::string_view text(message.payload.data(), message.payload.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
      auto byte = static_cast<unsigned char>(text[i]);
      const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : '\0');
      const bool high =
          byte == kHighControls && next >= kHighControlBegin && next < kHighControlEnd;
      if (high) {
        byte = next;
        ++i;
      }
      if (!high && byte >= kControlEnd && byte != kDelete) {
        out.push_back(text[i]);
      } else if (byte == '\n') {
        append("\\n", out);
      } else {
        append(fmt::format("\\x{:02x}", byte), out);
      }
    }
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<OneLineFlag>();
  }

 private:
  static void append(std::string_view text, spdlog::memory_buf_t& out) {
    out.append(text.data(), text.data() + text.size());
  }
};

// syslog's number of a level, as systemd's journal reads it from the start of a line.
class PriorityFlag : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const char* priority = "<7>";
    if (message.level >= spdlog::level::err) {
      priority = "<3>";
    } else if (message.level == spdlog::level::warn) {
      priority = "<4>";
    } else if (message.level == spdlog::level::info) {
      priority = "<6>";
    }
    out.append(priority, priority + 3);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<PriorityFlag>();
  }
};

std::unique_ptr<spdlog::formatter> formatter_of(const char* pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PriorityFlag>('*').add_flag<OneLineFlag>('_').set_pattern(pattern);
  return formatter;
}

// Is stderr the stream that systemd connected to its journal? $JOURNAL_STREAM is "<device>:<inode>"
// of it.
bool stderr_is_systemds() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat info {};
  if (stream == nullptr || fstat(STDERR_FILENO, &info) != 0) return false;
  return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
}

void install(std::shared_ptr<spdlog::logger> logger, const std::string& level) {
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::debug);
  // A full disk under the file: say it nowhere rather than fail or fill stderr.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

void start_logging_to_stderr(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(
      "optjournald", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_formatter(formatter_of(stderr_is_systemds() ? kPatternOfSystemd : kPattern));
  install(std::move(logger), level);
}

std::string as_errors(const std::string& lines) {
  if (!stderr_is_systemds()) return lines;
  std::string out;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) out.append("<3>").append(line).append("\n");
  return out;
}

Result<void> start_logging_to_file(const std::string& path, const std::string& level, gid_t group) {
  try {
    spdlog::file_event_handlers events;
    events.after_open = [group](const spdlog::filename_t&, std::FILE* file) {
      if (group != static_cast<gid_t>(-1))
        (void)!fchown(fileno(file), static_cast<uid_t>(-1), group);
    };
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, kLogFileBytesMax, 1,
                                                                       false, events);
    auto logger = std::make_shared<spdlog::logger>("optjournald", std::move(sink));
    logger->set_formatter(formatter_of(kPattern));
    install(std::move(logger), level);
  } catch (const std::exception& failed) {
    return Error{Code::kIo, "cannot write " + path + ": " + failed.what(), errno};
  }
  const Fd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd || dup2(fd.get(), STDERR_FILENO) < 0) return io_error("cannot write " + path, errno);
  return {};
}

}  // namespace oj::daemon
