"""The house rules that a machine can check, each a function from files to findings.

A rule takes the path of a file from the repository's root and its text, and gives findings; rules
that look at the whole tree take a Tree. What each rule is for: CONTRIBUTING.md. That each rule
catches what it should: test_house_rules.py plants a violation for every one.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from source_text import SourceText

COLUMNS_MAX = 100

# Who may include whom, and whose headers come in through which door. docs/architecture.md has the
# picture.
ABOVE_ALL = ("base", "shm", "journal", "schema", "replay")
LAYERS: dict[str, tuple[str, ...]] = {
    "base": (),
    "shm": ("base",),
    "journal": ("base",),
    "schema": ("base",),
    "replay": ("base", "schema"),
    "libclient": ABOVE_ALL,
    "daemon": ABOVE_ALL,
    # libclient's public headers speak in terms of base/, schema/ and replay/; the ring and the disk
    # stay behind.
    "cli": ("base", "schema", "replay", "libclient"),
    "python": ("base", "schema", "replay", "libclient"),
}
ANYTHING = ("tests", "bench", "examples")  # may include all layers; nobody includes them

DOORS: dict[str, tuple[str, ...]] = {
    "boost/interprocess/": ("shm",),
    "boost/lockfree/": ("daemon",),
    "capnp/": ("schema", "replay"),
    "kj/": ("schema", "replay"),
    "spdlog/": ("daemon",),
    "prometheus/": ("daemon",),
    "fmt/": ("daemon", "cli"),
    "CLI/": ("daemon", "cli"),
    "toml++/": ("daemon",),
    "nlohmann/": ("cli", "examples"),
    "curses.h": ("cli",),
    "xxhash.h": ("replay",),
    "nanobind/": ("python",),
    "Python.h": ("python",),
    "gtest/": ("tests",),
    "gmock/": (),
    "relacy/": ("tests",),
    "benchmark/": ("bench",),
}
SYSTEM_FOLDERS = ("sys/", "linux/", "asm/", "arpa/", "netinet/", "bits/")

BANNED_WORDS = {
    "head", "tail", "log", "manager", "helper", "helpers", "util", "utils", "common", "misc",
}  # fmt: skip
OPTUNA_LOG = ("daemon", "schema", "replay", "python", "tests")  # may say `log`, see banned_in()
RELAXED_REASONS = ("own", "hint", "stat", "init")
HEADINGS = ("Roles", "Invariants", "Pairs", "Progress", "Crash")

# Spelled apart so that this file passes its own rule.
PRIVATE_PLACES = re.compile(
    r"(?<![\w.])/(?:wor" + r"k|roo" + r"t|hom" + r"e|mn" + r"t)/"
    r"|\bpy" + r"pi\.org|python" + r"hosted\.org|\bcrates" + r"\.io|\bnpm" + r"js\."
)


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass
class Tree:
    """The files that are or could be tracked, by their path from the root."""

    root: Path
    files: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of_checkout(root: Path) -> Tree:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            check=True,
            capture_output=True,
        ).stdout
        tree = Tree(root)
        for name in sorted(filter(None, listing.decode().split("\0"))):
            path = root / name
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                tree.files[name] = "" if b"\0" in data else data.decode("utf-8", "replace")
        return tree

    def exists(self, path: str) -> bool:
        path = path.rstrip("/")
        return path in self.files or any(name.startswith(path + "/") for name in self.files)


FileRule = Callable[[str, SourceText], Iterator[Finding]]
TreeRule = Callable[[Tree], Iterator[Finding]]


def layer_of(path: str) -> str:
    return PurePosixPath(path).parts[0]


def is_cpp(path: str) -> bool:
    return path.endswith((".h", ".cc"))


def is_product(path: str) -> bool:
    """C++ that ships, as opposed to tests and benchmarks."""
    return is_cpp(path) and layer_of(path) in LAYERS


# --- files and words
# -------------------------------------------------------------------------------------------


def columns(path: str, source: SourceText) -> Iterator[Finding]:
    for number, line in enumerate(source.lines, 1):
        if len(line) > COLUMNS_MAX and "://" not in line and 'R"(' not in line:
            yield Finding(path, number, f"{len(line)} columns, at most {COLUMNS_MAX}")


def licence_line(path: str, source: SourceText) -> Iterator[Finding]:
    if "SPDX-License-Identifier: MIT" not in source.text:
        yield Finding(path, 1, "no line `SPDX-License-Identifier: MIT`")


def says_what_it_is(path: str, source: SourceText) -> Iterator[Finding]:
    """A header opens with a comment, and is included once."""
    if not path.endswith(".h"):
        return
    first = source.comments.get(1, "")
    if not first or "SPDX" in first:
        yield Finding(path, 1, "does not open with a comment that says what it is")
    if "#pragma once" not in source.code:
        yield Finding(path, 1, "no #pragma once")


def words_of(identifier: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", identifier)]


def banned_in(identifier: str, path: str) -> set[str]:
    words = words_of(identifier)
    found = BANNED_WORDS.intersection(words)
    # `log` is a function and, where distributions are handled, Optuna's name for a logarithmic
    # scale; spdlog's is the daemon's.
    if words == ["log"] or layer_of(path) in OPTUNA_LOG:
        found.discard("log")
    # The adjective is a word like others; the drawer is not.
    if len(words) > 2:
        found.discard("common")
    # `tail` is the CLI's verb, and liboptjournal's name for following.
    if layer_of(path) in ("cli", "tests", "examples"):
        found.discard("tail")
    return found


def banned_words(path: str, source: SourceText) -> Iterator[Finding]:
    seen = set()
    for number, line in enumerate(source.code.split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue  # other people's headers have other people's names
        for identifier in re.findall(r"(?<!std::)\b[A-Za-z_]\w*", line):
            if identifier not in seen and (found := banned_in(identifier, path)):
                seen.add(identifier)
                yield Finding(
                    path, number, f"`{identifier}`: not one of our words: {sorted(found)}"
                )


def banned_file_names(tree: Tree) -> Iterator[Finding]:
    for path in tree.files:
        for part in PurePosixPath(path).parts:
            if found := banned_in(part, path):
                yield Finding(path, 1, f"file name: not one of our words: {sorted(found)}")


def private_places(tree: Tree) -> Iterator[Finding]:
    for path, text in tree.files.items():
        for number, line in enumerate(text.split("\n"), 1):
            if match := PRIVATE_PLACES.search(line):
                yield Finding(path, number, f"names a place of somebody's own: {match.group()}")


def reasons_at_suppressions(path: str, source: SourceText) -> Iterator[Finding]:
    for number, comment in source.comments.items():
        for match in re.finditer(r"NOLINT\w*(\([^)]*\))?(.*)", comment):
            if "NOLINTEND" in match.group():
                continue
            if not match.group(1) or not re.match(r":? +\w", match.group(2)):
                yield Finding(path, number, "a suppression names its check and gives a reason")


LOOKS_AWAY = re.compile(
    r"suppressions\s*=|_default_suppressions|no_sanitize|__lsan_|AnnotateIgnore|halt_on_error=0"
)


def sanitizers_see_everything(tree: Tree) -> Iterator[Finding]:
    """Their builds run clean with no suppressions."""
    for path, text in tree.files.items():
        if path.startswith(("docs/", "tests/tidy/")):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if match := LOOKS_AWAY.search(line):
                yield Finding(path, number, f"a sanitizer is told to look away: {match.group()}")


# --- include graph
# ---------------------------------------------------------------------------------------------


def include_lines(source: SourceText) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(source.lines, 1):
        if match := re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line):
            yield number, match.group(1), match.group(2)


def include_graph(tree: Tree) -> Iterator[Finding]:
    for path, text in tree.files.items():
        if not is_cpp(path):
            continue
        layer = layer_of(path)
        for number, quote, header in include_lines(SourceText(text)):
            if quote == '"':
                yield from _our_include(tree, path, layer, number, header)
            else:
                yield from _door(path, layer, number, header)


def _our_include(tree: Tree, path: str, layer: str, number: int, header: str) -> Iterator[Finding]:
    source = header.removesuffix(".h") if header.endswith(".capnp.h") else header
    if source not in tree.files:
        yield Finding(path, number, f'"{header}" is no path from the root of the repository')
        return
    target = layer_of(header)
    if layer in ANYTHING and target in (*LAYERS, layer):
        return
    if layer in LAYERS and target in (*LAYERS[layer], layer):
        return
    yield Finding(path, number, f"{layer}/ may not include {target}/")


def _door(path: str, layer: str, number: int, header: str) -> Iterator[Finding]:
    if "/" not in header and "." not in header:
        return  # the standard library
    if header.startswith(SYSTEM_FOLDERS):
        return
    for prefix, layers in DOORS.items():
        if header.startswith(prefix):
            # Tests look at everything; benchmarks and examples show how a user would do it.
            if layer not in (*layers, "tests", "bench"):
                yield Finding(
                    path, number, f"<{header}> may be included by {layers or 'nobody'} only"
                )
            return
    if "/" in header:
        yield Finding(path, number, f"<{header}>: a third-party header without a door (DOORS)")


def own_header_first(path: str, source: SourceText) -> Iterator[Finding]:
    includes = list(include_lines(source))
    own = path.removesuffix(".cc") + ".h"
    if path.endswith(".cc") and any(header == own for _, _, header in includes):
        number, _, first = includes[0]
        if first != own:
            yield Finding(path, number, f'the own header "{own}" comes first')


# --- shared memory
# ---------------------------------------------------------------------------------------------

ATOMIC_CALL = re.compile(
    r"(?:\.|->)\s*"
    r"(load|store|exchange|fetch_(?:add|sub|and|or|xor)|compare_exchange_(?:weak|strong))"
    r"\s*\("
)
ORDER = re.compile(r"memory_order(?:_|::)(\w+)")


def arguments_at(code: str, opening: int) -> str:
    """The text between the parenthesis at `opening` and the one that closes it."""
    depth = 0
    for at in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return code[opening + 1 : at]
    return code[opening + 1 :]


def orders_written_out(path: str, source: SourceText) -> Iterator[Finding]:
    for match in ATOMIC_CALL.finditer(source.code):
        arguments = arguments_at(source.code, match.end() - 1)
        line = source.code.count("\n", 0, match.start()) + 1
        wanted = 2 if match.group(1).startswith("compare_exchange") else 1
        given = len(re.findall(r"\bmemory_order|\border\b", arguments))
        if match.group(1) == "load" and arguments.strip():
            continue  # an order in a variable, or a load() of ours that takes a position
        if given < wanted:
            yield Finding(path, line, f"{match.group(1)}() without its memory order written out")
    atomics = re.findall(r"\batomic(?:_ref)?<[^;>]*>\s+(\w+)\s*[;({=]", source.code)
    for name in set(atomics):
        for match in re.finditer(
            rf"(?:\+\+|--)\s*{name}\b|\b{name}\s*(?:\+\+|--|[-+|&^]=)", source.code
        ):
            line = source.code.count("\n", 0, match.start()) + 1
            yield Finding(
                path, line, f"an operator on the atomic `{name}`: its order is not written"
            )


def forbidden_concurrency(path: str, source: SourceText) -> Iterator[Finding]:
    reasons = {
        r"\bvolatile\b": "volatile: orders nothing; use an atomic",
        r"\batomic_thread_fence\b": "a fence: ThreadSanitizer cannot see it",
        r"\batomic_(?:flag_)?(?:wait|notify)\w*\b": "std::atomic wait: private to a process",
    }
    if layer_of(path) == "shm":
        reasons[r"(?:\.|->)(?:wait|notify_one|notify_all)\s*\("] = (
            "std::atomic wait: private to a process in libstdc++ 12; use the futex"
        )
    for pattern, reason in reasons.items():
        for match in re.finditer(pattern, source.code):
            before = source.code[max(0, match.start() - 8) : match.start()]
            if "volatile" in pattern and re.search(r"asm\s*$", before):
                continue  # `asm volatile` is something else
            yield Finding(path, source.code.count("\n", 0, match.start()) + 1, reason)


def pair_names(opening: str) -> set[str]:
    """First words of the lines under `Pairs`, up to the next heading."""
    names, inside = set(), False
    for line in opening.split("\n"):
        body = line.removeprefix("//")
        heading = re.match(r" ?(\w+)\b", body)
        if heading and heading.group(1) in HEADINGS:
            inside = heading.group(1) == "Pairs"
            body = body[heading.end() :] if inside else ""
        if inside and (match := re.match(r"\s+([\w.\[\]`]+)", body)):
            names.add(match.group(1).strip("`"))
    return names


def _partner(path: str) -> str:
    return path[:-2] + "cc" if path.endswith(".h") else path[:-2] + "h"


def opening_of_pair(tree: Tree, path: str) -> str:
    """The opening comments of a header and its source, which describe one concept."""
    texts = [tree.files[name] for name in (path, _partner(path)) if name in tree.files]
    return "\n".join(SourceText(text).opening_comment() for text in texts)


def commented_orders(tree: Tree) -> Iterator[Finding]:
    """Every order has a comment in its statement: relaxed says why, others name their pair."""
    product = [path for path in tree.files if is_product(path)]
    names: dict[str, set[str]] = {}
    for path in product:
        names.setdefault(layer_of(path), set()).update(pair_names(opening_of_pair(tree, path)))
    for path in product:
        for statement in SourceText(tree.files[path]).statements():
            orders = ORDER.findall(statement.code)
            if not orders or re.match(r"(using|constexpr)\b", statement.code):
                continue
            words = set(re.findall(r"\w+", statement.comment))
            if not words:
                yield Finding(path, statement.line, f"{orders[0]} without a comment on its line")
                continue
            accepted = names[layer_of(path)] | {"init"}
            if set(orders) == {"relaxed"}:
                accepted |= set(RELAXED_REASONS)
            if layer_of(path) != "shm":
                accepted |= {"pairs"}  # between threads: `pairs with stop()`
            if not words.intersection(accepted):
                yield Finding(
                    path,
                    statement.line,
                    f"{orders[0]}: the comment names neither a pair listed under Pairs in its "
                    f"layer nor, if relaxed, one of {', '.join(RELAXED_REASONS)}",
                )


def complete_openings(tree: Tree) -> Iterator[Finding]:
    """A file that orders shared memory says who takes part, what holds, what pairs, who waits, and
    what a crash leaves."""
    for path, text in tree.files.items():
        # Elsewhere atomics are between threads of one process; commented_orders asks for their
        # pairs.
        if layer_of(path) != "shm" or not is_cpp(path):
            continue
        if not set(ORDER.findall(SourceText(text).code)) - {"relaxed"}:
            continue
        opening = opening_of_pair(tree, path)
        # Where one protocol takes several files, one of them tells it and the others name that one.
        for header in re.findall(r"\b(?:shm/)?(\w+\.h)\b", opening):
            opening += "\n" + SourceText(tree.files.get(f"shm/{header}", "")).opening_comment()
        missing = [h for h in HEADINGS if not re.search(rf"^// ?{h}\b", opening, re.MULTILINE)]
        if missing:
            yield Finding(path, 1, f"orders memory; its opening comment lacks {', '.join(missing)}")


# --- documents
# -------------------------------------------------------------------------------------------------


def decisions_listed(tree: Tree) -> Iterator[Finding]:
    index = "docs/decisions/README.md"
    listed = tree.files.get(index, "")
    for path, text in tree.files.items():
        match = re.fullmatch(r"docs/decisions/((\d{4})-[a-z0-9-]+\.md)", path)
        if match is None:
            if path.startswith("docs/decisions/") and path not in (
                index,
                "docs/decisions/template.md",
            ):
                yield Finding(path, 1, "a decision's file is named NNNN-what-was-decided.md")
            continue
        if f"({match.group(1)})" not in listed:
            yield Finding(path, 1, f"not listed in {index}")
        if not re.match(rf"# {match.group(2)}:? \S", text):
            yield Finding(path, 1, f"does not open with `# {match.group(2)}: what was decided`")
        if not re.search(r"## Decision|\*\*Decided:", text):
            yield Finding(path, 1, "lacks `## Decision`, or `**Decided:**` in a short one")
    numbers = [m.group(1) for p in tree.files if (m := re.match(r"docs/decisions/(\d{4})-", p))]
    for number in {n for n in numbers if numbers.count(n) > 1}:
        yield Finding(index, 1, f"two decisions have the number {number}")


def links_lead_somewhere(tree: Tree) -> Iterator[Finding]:
    for path, text in tree.files.items():
        if not path.endswith(".md") or path.endswith("/template.md"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if "://" in target or target.startswith("mailto:"):
                    continue
                parts: list[str] = []
                for part in (PurePosixPath(path).parent / target).parts:
                    parts = parts[:-1] if part == ".." else [*parts, part]
                if not tree.exists("/".join(parts)):
                    yield Finding(path, number, f"link to {target}, which does not exist")


def documented_commands_exist(tree: Tree) -> Iterator[Finding]:
    """What README.md and CONTRIBUTING.md tell people to type: targets, CLI verbs, paths of ours."""
    targets = set(re.findall(r"^([a-z]+):", tree.files.get("Makefile", ""), re.MULTILINE))
    cli = "\n".join(text for path, text in tree.files.items() if path.startswith("cli/"))
    folders = {PurePosixPath(path).parts[0] for path in tree.files if "/" in path}
    for path in ("README.md", "CONTRIBUTING.md"):
        for number, line in enumerate(tree.files.get(path, "").split("\n"), 1):
            typed = line if line.startswith("    ") else " ".join(re.findall(r"`([^`]+)`", line))
            for target in re.findall(r"\bmake ([a-z]+)", typed):
                if target not in targets:
                    yield Finding(path, number, f"`make {target}`: the Makefile has no such target")
            for verb in re.findall(r"(?<![\w/.-])optjournal ([a-z]+)", typed):
                if f'"{verb}"' not in cli:
                    yield Finding(path, number, f"`optjournal {verb}`: cli/ has no such verb")
            for place in re.findall(r"(?<![\w/:.~-])([\w.]+/[\w./-]*\w)", typed):
                if place.split("/")[0] in folders and not tree.exists(place):
                    yield Finding(path, number, f"`{place}` does not exist")


CLAIM = re.compile(r"^//   ([A-Z]\d)  ", re.MULTILINE)
CLAIM_ROW = re.compile(r"\| ([A-Z]\d) \|")
CLAIMS_PAGE = "docs/verification.md"


def claims_are_looked_at(tree: Tree) -> Iterator[Finding]:
    """Each claim of a header of shm/ has a line in the table, with a fault that is found."""
    checks = "\n".join(
        text for path, text in tree.files.items() if path.startswith("tests/verify/")
    )
    rows: dict[str, tuple[int, str]] = {}
    inside = False
    for number, line in enumerate(tree.files.get(CLAIMS_PAGE, "").split("\n"), 1):
        if line.startswith("## "):
            inside = line.startswith("## Claims")
        elif inside and (match := CLAIM_ROW.match(line)):
            rows[match[1]] = (number, line.split("|")[-2])
    made = {
        label: path
        for path, text in tree.files.items()
        if path.startswith("shm/") and path.endswith(".h")
        for label in CLAIM.findall(text)
    }
    for label, path in made.items():
        if label not in rows:
            yield Finding(path, 1, f"claims {label}, which has no line in {CLAIMS_PAGE}")
    for label, (line, planted) in rows.items():
        faults = re.findall(r"`([^`]+)`", planted)
        if label not in made:
            yield Finding(CLAIMS_PAGE, line, f"no header in shm/ claims {label}")
        if not faults:
            yield Finding(CLAIMS_PAGE, line, f"no fault is planted for {label}")
        for fault in faults:
            if fault not in checks:
                yield Finding(CLAIMS_PAGE, line, f"tests/verify plants no {fault}")


SOURCES = (".h", ".cc", ".py", ".pyi", ".sh", ".capnp")
FILE_RULES: dict[str, tuple[FileRule, Callable[[str], bool]]] = {
    "columns": (columns, lambda p: p.endswith((*SOURCES, "CMakeLists.txt"))),
    "licence_line": (licence_line, lambda p: p.endswith(SOURCES) or p == ".ci/run"),
    "says_what_it_is": (says_what_it_is, is_cpp),
    "banned_words": (banned_words, is_cpp),
    "reasons_at_suppressions": (reasons_at_suppressions, is_cpp),
    "own_header_first": (own_header_first, is_cpp),
    "orders_written_out": (orders_written_out, is_product),
    "forbidden_concurrency": (forbidden_concurrency, is_product),
}
TREE_RULES: dict[str, TreeRule] = {
    "banned_file_names": banned_file_names,
    "private_places": private_places,
    "sanitizers_see_everything": sanitizers_see_everything,
    "include_graph": include_graph,
    "commented_orders": commented_orders,
    "complete_openings": complete_openings,
    "decisions_listed": decisions_listed,
    "links_lead_somewhere": links_lead_somewhere,
    "documented_commands_exist": documented_commands_exist,
    "claims_are_looked_at": claims_are_looked_at,
}


def check(rule: str, tree: Tree) -> list[Finding]:
    if rule in TREE_RULES:
        return list(TREE_RULES[rule](tree))
    look, applies = FILE_RULES[rule]
    return [f for p, text in tree.files.items() if applies(p) for f in look(p, SourceText(text))]
