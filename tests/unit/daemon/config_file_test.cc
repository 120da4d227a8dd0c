// SPDX-License-Identifier: MIT
#include "daemon/config_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

#include "daemon/options.h"

namespace oj::daemon {
namespace {

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "config-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    setenv("OPTJOURNAL_CONFIG_ROOT", folder_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("OPTJOURNAL_CONFIG_ROOT");
    std::filesystem::remove_all(folder_);
  }
  std::string write(const std::string& text, const std::string& name = "hpo.toml") {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  Parsed parse(std::vector<std::string> words) {
    std::vector<const char*> pointers = {"optjournald"};
    for (const std::string& word : words) pointers.push_back(word.c_str());
    return parse_options(static_cast<int>(pointers.size()), pointers.data());
  }
  // With `text` as the file, each of `parts` is in the complaint.
  void expect_refused(const std::string& text, const std::vector<std::string>& parts) {
    const Parsed parsed = parse({"--config", write(text), "dir"});
    ASSERT_TRUE(parsed.instead) << text;
    EXPECT_EQ(parsed.instead->exit_code, 2);
    for (const std::string& part : parts) {
      EXPECT_NE(parsed.instead->text.find(part), std::string::npos)
          << "no " << part << " in: " << parsed.instead->text;
    }
  }
  std::string folder_;
};

TEST_F(ConfigFile, GivesEveryOption) {
  const std::string path = write(
      "folder = \"/srv/journal\"  # where\n"
      "runtime-folder = \"/run/elsewhere\"\n"
      "pool = \"512M\"\n"
      "segment-min = 131072\n"
      "segment-max = \"1G\"\n"
      "sync-window-ms = 0\n"
      "idle-exit = 70\n"
      "log-level = \"debug\"\n");
  const Parsed parsed = parse({"--config", path});
  ASSERT_FALSE(parsed.instead) << parsed.instead->text;
  const Options& options = parsed.options;
  EXPECT_EQ(options.folder, "/srv/journal");
  EXPECT_EQ(options.runtime_folder, "/run/elsewhere");
  EXPECT_EQ(options.pool_bytes, 512u << 20);
  EXPECT_EQ(options.segment_bytes_min, 128u << 10);
  EXPECT_EQ(options.segment_bytes_max, 1u << 30);
  EXPECT_EQ(options.sync_window_ms, 0);
  EXPECT_EQ(options.idle_exit_ms, 70);
  EXPECT_EQ(options.level, "debug");
}

TEST_F(ConfigFile, IsBeatenByTheCommandLine) {
  const std::string path = write("pool = \"512M\"\nsync-window-ms = 5\nidle-exit = 9\n");
  const Options options =
      parse({"--config", path, "--pool", "auto", "--idle-exit=never", "dir"}).options;
  EXPECT_EQ(options.pool_bytes, 0u);
  EXPECT_FALSE(options.idle_exit_ms);
  EXPECT_EQ(options.sync_window_ms, 5);
}

TEST_F(ConfigFile, OfAServiceIsFoundByItsName) {
  EXPECT_EQ(parse({"--service", "hpo"}).options.sync_window_ms, 20);  // none there
  write("sync-window-ms = 7\n");
  EXPECT_EQ(parse({"--service", "hpo"}).options.sync_window_ms, 7);
  EXPECT_EQ(parse({"--service", "other"}).options.sync_window_ms, 20);
  const std::string other = write("sync-window-ms = 8\n", "else.toml");
  EXPECT_EQ(parse({"--service", "hpo", "--config", other}).options.sync_window_ms, 8);
}

// Workers of optjournal://hpo would not find it elsewhere.
TEST_F(ConfigFile, OfAServiceMovesNoFolder) {
  write("pool = \"1M\"\nruntime-folder = \"/elsewhere\"\nfolder = \"/data/hpo\"\n");
  const Parsed moved = parse({"--service", "hpo"});
  ASSERT_TRUE(moved.instead);
  EXPECT_EQ(moved.instead->exit_code, 2);
  for (const char* part : {"hpo.toml, line 2: runtime-folder: '/elsewhere'",
                           "that is /run/optjournal/hpo", "hpo.toml, line 3: folder: '/data/hpo'",
                           "that is /var/lib/optjournal/hpo: mount", "optjournal://hpo"})
    EXPECT_NE(moved.instead->text.find(part), std::string::npos) << moved.instead->text;
  write("folder = \"/var/lib/optjournal/hpo\"\nruntime-folder = \"/run/optjournal/hpo\"\n");
  EXPECT_FALSE(parse({"--service", "hpo"}).instead);
  // Where nobody looks by a name, or somebody types it himself, folders are as given.
  const std::string file = write("folder = \"/data\"\n", "other.toml");
  EXPECT_EQ(parse({"--config", file}).options.folder, "/data");
  EXPECT_EQ(parse({"--service", "hpo", "/data"}).options.folder, "/data");
}

TEST_F(ConfigFile, RefusesWithFileLineAndReason) {
  const std::string path = folder_ + "/hpo.toml";
  expect_refused("\npol = 3\n", {path + ", line 2: pol: unknown", "pool", "sync-window-ms"});
  expect_refused("sync-window-ms = 51\n", {path + ", line 1: sync-window-ms: 51", "0 .. 50 ms"});
  expect_refused("sync-window-ms = -1\n", {"line 1", "-1", "0 .. 50 ms"});
  expect_refused("pool = 5.5\n", {"line 1: pool: is a floating-point: give 256K .. 16G bytes"});
  expect_refused("pool = [1]\n", {"line 1: pool: is an array"});
  expect_refused("log-level = 7\n", {"line 1: log-level: is an integer", "quotes"});
  expect_refused("log-level = \"loud\"\n", {"line 1: log-level: 'loud'", "warning"});
  expect_refused("folder = true\n", {"line 1: folder: is a boolean"});
  expect_refused("[section]\npool = 1\n", {"line 1: section: unknown"});
  expect_refused("pool = \"1M\"\npool = \"2M\"\n", {path + ", line 2: ", "pool"});
  expect_refused("pool = \n", {path + ", line 1: "});
  expect_refused("segment-min = \"8M\"\nsegment-max = \"4M\"\n",
                 {"line 1: segment-min: 8388608 bytes is more than", "line 2: segment-max"});
}

TEST_F(ConfigFile, TellsAllThatIsWrongAtOnce) {
  expect_refused("pool = 1\nlevel = 2\nidle-exit = true\n",
                 {"line 1: pool", "line 2: level", "line 3: idle-exit"});
}

TEST_F(ConfigFile, WhatTheCommandLineBeatsMustBeRightAllTheSame) {
  const Parsed parsed = parse({"--config", write("pool = \"1T\"\n"), "--pool", "1M", "dir"});
  ASSERT_TRUE(parsed.instead);
  EXPECT_NE(parsed.instead->text.find("line 1: pool: '1T'"), std::string::npos);
}

TEST_F(ConfigFile, ThatIsNamedMustBeThere) {
  const Parsed parsed = parse({"--config", folder_ + "/none.toml", "dir"});
  ASSERT_TRUE(parsed.instead);
  EXPECT_NE(parsed.instead->text.find("none.toml: No such file"), std::string::npos)
      << parsed.instead->text;
  EXPECT_TRUE(parse({"--config", folder_, "dir"}).instead);
  EXPECT_TRUE(parse({"--config", "", "dir"}).instead);
}

TEST_F(ConfigFile, PrintedShowsEveryOptionAndItsDefault) {
  const Parsed printed = parse({"--print-config"});
  ASSERT_TRUE(printed.instead);
  EXPECT_EQ(printed.instead->exit_code, 0);
  const std::string& text = printed.instead->text;
  for (const OptionEntry& entry : option_table())
    EXPECT_NE(text.find("\n#" + entry.name + " = "), std::string::npos) << entry.name;
  EXPECT_FALSE(parse({"--config", write(text), "dir"}).instead);
  // With the defaults spelled out it says the same.
  const std::string spelled = std::regex_replace(text, std::regex("\n#([a-z-]+ = )"), "\n$1");
  ASSERT_NE(spelled, text);
  const Parsed again = parse({"--config", write(spelled), "dir"});
  ASSERT_FALSE(again.instead) << again.instead->text;
  for (const OptionEntry& entry : option_table()) {
    if (entry.name == "folder") continue;  // given as DIR
    EXPECT_EQ(entry.shown(again.options), entry.shown(Options{})) << entry.name;
  }
}

TEST_F(ConfigFile, PrintedTakesOverWhatIsGiven) {
  write("sync-window-ms = 7\n");
  const Parsed printed =
      parse({"--print-config", "--service", "hpo", "--pool=1G", "--runtime-folder", "/r \"x\\\""});
  ASSERT_TRUE(printed.instead);
  const std::string& text = printed.instead->text;
  for (const char* line :
       {"\npool = \"1G\"\n", "\nsync-window-ms = 7\n", "\n#idle-exit = \"never\"\n",
        "\n#folder = \"/var/lib/optjournal/hpo\"\n", "\nruntime-folder = \"/r \\\"x\\\\\\\"\"\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << " in: " << text;
  }
}

}  // namespace
}  // namespace oj::daemon
