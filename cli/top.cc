// `optjournal top`: workers, studies and daemon on one screen, live.
//
// SPDX-License-Identifier: MIT
#include <curses.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/numbers.h"
#include "cli/text.h"
#include "cli/top_picture.h"
#include "cli/top_screen.h"
#include "cli/verbs.h"
#include "libclient/gpu_loads.h"
#include "libclient/storage.h"

namespace oj::cli {
namespace {

constexpr int kLookMs = 100;  // between looks for a signal
constexpr int kEscape = 27;
constexpr std::int64_t kOpenMs = 2'000;  // then without the daemon's word
// A stopped daemon holds the screen up for so long at each look, and is called silent after that.
constexpr std::int64_t kAnswerMs = 200;
constexpr std::int64_t kPatienceUs = 2'000'000;

// Signals that end the program, after the terminal was given back. They are blocked and asked for,
// so that nothing is interrupted; curses' own handlers are never called.
class EndSignals {
 public:
  EndSignals() {
    sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  bool taken() {
    const timespec at_once{};
    if (number_ <= 0) number_ = sigtimedwait(&set_, nullptr, &at_once);
    return number_ > 0;
  }
  void pass_on() const {
    if (number_ <= 0) return;
    (void)std::signal(number_, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    (void)raise(number_);
  }

 private:
  sigset_t set_{}, before_{};
  int number_ = 0;
};

// The terminal as curses has it, for as long as this lives.
class Terminal {
 public:
  Terminal() = default;
  ~Terminal() { close(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Result<void> open() {
    screen_ = newterm(nullptr, stdout, stdin);
    if (screen_ == nullptr) {
      const char* name = getenv("TERM");
      return Error{Code::kIo, fmt::format("this terminal (TERM={}) cannot be drawn on: use --once",
                                          name == nullptr ? "" : shown(name))};
    }
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    set_escdelay(25);
    timeout(kLookMs);
    return {};
  }
  void close() {
    if (screen_ == nullptr) return;
    endwin();
    delscreen(screen_);
    screen_ = nullptr;
  }
  void draw(const std::vector<TopLine>& lines) const {
    erase();
    int row = 0;
    for (const TopLine& line : lines) {
      if (row >= LINES) break;
      attrset(line.style == Style::kBold ? A_BOLD : line.style == Style::kRed ? A_REVERSE : 0);
      mvaddstr(row++, 0, line.text.c_str());
    }
    attrset(0);
    refresh();
  }

 private:
  SCREEN* screen_ = nullptr;
};

class Top {
 public:
  Top(const TopOptions& options, Output& out) : options_(options), out_(out) {}

  Result<void> run() {
    client::OpenOptions open;
    open.mode = client::OpenOptions::Mode::kMonitor;
    open.open_timeout_ms = kOpenMs;
    open.command = "optjournal top";
    auto storage = client::Storage::open(options_.location, open);
    if (!storage) return storage.error();
    storage_ = *std::move(storage);
    if (options_.once || options_.json) return print();
    if (isatty(STDIN_FILENO) == 0 || !out_.terminal())
      return Error{Code::kIo, "top draws on a terminal, and this is none: use --once or --json"};
    EndSignals signals;
    Terminal terminal;
    if (auto opened = terminal.open(); !opened) return opened;
    auto done = live(terminal, signals);
    terminal.close();
    signals.pass_on();
    return done;
  }

 private:
  Result<TopPicture> look() {
    ask_daemon();
    const std::vector<client::GpuLoad> gpus = gpus_.look();
    TopPicture picture;
    const auto use = [&](const replay::State& state) {
      picture = history_.look(utc_us(), status_, state, gpus);
    };
    auto read = storage_->read(use);
    // Records were lost with their region, which is said once: the next call reads anew.
    if (!read && read.error().code == Code::kGone) read = storage_->read(use);
    if (!read) return read.error();
    picture.daemon_text = why_;
    picture.synced = storage_->session().synced_end();
    if (silent_since_ns_ != 0) picture.silent_us = (monotonic_ns() - silent_since_ns_) / 1000;
    if (picture.silent_us < kPatienceUs && status_) picture.silent_us = 0;
    return picture;
  }

  // Afterwards status_ is what the daemon said, or last said if it does not answer now.
  void ask_daemon() {
    const bool live = !options_.once && !options_.json;
    const std::int64_t began_ns = monotonic_ns();
    auto said = live ? client::daemon_status(options_.location, Deadline::in_ms(kAnswerMs))
                     : client::daemon_status(options_.location);
    if (said) {
      status_ = *std::move(said);
      silent_since_ns_ = 0;
      return;
    }
    why_ = said.error().message;
    const bool silent = said.error().code == Code::kBusy;
    if (!silent || !live) status_.reset();
    if (!silent)
      silent_since_ns_ = 0;
    else if (silent_since_ns_ == 0)
      silent_since_ns_ = began_ns;
  }

  // Two looks, for the rates of --once.
  Result<void> print() {
    for (bool first = true;; first = false) {
      auto picture = look();
      if (!picture) return picture.error();
      if (!first || !options_.once) {
        arrange(*picture, view_.sort, view_.filter);
        view_.columns = std::max<std::size_t>(out_.columns(), 80);
        view_.rows = SIZE_MAX;
        std::string text;
        if (options_.json)
          text = json_of(*picture) + '\n';
        else
          for (const TopLine& line : lines_of(*picture, view_)) text += line.text + '\n';
        if (auto done = out_.write(text); !done) return done;
        if (auto done = out_.flush(); !done || options_.once) return done;
      }
      std::this_thread::sleep_for(std::chrono::duration<double>(options_.interval_s));
    }
  }

  Result<void> live(const Terminal& terminal, EndSignals& signals) {
    const auto interval_us = static_cast<std::int64_t>(options_.interval_s * 1e6);
    std::int64_t looked_us = 0;
    TopPicture picture;
    while (!signals.taken()) {
      if (const std::int64_t now_us = utc_us(); now_us - looked_us >= interval_us) {
        auto looked = look();
        if (!looked) return looked.error();
        picture = *std::move(looked);
        looked_us = now_us;
      }
      TopPicture arranged = picture;
      arrange(arranged, view_.sort, view_.filter);
      view_.columns = static_cast<std::size_t>(COLS);
      view_.rows = static_cast<std::size_t>(LINES);
      terminal.draw(lines_of(arranged, view_));
      if (const int key = getch(); key != ERR && !obey(key)) return {};
    }
    return {};
  }

  // False: quit.
  bool obey(int key) {
    if (view_.typing) {
      if (key == '\n' || key == '\r' || key == KEY_ENTER)
        view_.typing = false;
      else if (key == kEscape)
        view_.typing = false, view_.filter.clear();
      else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
        if (!view_.filter.empty()) view_.filter.pop_back();
      } else if (key >= ' ' && key < 256)
        view_.filter += static_cast<char>(key);
      return true;
    }
    switch (key) {
      case 'q': return false;
      case 'h':
      case '?': view_.help = !view_.help; break;
      case 's': view_.sort = static_cast<TopSort>((static_cast<int>(view_.sort) + 1) % 5); break;
      case '/': view_.typing = true; break;
      case kEscape:
        view_.filter.clear();
        view_.help = false;
        break;
      default: break;
    }
    return true;
  }

  const TopOptions& options_;
  Output& out_;
  std::shared_ptr<client::Storage> storage_;
  client::GpuLoads gpus_;
  std::optional<schema::Status> status_;
  std::string why_;                   // there is no status
  std::int64_t silent_since_ns_ = 0;  // not 0: the daemon has not answered since
  TopHistory history_;
  TopView view_;
};

}  // namespace

Result<void> top(const TopOptions& options, Output& out) { return Top(options, out).run(); }

}  // namespace oj::cli
