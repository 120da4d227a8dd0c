// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "libclient/session.h"

namespace oj::client {
namespace {

TEST(Location, AFolderIsMadeAbsolute) {
  char buffer[4096];
  ASSERT_NE(::getcwd(buffer, sizeof buffer), nullptr);
  auto relative = parse_location("runs");
  ASSERT_TRUE(relative);
  EXPECT_FALSE(relative->service);
  EXPECT_EQ(relative->folder, std::string(buffer) + "/runs");
  EXPECT_EQ(relative->text, "runs");
  auto absolute = parse_location("/data/runs");
  ASSERT_TRUE(absolute);
  EXPECT_EQ(absolute->folder, "/data/runs");
}

TEST(Location, AServiceHasItsTwoFolders) {
  ::unsetenv("OPTJOURNAL_STATE_ROOT");
  ::unsetenv("OPTJOURNAL_RUNTIME_ROOT");
  auto service = parse_location("optjournal://tuning");
  ASSERT_TRUE(service);
  EXPECT_TRUE(service->service);
  EXPECT_EQ(service->folder, "/var/lib/optjournal/tuning");
  EXPECT_EQ(service->runtime_folder, "/run/optjournal/tuning");
}

TEST(Location, TheRootsOfServicesCanBeMoved) {
  ::setenv("OPTJOURNAL_STATE_ROOT", "/a", 1);
  ::setenv("OPTJOURNAL_RUNTIME_ROOT", "/b", 1);
  auto service = parse_location("optjournal://tuning");
  ::unsetenv("OPTJOURNAL_STATE_ROOT");
  ::unsetenv("OPTJOURNAL_RUNTIME_ROOT");
  ASSERT_TRUE(service);
  EXPECT_EQ(service->folder, "/a/tuning");
  EXPECT_EQ(service->runtime_folder, "/b/tuning");
}

TEST(Location, RefusesWhatIsNeither) {
  const std::string longest(64, 'n');
  EXPECT_TRUE(parse_location("optjournal://" + longest));
  for (const std::string& text :
       {std::string(), std::string("sqlite:///optuna.db"), std::string("optjournal://"),
        std::string("optjournal://../etc"), std::string("optjournal://.hidden"),
        std::string("optjournal://a/b"), "optjournal://" + longest + "n",
        std::string("runs\0x", 6)}) {
    auto parsed = parse_location(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalid);
    EXPECT_NE(parsed.error().message.find("location \""), std::string::npos);
  }
}

}  // namespace
}  // namespace oj::client
