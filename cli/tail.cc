// `optjournal tail`: the journal's records, one line each, from wherever they are, and live with
// -f.
//
// Names and numbers are known only to the state, so the whole journal is replayed, whatever part is
// printed.
//
// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/record_line.h"
#include "cli/spelling.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "libclient/session.h"
#include "libclient/storage.h"

namespace oj::cli {
namespace {

// Read and printed before standard output is flushed.
constexpr std::uint64_t kRecordsAtOnce = 1'024;
// While following: for --until, and whether the folder is still there.
constexpr std::int64_t kLookMs = 1'000;
// Of those printed: to tell what is new after a lost region.
constexpr std::size_t kRememberedRecords = 65'536;

class Tail {
 public:
  Tail(const TailOptions& options, Output& out)
      : options_(options), out_(out), filtered_(!options.filter.empty()) {}

  Result<void> run() {
    if (auto opened = open(); !opened) return opened;
    const std::uint64_t end = session_->published_end();
    start_at(end);
    if (auto done = read_until(end); !done) return done;
    if (auto done = print_last(); !done) return done;
    const std::optional<std::string>& study = options_.filter.study;
    if (study && !study_seen_) {
      const Error missing = no_such_study(*study, state_, options_.location);
      if (!options_.follow) return missing;
      note(missing.message + "; waiting for it");
    }
    if (options_.from == TailOptions::From::kSeq && options_.seq > end && !options_.follow) {
      note(fmt::format("the journal ends before record {}: it has {} records", options_.seq, end));
    }
    if (auto done = out_.flush(); !done || !options_.follow) return done;
    if (auto served = client::daemon_status(options_.location);
        !served && served.error().code == Code::kGone) {
      note(fmt::format("no daemon serves {}; waiting for one", shown(options_.location)));
    }
    return follow();
  }

 private:
  static void note(const std::string& text) {
    (void)std::fprintf(stderr, "optjournal: %s\n", text.c_str());
  }

  Result<void> open() {
    client::OpenOptions open;
    open.mode = client::OpenOptions::Mode::kMonitor;
    open.command = "optjournal tail";
    auto session = client::Session::open(options_.location, open);
    if (!session) return session.error();
    session_ = *std::move(session);
    folder_ = session_->location().folder;
    struct stat info {};
    if (::stat(folder_.c_str(), &info) != 0) return io_error("stat " + folder_, errno);
    folder_device_ = info.st_dev;
    folder_inode_ = info.st_ino;
    return {};
  }

  void start_at(std::uint64_t end) {
    switch (options_.from) {
      case TailOptions::From::kStart: print_from_ = 0; break;
      case TailOptions::From::kSeq: print_from_ = options_.seq; break;
      case TailOptions::From::kNow: print_from_ = end; break;
      case TailOptions::From::kLast:
        last_wanted_ = options_.lines;
        // Without a filter the last lines are the last records; with one they are known only at the
        // end.
        print_from_ = filtered_ || end < options_.lines ? 0 : end - options_.lines;
        break;
    }
  }

  // The session notices by itself when a daemon comes, goes or is replaced. Ends only when the
  // clock has passed --until and what was published by then is printed.
  Result<void> follow() {
    const std::optional<std::int64_t>& until_us = options_.filter.until_us;
    while (true) {
      const bool past = until_us && utc_us() >= *until_us;
      const Deadline look = past ? Deadline::at_once() : Deadline::in_ms(kLookMs);
      auto more = session_->wait_published(state_.next_seq(), look);
      if (!more) return more.error();
      if (auto done = read_until(past ? session_->published_end() : UINT64_MAX); !done) return done;
      if (auto done = out_.flush(); !done || past) return done;
      if (*more) continue;
      if (auto there = check_folder(); !there) return there;
    }
  }

  // Nothing is ever published in a folder that was removed, nor would a new one of its name be
  // seen.
  Result<void> check_folder() const {
    struct stat now {};
    const char* what = "was removed";
    if (::stat(folder_.c_str(), &now) == 0) {
      if (now.st_dev == folder_device_ && now.st_ino == folder_inode_) return {};
      what = "is another folder now than at the start";
    } else if (errno != ENOENT) {
      return {};
    }
    return not_found(
        fmt::format("{} {}: nothing more comes from the journal that was followed, "
                    "after record {}",
                    shown(folder_), what, state_.next_seq()));
  }

