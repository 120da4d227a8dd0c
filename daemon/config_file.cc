// SPDX-License-Identifier: MIT
#include "daemon/config_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include <toml++/toml.h>

namespace oj::daemon {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::size_t kCommentColumns = 78;

std::string known_names() {
  std::string names;
  for (const OptionEntry& entry : option_table())
    names.append(names.empty() ? "" : ", ").append(entry.name);
  return names;
}

std::string indefinite(toml::node_type type) {
  std::ostringstream text;
  text << (type == toml::node_type::array || type == toml::node_type::integer ? "an " : "a ")
       << type;
  return text.str();
}

// The value as the command line would have it, or a complaint.
Result<std::string> text_of(const toml::node& value, const OptionEntry& entry) {
  if (const auto text = value.value_exact<std::string>()) return *text;
  const auto integer = value.value_exact<std::int64_t>();
  if (integer && !entry.is_text) return std::to_string(*integer);
  return Error{Code::kInvalid, "is " + indefinite(value.type()) + ": give " +
                                   (entry.is_text ? "text in quotes" : entry.wanted)};
}

Result<std::string> contents_of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return io_error("cannot read " + path, errno);
  if (!S_ISREG(info.st_mode)) return Error{Code::kInvalid, path + " is no file"};
  if (static_cast<std::size_t>(info.st_size) > kFileBytesMax) {
    return Error{Code::kInvalid, path + " has " + std::to_string(info.st_size) +
                                     " bytes; a configuration has at most " +
                                     std::to_string(kFileBytesMax)};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return io_error("cannot read " + path, errno);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

bool is_bare_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// `text` as comment lines of kCommentColumns, broken between words.
void add_comment(std::string& out, std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  std::istringstream words(text);
  std::size_t columns = 0;  // of the line that `out` ends with
  for (std::string word; words >> word; columns += 1 + word.size()) {
    if (columns == 0 || columns + 1 + word.size() > kCommentColumns) {
      out += columns == 0 ? "#" : "\n#";
      columns = 1;
    }
    out.append(" ").append(word);
  }
  out += "\n";
}

}  // namespace

Result<GivenOptions> read_config(const std::string& path, IfAbsent if_absent) {
  const Result<std::string> contents = contents_of(path);
  if (!contents) {
    if (contents.error().os_error == ENOENT && if_absent == IfAbsent::kNothing)
      return GivenOptions{};
    return contents.error();
  }
  const auto at = [&path](const toml::source_region& source) {
    return path + ", line " + std::to_string(source.begin.line) + ": ";
  };
  const toml::parse_result parsed = toml::parse(*contents, path);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return Error{Code::kInvalid, at(error.source()) + std::string(error.description())};
  }
  GivenOptions given;
  std::multimap<toml::source_index, std::string> complaints;  // by line
  for (const auto& [key, value] : parsed.table()) {
    const std::string name(key.str());
    const std::string origin = at(key.source()) + name;
    const auto complain = [&, line = key.source().begin.line](const std::string& text) {
      complaints.emplace(line, origin + ": " + text);
    };
    const OptionEntry* entry = find_option(name);
    if (entry == nullptr) {
      complain("unknown; there are: " + known_names());
      continue;
    }
    Result<std::string> text = text_of(value, *entry);
    if (!text) {
      complain(text.error().message);
      continue;
    }
    Options scratch;  // also what the command line will beat must be right
    if (const std::string wrong = entry->set(*text, scratch); !wrong.empty()) complain(wrong);
    given.emplace(name, Given{std::move(*text), origin});
  }
  if (complaints.empty()) return given;
  std::string all;
  for (const auto& [line, text] : complaints) all.append(all.empty() ? "" : "\n").append(text);
  return Error{Code::kInvalid, all};
}

std::string config_text(const Options& options, const GivenOptions& given) {
  std::string out =
      "# Configuration of optjournald. What the command line says beats what is said here.\n"
      "# optjournald --service NAME reads /etc/optjournal/NAME.toml; other files with --config.\n"
      "# Lines with # in front show what holds without them.\n";
  for (const OptionEntry& entry : option_table()) {
    const std::string value = entry.shown(options);
    out += "\n";
    add_comment(out, entry.help + (entry.wanted.empty() ? "." : ". " + entry.wanted + "."));
    out += (given.contains(entry.name) ? "" : "#") + entry.name + " = " +
           (!entry.is_text && is_bare_number(value) ? value : quoted(value)) + "\n";
  }
  return out;
}

}  // namespace oj::daemon
