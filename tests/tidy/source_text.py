"""A C++ source cut up for the house rules: code without comments and strings, comments by line.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""
      (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<string>R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"
               | "(?:\\.|[^"\\\n])*"
               | (?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')
    """,
    re.VERBOSE | re.DOTALL,
)


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


@dataclass(frozen=True)
class Statement:
    """Code up to a `;`, `{` or `}`, with the comments that stand on its lines.

    Also with comment lines directly above, and with the comment behind the bare `};` after it,
    which is where clang-format puts that of a lambda of one statement.
    """

    line: int  # of its first character of code, from 1
    code: str
    comment: str


class SourceText:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.split("\n")
        code, last = [], 0
        self.comments: dict[int, str] = {}
        for match in TOKEN.finditer(text):
            code.append(text[last : match.start()])
            if match.group("comment"):
                first_line = text.count("\n", 0, match.start()) + 1
                for offset, part in enumerate(match.group("comment").split("\n")):
                    line = first_line + offset
                    self.comments[line] = self.comments.get(line, "") + part
                code.append(_blank(match.group()))
            elif match.group("string").startswith("'"):
                code.append(_blank(match.group()))
            else:
                # Quotes stay, so that an include and a call with a string argument keep their
                # shape.
                code.append('"' + _blank(match.group())[2:] + '"')
            last = match.end()
        code.append(text[last:])
        self.code = "".join(code)

    def statements(self) -> list[Statement]:
        found, begin = [], 0
        for match in re.finditer(r"[;{}]|(?m:^[ \t]*#[^\n]*$)", self.code):
            if match.group()[0] in ";{}":
                self._add(found, begin, match.end())
            begin = match.end()
        return found

    def _add(self, found: list[Statement], begin: int, end: int) -> None:
        piece = self.code[begin:end]
        stripped = piece.lstrip()
        if not stripped.strip(";{} \t\n"):
            return
        begin_line = first = self.code.count("\n", 0, end - len(stripped)) + 1
        last = self.code.count("\n", 0, end) + 1
        while self._is_comment_line(first - 1):
            first -= 1
        if last < len(self.lines) and re.fullmatch(r"[\s});,]+(//.*)?", self.lines[last]):
            last += 1
        comment = " ".join(self.comments.get(line, "") for line in range(first, last + 1))
        found.append(Statement(begin_line, stripped, comment))

    def _is_comment_line(self, number: int) -> bool:
        return number >= 1 and self.lines[number - 1].lstrip().startswith("//")

    def opening_comment(self) -> str:
        """The comment lines before the first line of code."""
        lines = []
        for number, line in enumerate(self.lines, 1):
            if line.strip() and number not in self.comments:
                break
            lines.append(self.comments.get(number, ""))
        return "\n".join(lines)
