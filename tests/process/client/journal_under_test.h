// A folder for one test, the daemon that serves it, and processes that do something with it.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "libclient/session.h"
#include "libclient/storage.h"

namespace oj::client {

class JournalUnderTest {
 public:
  JournalUnderTest();
  ~JournalUnderTest();  // ends the daemon, removes the folder
  JournalUnderTest(const JournalUnderTest&) = delete;
  JournalUnderTest& operator=(const JournalUnderTest&) = delete;

  const std::string& path() const { return path_; }  // absent at first
  OpenOptions options() const;  // with the daemon that was built with this test
  std::shared_ptr<Session> open(OpenOptions::Mode mode = OpenOptions::Mode::kWorker) const;
  std::shared_ptr<Storage> storage() const;

  pid_t daemon() const;  // 0: nobody serves
  std::string runtime_folder() const;
  void signal_daemon(int signal) const;
  void end_daemon() const;  // SIGTERM, and waits until nobody serves

 private:
  std::string base_, path_;
};

// Runs `body(index)` in `count` processes forked at once; their exit statuses. kQuiet: as
// testing::quiet_fork(). kAtAnyMoment: for tests whose other threads are busy on purpose; not
// under AddressSanitizer.
enum class Moment { kQuiet, kAtAnyMoment };
std::vector<int> in_processes(int count, const std::function<int(int)>& body,
                              Moment moment = Moment::kQuiet);

// A record with one operation that carries `number` (a study attribute of a study that need not
// exist).
Result<Appended> append_number(Session& session, std::int64_t number, Durability durability,
                               Deadline deadline);
// All such numbers in the journal, in order; stops at the first error, which is returned in
// `error`.
std::vector<std::int64_t> read_numbers(Session& session, std::uint64_t from,
                                       Error* error = nullptr);

}  // namespace oj::client
