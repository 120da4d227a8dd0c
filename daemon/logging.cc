// SPDX-License-Identifier: MIT
#include "daemon/logging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "base/fd.h"

namespace oj::daemon {
namespace {

constexpr const char* kPattern = "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v";

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
  if (stderr_is_systemds()) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<PriorityFlag>('*').set_pattern("%*%v");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern(kPattern);
  }
  install(std::move(logger), level);
}

Result<void> start_logging_to_file(const std::string& path, const std::string& level) {
  try {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, kLogFileBytesMax, 1);
    auto logger = std::make_shared<spdlog::logger>("optjournald", std::move(sink));
    logger->set_pattern(kPattern);
    install(std::move(logger), level);
  } catch (const std::exception& failed) {
    return Error{Code::kIo, "cannot write " + path + ": " + failed.what(), errno};
  }
  const Fd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd || dup2(fd.get(), STDERR_FILENO) < 0) return io_error("cannot write " + path, errno);
  return {};
}

}  // namespace oj::daemon
