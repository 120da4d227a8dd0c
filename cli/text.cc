// SPDX-License-Identifier: MIT
#include "cli/text.h"

#include <wchar.h>

#include <cstdint>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace oj::cli {
namespace {

struct Piece {
  enum class Kind : std::uint8_t { kChar, kSurrogate, kByte };
  Kind kind = Kind::kByte;
  std::uint32_t code = 0;  // the code point, or the byte
  std::string_view bytes;
};

std::size_t utf8_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

// The first piece of `rest`, which is not empty. What is not well-formed counts as one byte.
Piece first_piece(std::string_view rest) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const Piece bad{Piece::Kind::kByte, byte(0), rest.substr(0, 1)};
  const std::size_t length = utf8_length(byte(0));
  if (length == 0 || length > rest.size()) return bad;
  if (length == 1) return {Piece::Kind::kChar, byte(0), rest.substr(0, 1)};
  std::uint32_t code = byte(0) & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return bad;
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kSmallest[length] || code > 0x10ffff) return bad;
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return {surrogate ? Piece::Kind::kSurrogate : Piece::Kind::kChar, code, rest.substr(0, length)};
}

template <class Use>
void each_piece(std::string_view bytes, Use&& use) {
  while (!bytes.empty()) {
    const Piece piece = first_piece(bytes);
    use(piece);
    bytes.remove_prefix(piece.bytes.size());
  }
}

// Characters that would move, hide or reorder what stands around them.
bool disturbs(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
         code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

void append_shown(std::string& out, const Piece& piece) {
  if (piece.kind == Piece::Kind::kByte) {
    out += fmt::format("\\x{:02x}", piece.code);
  } else if (piece.kind == Piece::Kind::kSurrogate) {
    out += fmt::format("\\u{:04x}", piece.code);
  } else if (!disturbs(piece.code)) {
    out += piece.bytes;
  } else if (piece.code == '\n') {
    out += "\\n";
  } else if (piece.code == '\t') {
    out += "\\t";
  } else {
    out += piece.code < 0x100 ? fmt::format("\\x{:02x}", piece.code)
                              : fmt::format("\\u{:04x}", piece.code);
  }
}

void append_unpaired(std::string& out, const Piece& piece) {
  const std::uint32_t code = piece.kind == Piece::Kind::kByte ? 0xdc00u + piece.code : piece.code;
  out += fmt::format("\\u{:04x}", code);
}

// `text` with NaN, Infinity and -Infinity outside of strings put in quotes.
std::string with_quoted_specials(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < text.size())
        out += text[++i];
      else if (c == '"')
        in_string = false;
      continue;
    }
    std::string_view special;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (text.substr(i).starts_with(word)) special = word;
    }
    if (special.empty()) {
      out += c;
      in_string = c == '"';
    } else {
      out += fmt::format("\"{}\"", special);
      i += special.size() - 1;
    }
  }
  return out;
}

}  // namespace

std::string shown(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  each_piece(bytes, [&](const Piece& piece) { append_shown(out, piece); });
  return out;
}

std::string shown_lines(std::string_view bytes) {
  std::string out;
  each_piece(bytes, [&](const Piece& piece) {
    if (piece.code == '\n')
      out += '\n';
    else
      append_shown(out, piece);
  });
  return out;
}

std::string shown_word(std::string_view bytes) {
  if (!bytes.empty() && bytes.find_first_of(" \"',=") == std::string_view::npos)
    return shown(bytes);
  std::string out = "\"";
  each_piece(bytes, [&](const Piece& piece) {
    if (piece.code == '"') out += '\\';
    append_shown(out, piece);
  });
  return out + '"';
}

std::string json_string(std::string_view bytes) {
  std::string out = "\"";
  each_piece(bytes, [&](const Piece& piece) {
    if (piece.kind != Piece::Kind::kChar) {
      append_unpaired(out, piece);
    } else if (piece.code == '"' || piece.code == '\\') {
      out += '\\';
      out += piece.bytes;
    } else if (piece.code == '\n') {
      out += "\\n";
    } else if (disturbs(piece.code)) {
      out += fmt::format("\\u{:04x}", piece.code);
    } else {
      out += piece.bytes;
    }
  });
  return out + '"';
}

std::string json_from_python(std::string_view text) {
  std::string fixed = with_quoted_specials(text);
  // Python's json.dumps writes one line of ASCII; anything else would break our one line a record.
  for (const char c : fixed) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e)
      return json_string(text);
  }
  return nlohmann::json::accept(fixed) ? fixed : json_string(text);
}

std::string csv_field(std::string_view bytes) {
  std::string plain;
  each_piece(bytes, [&](const Piece& piece) {
    if (piece.kind == Piece::Kind::kChar)
      plain += piece.bytes;
    else
      append_unpaired(plain, piece);
  });
  if (plain.find_first_of("\",\r\n ") == std::string::npos) return plain;
  std::string out = "\"";
  for (const char c : plain) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::size_t width(std::string_view shown_text) {
  std::size_t columns = 0;
  each_piece(shown_text, [&](const Piece& piece) {
    const int wide = piece.code < 0x80 ? 1 : wcwidth(static_cast<wchar_t>(piece.code));
    columns += wide < 0 ? 1 : static_cast<std::size_t>(wide);
  });
  return columns;
}

std::string fitted(std::string_view shown_text, std::size_t columns) {
  if (width(shown_text) <= columns) return std::string(shown_text);
  std::string out;
  std::size_t used = 0;
  while (!shown_text.empty()) {
    const Piece piece = first_piece(shown_text);
    const std::size_t wide = width(piece.bytes);
    if (used + wide + 1 > columns) break;
    used += wide;
    out += piece.bytes;
    shown_text.remove_prefix(piece.bytes.size());
  }
  return out + "…";
}

}  // namespace oj::cli
