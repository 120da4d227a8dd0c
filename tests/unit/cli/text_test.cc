// What others wrote must never do anything to a terminal, to JSON or to CSV.
//
// SPDX-License-Identifier: MIT
#include "cli/text.h"

#include <clocale>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace oj::cli {
namespace {

TEST(Shown, KeepsOrdinaryText) {
  EXPECT_EQ(shown("digits 1"), "digits 1");
  EXPECT_EQ(shown("日本 é 🙂"), "日本 é 🙂");
  EXPECT_EQ(shown(""), "");
}

TEST(Shown, EscapesWhatWouldMoveTheCursor) {
  EXPECT_EQ(shown("a\nb\tc\x1b[31m\x7f"), "a\\nb\\tc\\x1b[31m\\x7f");
  EXPECT_EQ(shown(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(shown("\xc2\x85"), "\\x85");        // NEL, of C1
  EXPECT_EQ(shown("\xe2\x80\xae"), "\\u202e");  // right-to-left override
  EXPECT_EQ(shown("\xe2\x80\xa8"), "\\u2028");  // line separator
  EXPECT_EQ(shown_lines("a\nb\x1b"), "a\nb\\x1b");
}

TEST(Shown, EscapesWhatIsNoUtf8) {
  EXPECT_EQ(shown("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(shown("\xc0\xaf"), "\\xc0\\xaf");  // overlong
  EXPECT_EQ(shown("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(shown("\xed\xa0\x80"), "\\ud800");  // a lone surrogate, as journals have them
}

TEST(ShownWord, QuotesWhatIsNotOneWord) {
  EXPECT_EQ(shown_word("digits"), "digits");
  EXPECT_EQ(shown_word(""), "\"\"");
  EXPECT_EQ(shown_word("two goals"), "\"two goals\"");
  EXPECT_EQ(shown_word("say \"x\""), "\"say \\\"x\\\"\"");
}

TEST(JsonString, EscapesAsJsonWantsIt) {
  EXPECT_EQ(json_string("a\"\\\n"), "\"a\\\"\\\\\\n\"");
  EXPECT_EQ(json_string("\xed\xa0\x80"), "\"\\ud800\"");
  EXPECT_EQ(json_string("\xff"), "\"\\udcff\"");
  EXPECT_EQ(json_string("é"), "\"é\"");
}

TEST(JsonString, IsAlwaysUtf8WithoutControlCharacters) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char& c : bytes)
      c = static_cast<char>(random() % 3 == 0 ? random() % 256 : 0xc0 + random() % 64);
    const std::string json = json_string(bytes);
    for (const char c : json) ASSERT_GE(static_cast<unsigned char>(c), 0x20);
    ASSERT_EQ(shown(json), json) << "not UTF-8, or with what disturbs";
  }
}

TEST(JsonFromPython, QuotesWhatJsonLacks) {
  EXPECT_EQ(json_from_python("[NaN, Infinity, -Infinity, -1]"),
            "[\"NaN\", \"Infinity\", \"-Infinity\", -1]");
  EXPECT_EQ(json_from_python(R"({"NaN \" NaN": NaN})"), R"({"NaN \" NaN": "NaN"})");
  EXPECT_EQ(json_from_python("1000000000000000000000000000000"), "1000000000000000000000000000000");
}

TEST(JsonFromPython, MakesAStringOfWhatIsNoJson) {
  for (const char* text : {"{", "[1,]", "nan", "\"", "NaNNaN", "", "[\"\\", "{\"a\":\n1}"}) {
    const std::string json = json_from_python(text);
    EXPECT_TRUE(nlohmann::json::accept(json)) << text;
    EXPECT_EQ(nlohmann::json::parse(json), text);
  }
}

TEST(CsvField, QuotesWhatRfc4180Wants) {
  EXPECT_EQ(csv_field("plain"), "plain");
  EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
  EXPECT_EQ(csv_field("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(csv_field("a\r\nb"), "\"a\r\nb\"");
  EXPECT_EQ(csv_field("\xed\xa0\x80"), "\\ud800");
}

TEST(Width, CountsColumnsNotBytes) {
  ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
  EXPECT_EQ(width("abc"), 3u);
  EXPECT_EQ(width("é"), 1u);
  EXPECT_EQ(width("日本"), 4u);
}

TEST(Fitted, CutsOnlyWhatIsTooWide) {
  ASSERT_NE(std::setlocale(LC_CTYPE, "C.UTF-8"), nullptr);
  EXPECT_EQ(fitted("abcd", 4), "abcd");
  EXPECT_EQ(fitted("abcde", 4), "abc…");
  EXPECT_EQ(fitted("日本語", 4), "日…");
}

}  // namespace
}  // namespace oj::cli
