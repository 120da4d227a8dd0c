// The victim and the bystander of the crash tests: appends numbered records until it is killed or
// told to stop.
//
//   crash_worker LOCATION BOARD WORKER_ID POOL_BYTES SYNC_EVERY
//
// Record n of worker w is setTrialIntermediateValue{trial: w, step: n, value: w * n}, so that a
// replayed journal says whose it is. Every SYNC_EVERYth record waits until it is synced (0: none),
// every 97th is a large one (a text attribute of 40 KB that needs a run of chunks; its key is n).
// Stops when a file BOARD.stop exists.
//
// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "base/clock.h"
#include "libclient/session.h"
#include "schema/codec.h"
#include "tests/process/crash/board.h"

namespace oj::crash {
namespace {

constexpr std::size_t kLargeBytes = 40'000;

// `key` and `large` must outlive the operation, which borrows them.
schema::Operation make_operation(std::uint64_t worker, std::uint64_t n, const std::string& key,
                                 const std::string& large) {
  if (n % 97 == 0) {
    schema::SetTrialUserAttr operation;
    operation.trial = worker;
    operation.attr.key = key;
    operation.attr.value.kind = schema::Value::Kind::kText;
    operation.attr.value.text = large;
    return operation;
  }
  const double value = static_cast<double>(worker) * static_cast<double>(n);
  return schema::SetTrialIntermediateValue{worker, {static_cast<std::int64_t>(n), value}};
}

void note_error(Board* board, const Error& error) {
  if (board->errors.fetch_add(1) == 0) {
    std::snprintf(board->error_text, sizeof board->error_text, "%s: %s", code_name(error.code),
                  error.message.c_str());
  }
}

int run(const std::string& location, const std::string& board_path, std::uint64_t worker,
        std::uint64_t pool_bytes, std::uint64_t sync_every) {
  Board* board = map_board(board_path);
  client::OpenOptions options;
  options.pool_bytes = pool_bytes;
  options.command = "crash_worker";
  auto session = client::Session::open(location, options);
  if (!session) {
    note_error(board, session.error());
    return 1;
  }
  board->running.store(1);
  schema::Encoder encoder;
  const std::string stop_path = board_path + ".stop";
  const std::string large(kLargeBytes, static_cast<char>('a' + worker % 26));
  for (std::uint64_t n = board->acked.load() + 1; n < kRecordsMax; ++n) {
    if (n % 128 == 0 && ::access(stop_path.c_str(), F_OK) == 0) return 0;
    const std::string key = std::to_string(n);
    const std::span<std::byte> record = encoder.encode(make_operation(worker, n, key, large));
    const bool wait = sync_every != 0 && n % sync_every == 0;
    const auto durability = wait ? client::Durability::kSynced : client::Durability::kPublished;
    const std::int64_t before = monotonic_ns();
    const auto appended = (*session)->append(record, durability, Deadline::in_ms(120'000));
    const auto took = static_cast<std::uint64_t>(monotonic_ns() - before);
    if (!appended) {
      note_error(board, appended.error());
      return 1;
    }
    if (!wait && took > board->wait_ns_max.load()) board->wait_ns_max.store(took);
    board->seq[n].store(appended->seq);
    board->acked.store(n);
  }
  return 0;
}

}  // namespace
}  // namespace oj::crash

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: crash_worker LOCATION BOARD WORKER_ID POOL_BYTES SYNC_EVERY\n");
    return 2;
  }
  return oj::crash::run(argv[1], argv[2], std::stoull(argv[3]), std::stoull(argv[4]),
                        std::stoull(argv[5]));
}
