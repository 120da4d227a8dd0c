// Text that others wrote (study names, attributes, commands), made fit for a terminal, for JSON and
// for CSV.
//
// In a journal all text is bytes: UTF-8 in which lone surrogates stand like any other code point,
// and a careless C++ worker may have written bytes that are no UTF-8 at all. Nothing of it may move
// a cursor, end a line, or make the output something else than what it says it is.
//
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace oj::cli {

// One line, safe for a terminal: control characters, line and paragraph separators and marks that
// reorder text become \n, \t, \x1b, \u202e; lone surrogates \ud800; bytes that are no UTF-8 \xff.
std::string shown(std::string_view bytes);
// The same, keeping line breaks: for messages of several lines.
std::string shown_lines(std::string_view bytes);
// As shown(), in double quotes (inner ones escaped) when it is empty or holds a space, a quote, a
// comma or '='.
std::string shown_word(std::string_view bytes);

// A JSON string with its quotes, always valid UTF-8. A lone surrogate is \ud800 (exact: Python's
// json reads it back); a byte that is no UTF-8 becomes \udc80 + (byte - 0x80), as Python's
// surrogateescape has it.
std::string json_string(std::string_view bytes);
// JSON text from Python's json.dumps as valid JSON: bare NaN and infinities become strings. What is
// no JSON even then becomes one string.
std::string json_from_python(std::string_view text);

// One field as RFC 4180 has it, quoted where needed; what is no UTF-8 is written as in
// json_string().
std::string csv_field(std::string_view bytes);

// Terminal columns that shown text takes.
std::size_t width(std::string_view shown_text);
// Cut to `columns` at most, the last one an ellipsis where something was cut.
std::string fitted(std::string_view shown_text, std::size_t columns);

}  // namespace oj::cli