  // Replays, and prints what is to be printed, until `end` or until nothing more is published.
  Result<void> read_until(std::uint64_t end) {
    do {  // at least once, so that a journal that cannot be read says so
      Result<void> problem;
      auto read = session_->read(
          state_.next_seq(),
          [&](std::uint64_t seq, std::span<const std::byte> bytes) {
            if (seq >= end) return false;
            problem = take(seq, bytes);
            return problem.ok();
          },
          kRecordsAtOnce);
      if (!problem) return problem;
      if (!read) {
        if (read.error().code != Code::kGone) return read.error();
        begin_again(read.error());
        continue;
      }
      if (options_.follow && !last_wanted_) {
        if (auto done = out_.flush(); !done) return done;
      }
      if (read->caught_up) break;
    } while (state_.next_seq() < end);
    return {};
  }

  // The region went, and published but unsynced records with it: from the first record that differs
  // on, what follows is another history than the one printed.
  void begin_again(const Error& why) {
    note(why.message);
    if (print_from_ <= state_.next_seq()) {
      print_from_ = std::min({print_from_, printed_first_, session_->synced_end()});
    }
    state_ = replay::State();
    comparing_ = true;
  }

  Result<void> take(std::uint64_t seq, std::span<const std::byte> bytes) {
    RecordText text;
    if (bytes.empty()) {
      state_.apply_tombstone(seq);
      text.seq = seq;
      text.header.time_us = last_time_us_;
      text.bad = "its checksum does not fit";
      return print(text);
    }
    auto record = decoder_.decode(bytes);
    if (!record) {
      if (record.error().code == Code::kIncompatible) return record.error();
      state_.apply_tombstone(seq);
      text.seq = seq;
      text.header.time_us = last_time_us_;
      text.bad = record.error().message;
      return print(text);
    }
    last_time_us_ = record->header.time_us;
    const bool wanted = seq >= print_from_ || filtered_;
    if (wanted) text = describe(seq, *record, state_);
    const auto outcomes = state_.apply(seq, *record);
    if (!wanted) return {};
    complete(text, *record, outcomes, state_);
    if (options_.filter.of_study(text)) study_seen_ = true;
    return seq >= print_from_ ? print(text) : Result<void>();
  }

  Result<void> print(const RecordText& text) {
    if (text.seq < print_from_ || !options_.filter.wants(text)) return {};
    if (was_printed(text)) return {};
    std::string line = (options_.json ? json_of(text) : line_of(text, out_)) + '\n';
    if (!last_wanted_) return out_.write(line);
    if (*last_wanted_ == 0) return {};
    if (last_.size() == *last_wanted_) last_.pop_front();
    last_.push_back(std::move(line));
    return {};
  }

  Result<void> print_last() {
    last_wanted_.reset();
    for (const std::string& line : last_) {
      if (auto done = out_.write(line); !done) return done;
    }
    last_.clear();
    print_from_ = std::max(print_from_, state_.next_seq());
    return {};
  }

  // Remembers what is printed. True: this very record was printed before the region was lost.
  bool was_printed(const RecordText& text) {
    const auto identity = std::pair(text.header.session, text.header.op_no);
    if (comparing_ && !printed_.empty()) {
      const std::uint64_t end = printed_first_ + printed_.size();
      if (text.seq < printed_first_) return true;
      if (text.seq < end && printed_[text.seq - printed_first_] == identity) return true;
      if (text.seq < end) printed_.resize(text.seq - printed_first_);
    }
    comparing_ = false;
    if (printed_.empty()) printed_first_ = text.seq;
    // With a filter there are gaps; they are filled with what no record has.
    while (printed_first_ + printed_.size() < text.seq) printed_.emplace_back(UINT64_MAX, 0);
    printed_.push_back(identity);
    while (printed_.size() > kRememberedRecords) {
      printed_.pop_front();
      ++printed_first_;
    }
    return false;
  }

  const TailOptions& options_;
  Output& out_;
  std::shared_ptr<client::Session> session_;
  std::string folder_;
  dev_t folder_device_ = 0;
  ino_t folder_inode_ = 0;
  schema::Decoder decoder_;
  replay::State state_;
  const bool filtered_;
  std::int64_t last_time_us_ = 0;  // of the last record that was sound
  std::uint64_t print_from_ = 0;
  std::optional<std::uint64_t> last_wanted_;  // set while only the last lines are kept
  std::deque<std::string> last_;
  bool study_seen_ = false;
  bool comparing_ = false;
  std::deque<std::pair<std::uint64_t, std::uint64_t>>
      printed_;  // (session, op_no) of records printed_first_, ...
  std::uint64_t printed_first_ = UINT64_MAX;
};

}  // namespace

Result<void> tail(const TailOptions& options, Output& out) { return Tail(options, out).run(); }

}  // namespace oj::cli
