// Goal: whatever is written into the region, or cut off it, while daemon and clients use it, the
// daemon goes on, no client dies or hangs, and only whole records or tombstones reach the disk.
// Method: a real optjournald and two client processes; this process flips bits, scribbles, cuts and
// punches holes, each attack on a journal of its own, and then reads the journal from disk.
// Planted: bytes in a journal that no client appended, a daemon and a client that die.
//
// usage: verify_hostile DAEMON [--fast]
//
// SPDX-License-Identifier: MIT
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>

#include "base/clock.h"
#include "tests/verify/hostile/attacks.h"
#include "tests/verify/hostile/journal_judge.h"
#include "tests/verify/hostile/processes.h"

namespace oj::verify {
namespace {

using Long = unsigned long long;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

std::string last_lines(const std::string& text) {
  std::string tail = text.size() > 600 ? text.substr(text.size() - 600) : text;
  for (char& c : tail) c = c == '\n' ? '|' : c;
  return tail;
}

// Nobody crashed, and what the daemon and the clients leave is right.
Judged end_and_judge(Stage& stage, const Attack& attack) {
  const std::string clients = stage.end_clients(), daemon = stage.end_daemon();
  const std::string said = stage.daemon_said();
  for (const char* bad : {"AddressSanitizer", "runtime error:", "CHECK", "terminate"})
    require(said.find(bad) == std::string::npos, "the daemon says " + last_lines(said));
  require(clients.empty(), clients);
  require(daemon.empty(), daemon + ": " + last_lines(said));
  require(attack.said.empty() || said.find(attack.said) != std::string::npos,
          "the daemon does not say \"" + attack.said + "\"");
  Judged judged = judge_journal(stage.folder());
  require(judged.wrong.empty(), judged.wrong);
  require(!attack.keeps_records || judged.tombstones == 0, "there are tombstones");
  require(!attack.keeps_single || judged.twice == 0,
          std::to_string(judged.twice) + " records are there twice");
  for (int client = 0; attack.keeps_synced && client < kClients; ++client) {
    const Progress& one = stage.progress(client);
    for (std::uint64_t i = 0; i < one.synced_count.load(std::memory_order_seq_cst); ++i) {
      require(judged.numbers.count(one.synced[i].load(std::memory_order_seq_cst)) != 0,
              "a record that was synced is not on disk");
    }
  }
  return judged;
}

bool run(const Attack& attack, const std::string& daemon, bool fast, std::uint64_t seed) {
  const std::int64_t began_ns = monotonic_ns();
  std::optional<Stage> staged;
  try {
    std::mt19937_64 random(seed);
    Stage& stage = staged.emplace(daemon);
    stage.start_daemon();
    stage.start_clients();
    stage.let_them(200);
    require(stage.appended() > 0, "the clients do nothing");
    const std::uint64_t rounds = fast ? attack.rounds_fast : attack.rounds;
    attack.run(stage, random, rounds);
    require(stage.recovers(), "the clients are stuck: " + std::string(stage.progress(0).error));
    const Judged judged = end_and_judge(stage, attack);
    std::uint64_t errors = 0, read = 0, wrong = 0;
    for (int client = 0; client < kClients; ++client) {
      const Progress& one = stage.progress(client);
      errors += one.errors.load(std::memory_order_seq_cst);
      read += one.read.load(std::memory_order_seq_cst);
      wrong += one.wrong.load(std::memory_order_seq_cst);
    }
    std::printf(
        "ok %s: %llu times, %llu appended, %llu read; clients met %llu errors, 0 signals; "
        "on disk %llu records, %llu tombstones, %llu twice; read and then told to be "
        "begun anew %llu; %.1f s\n",
        attack.name.c_str(), static_cast<Long>(rounds), static_cast<Long>(stage.appended()),
        static_cast<Long>(read), static_cast<Long>(errors), static_cast<Long>(judged.records),
        static_cast<Long>(judged.tombstones), static_cast<Long>(judged.twice),
        static_cast<Long>(wrong), static_cast<double>(monotonic_ns() - began_ns) / 1e9);
    return true;
  } catch (const std::exception& failed) {
    std::printf("FAILED %s: %s; the clients' last errors: %s\n", attack.name.c_str(), failed.what(),
                staged ? staged->progress(0).error : "");
    return false;
  }
}

// An attack whose checks must fail.
bool run_mutant(const std::string& name, const Attack& attack, const std::string& daemon) {
  std::mt19937_64 random(1);
  try {
    Stage stage(daemon);
    stage.start_daemon();
    stage.start_clients();
    stage.let_them(200);
    attack.run(stage, random, 1);
    end_and_judge(stage, attack);
  } catch (const std::exception& found) {
    std::printf("ok mutant %s: found: %s\n", name.c_str(), found.what());
    return true;
  }
  std::printf("FAILED mutant %s: not found\n", name.c_str());
  return false;
}

int run_all(const std::string& daemon, bool fast, const std::string& wanted) {
  const char* const given = std::getenv("OJ_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::printf("OJ_SEED=%llu\n", static_cast<Long>(seed));
  bool good = true;
  for (const Attack& attack : attacks()) {
    if (attack.name.find(wanted) != std::string::npos)
      good = run(attack, daemon, fast, seed) && good;
  }
  if (!wanted.empty()) return good ? 0 : 1;
  Attack planted;
  planted.run = forge_record;
  good = run_mutant("a forged record on disk", planted, daemon) && good;
  planted.run = [](Stage& stage, std::mt19937_64&, std::uint64_t) { stage.hurt_daemon(SIGSEGV); };
  good = run_mutant("a daemon that dies", planted, daemon) && good;
  planted.run = [](Stage& stage, std::mt19937_64&, std::uint64_t) { stage.hurt_client(SIGBUS); };
  good = run_mutant("a client that dies of SIGBUS", planted, daemon) && good;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace oj::verify

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc < 2) return 2;
  setenv("OPTJOURNALD", argv[1], 1);  // for clients that find nobody
  const bool fast = argc > 2 && std::strcmp(argv[2], "--fast") == 0;
  return oj::verify::run_all(argv[1], fast, argc > 2 + fast ? argv[2 + fast] : "");
}
