// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "daemon/option_table.h"

namespace oj::daemon {
namespace {

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "optjournald");
  return parse_options(static_cast<int>(words.size()), words.data());
}

// Each of `parts` is in the complaint.
void expect_refused(const std::vector<const char*>& words, const std::vector<const char*>& parts) {
  const Parsed parsed = parse(words);
  ASSERT_TRUE(parsed.instead);
  EXPECT_EQ(parsed.instead->exit_code, 2);
  for (const char* part : parts) {
    EXPECT_NE(parsed.instead->text.find(part), std::string::npos)
        << "no " << part << " in: " << parsed.instead->text;
  }
}

TEST(ParseBytes, TakesPowersOf1024) {
  EXPECT_EQ(*parse_bytes("0"), 0u);
  EXPECT_EQ(*parse_bytes("4096"), 4096u);
  EXPECT_EQ(*parse_bytes("64K"), 65536u);
  EXPECT_EQ(*parse_bytes("3m"), 3u << 20);
  EXPECT_EQ(*parse_bytes("2GiB"), std::uint64_t{2} << 30);
  EXPECT_EQ(*parse_bytes("1MB"), 1u << 20);
  EXPECT_EQ(*parse_bytes("18446744073709551615"), UINT64_MAX);
}

TEST(ParseBytes, RefusesWhatIsNoNumberOrTooLong) {
  for (const char* text : {"", "K", "-1", "1.5M", "1T", "1MM", "1KX", " 1", "1 ", "0x10",
                           "18446744073709551616", "18014398509481984K", "99999999999999G"}) {
    EXPECT_FALSE(parse_bytes(text)) << text;
  }
}

TEST(Options, HaveTheDocumentedDefaults) {
  const Parsed parsed = parse({"dir"});
  ASSERT_FALSE(parsed.instead);
  EXPECT_EQ(parsed.options.folder, "dir");
  EXPECT_FALSE(parsed.options.embedded);
  EXPECT_FALSE(parsed.options.idle_exit_ms);
  EXPECT_EQ(parsed.options.pool_bytes, 0u);
  EXPECT_EQ(parsed.options.sync_window_ms, 20);
  EXPECT_EQ(parsed.options.segment_bytes_min, 1u << 20);
  EXPECT_EQ(parsed.options.segment_bytes_max, 64u << 20);
  EXPECT_EQ(parsed.options.level, "info");
  EXPECT_EQ(parsed.options.orphans.kind, schema::OrphanPolicy::Kind::kFail);
  EXPECT_EQ(parsed.options.orphan_grace_ms, 0);
}

TEST(Options, EmbeddedEndsWhenIdleUnlessToldOtherwise) {
  EXPECT_EQ(parse({"--embedded", "dir"}).options.idle_exit_ms, 2000);
  EXPECT_EQ(parse({"--embedded", "--idle-exit=0", "dir"}).options.idle_exit_ms, 0);
  EXPECT_EQ(parse({"--idle-exit", "70", "dir"}).options.idle_exit_ms, 70);
}

TEST(Options, AreTakenAtTheirLimits) {
  EXPECT_EQ(parse({"--sync-window-ms=0", "d"}).options.sync_window_ms, 0);
  EXPECT_EQ(parse({"--sync-window-ms=50", "d"}).options.sync_window_ms, 50);
  EXPECT_EQ(parse({"--pool=256K", "d"}).options.pool_bytes, 256u << 10);
  EXPECT_EQ(parse({"--pool=16G", "d"}).options.pool_bytes, std::uint64_t{16} << 30);
  EXPECT_EQ(parse({"--segment-min=64K", "d"}).options.segment_bytes_min, 64u << 10);
  EXPECT_EQ(parse({"--orphan-grace-ms=604800000", "d"}).options.orphan_grace_ms, 604'800'000);
  EXPECT_EQ(parse({"--orphans=retry:1000", "d"}).options.orphans.retries_max, 1000u);
  EXPECT_EQ(parse({"--orphans=keep", "d"}).options.orphans.kind, schema::OrphanPolicy::Kind::kKeep);
}

TEST(Options, OutOfRangeNameOptionValueAndRange) {
  expect_refused({"--sync-window-ms", "51", "d"}, {"--sync-window-ms", "51", "0 .. 50 ms"});
  expect_refused({"--pool", "255K", "d"}, {"--pool", "255K", "256K .. 16G"});
  expect_refused({"--pool", "17G", "d"}, {"--pool", "17G", "256K .. 16G"});
  expect_refused({"--segment-min", "1", "d"}, {"--segment-min", "64K .. 1G"});
  expect_refused({"--idle-exit", "-1", "d"}, {"--idle-exit", "-1"});
  expect_refused({"--idle-exit", "5K", "d"}, {"--idle-exit", "5K"});
  expect_refused({"--log-level", "loud", "d"}, {"--log-level", "loud", "warning"});
  expect_refused({"--orphans", "retry:1001", "d"}, {"--orphans", "retry:1001", "1 .. 1000"});
  expect_refused({"--orphans", "none", "d"}, {"--orphans", "none", "keep, fail"});
  expect_refused({"--orphan-grace-ms", "604800001", "d"}, {"--orphan-grace-ms", "604800000 ms"});
  expect_refused({"--segment-min=8M", "--segment-max=4M", "d"}, {"--segment-min", "--segment-max"});
}

TEST(Options, WrongWordsAreRefused) {
  expect_refused({}, {"DIR"});
  expect_refused({"--nonsense", "d"}, {"--nonsense"});
  expect_refused({"one", "two"}, {"two"});
  expect_refused({"--service", "../etc"}, {"--service", "../etc"});
  expect_refused({"--service", "a/b"}, {"--service", "a/b"});
  expect_refused({"--service", ".hidden"}, {"--service", ".hidden"});
}

TEST(Options, AServiceHasItsPlacesByName) {
  unsetenv("OPTJOURNAL_STATE_ROOT");
  unsetenv("OPTJOURNAL_RUNTIME_ROOT");
  Options options = parse({"--service", "hpo"}).options;
  EXPECT_EQ(options.folder, "/var/lib/optjournal/hpo");
  EXPECT_EQ(options.runtime_folder, "/run/optjournal/hpo");
  setenv("OPTJOURNAL_STATE_ROOT", "/state", 1);
  setenv("OPTJOURNAL_RUNTIME_ROOT", "/runtime", 1);
  options = parse({"--service", "hpo"}).options;
  EXPECT_EQ(options.folder, "/state/hpo");
  EXPECT_EQ(options.runtime_folder, "/runtime/hpo");
  unsetenv("OPTJOURNAL_STATE_ROOT");
  unsetenv("OPTJOURNAL_RUNTIME_ROOT");
  options = parse({"--service", "hpo", "--runtime-folder", "/elsewhere", "/srv/hpo"}).options;
  EXPECT_EQ(options.folder, "/srv/hpo");
  EXPECT_EQ(options.runtime_folder, "/elsewhere");
}

TEST(Options, HelpHasExamplesAndExitCodes) {
  const Parsed parsed = parse({"--help"});
  ASSERT_TRUE(parsed.instead);
  EXPECT_EQ(parsed.instead->exit_code, 0);
  for (const char* part : {"Examples:", "Exit status:", "--runtime-folder", "--sync-window-ms"}) {
    EXPECT_NE(parsed.instead->text.find(part), std::string::npos) << parsed.instead->text;
  }
}

}  // namespace
}  // namespace oj::daemon
