"""The tree keeps the house rules; each rule catches what was planted and passes what is right.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from pathlib import Path

import pytest
from house_rules import FILE_RULES, TREE_RULES, Tree, check

ROOT = Path(__file__).resolve().parents[2]
RULES = [*FILE_RULES, *TREE_RULES]


@pytest.fixture(scope="session")
def checkout() -> Tree:
    return Tree.of_checkout(ROOT)


@pytest.mark.parametrize("rule", RULES)
def test_the_tree_keeps_the_rule(rule: str, checkout: Tree) -> None:
    findings = check(rule, checkout)
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_the_tree_that_is_checked_is_ours(checkout: Tree) -> None:
    # A wrong root or an empty listing would let everything pass.
    assert {"base/result.h", "Makefile", "tests/tidy/house_rules.py"} <= checkout.files.keys()


OPENING = """// Publish.
//
// Roles
//   producer   any worker
// Invariants
//   I1  something
// Pairs
//   ticket   publish acq_rel -> read acquire
// Progress   lock-free.
// Crash      nothing.
#include <atomic>
"""
CLAIMS = "# Verification\n\n## Claims\n\n| claim | by | planted |\n|---|---|---|\n"
SPDX = "// What it is.\n// SPDX-License-Identifier: MIT\n#pragma once\n"
DECISION = "# 0001: The ring is a ring\n## Context\n## Decision\n## Rejected\n"

# rule -> files that break it (each list is one case).
PLANTED: list[tuple[str, dict[str, str]]] = [
    ("columns", {"base/a.h": "// " + "x" * 98}),
    ("columns", {"python/a.py": "x = '" + "x" * 100 + "'"}),
    ("licence_line", {"base/a.h": "// A thing.\n#pragma once\n"}),
    ("licence_line", {"tools/a.sh": "#!/bin/sh\n"}),
    ("says_what_it_is", {"base/a.h": "#pragma once\n"}),
    ("says_what_it_is", {"base/a.h": "// SPDX-License-Identifier: MIT\n#pragma once\n"}),
    ("says_what_it_is", {"base/a.h": "// A thing.\n"}),
    ("banned_words", {"shm/a.cc": "int ring_head = 0;"}),
    ("banned_words", {"shm/a.cc": "struct TailPointer {};"}),
    ("banned_words", {"journal/a.cc": "class SegmentManager;"}),
    ("banned_words", {"libclient/a.cc": "void open_log();"}),
    ("banned_words", {"replay/a.cc": "namespace oj::util {}"}),
    ("banned_words", {"replay/a.cc": "namespace oj::common {}"}),
    ("banned_file_names", {"base/string_util.h": ""}),
    ("banned_file_names", {"shm/misc/ring.h": ""}),
    ("banned_file_names", {"tests/helpers.py": ""}),
    ("private_places", {"docs/a.md": "see /wo" + "rk/shared/design.md"}),
    ("private_places", {"tools/a.sh": "curl https://py" + "pi.org/simple"}),
    ("reasons_at_suppressions", {"base/a.cc": "f();  // NOLINT\n"}),
    ("reasons_at_suppressions", {"base/a.cc": "f();  // NOLINT(bugprone-x)\n"}),
    ("sanitizers_see_everything", {"shm/a.cc": '[[gnu::no_sanitize("thread")]] void f();'}),
    ("sanitizers_see_everything", {"tools/a.sh": "export TSAN_OPTIONS=suppressions=tsan.txt"}),
    ("include_graph", {"shm/a.cc": '#include "journal/b.h"', "journal/b.h": ""}),
    ("include_graph", {"base/a.cc": '#include "shm/b.h"', "shm/b.h": ""}),
    ("include_graph", {"daemon/a.cc": '#include "libclient/b.h"', "libclient/b.h": ""}),
    ("include_graph", {"libclient/a.cc": '#include "daemon/b.h"', "daemon/b.h": ""}),
    ("include_graph", {"cli/a.cc": '#include "shm/b.h"', "shm/b.h": ""}),
    ("include_graph", {"replay/a.cc": '#include "tests/b.h"', "tests/b.h": ""}),
    ("include_graph", {"shm/a.cc": '#include "b.h"', "shm/b.h": ""}),
    ("include_graph", {"shm/a.cc": '#include "../base/b.h"', "base/b.h": ""}),
    ("include_graph", {"journal/a.cc": "#include <capnp/message.h>"}),
    ("include_graph", {"libclient/a.cc": "#include <spdlog/spdlog.h>"}),
    ("include_graph", {"replay/a.cc": "#include <boost/lockfree/queue.hpp>"}),
    ("include_graph", {"shm/a.cc": "#include <absl/strings/str_cat.h>"}),
    ("include_graph", {"examples/a.cc": "#include <gtest/gtest.h>"}),
    ("own_header_first", {"shm/a.cc": '#include <string>\n#include "shm/a.h"'}),
    ("orders_written_out", {"shm/a.cc": "x.load();"}),
    ("orders_written_out", {"shm/a.cc": "x->store(f(1, 2));"}),
    ("orders_written_out", {"shm/a.cc": "x.fetch_add(1);"}),
    ("orders_written_out", {"shm/a.cc": "x.compare_exchange_strong(a, b);"}),
    (
        "orders_written_out",
        {"shm/a.cc": "x.compare_exchange_weak(a, b, std::memory_order_acq_rel);"},
    ),
    ("orders_written_out", {"daemon/a.cc": "std::atomic<int> count_{0};\nvoid f() { ++count_; }"}),
    ("orders_written_out", {"daemon/a.cc": "std::atomic<int> n = 0;\nvoid f() { n += 2; }"}),
    ("forbidden_concurrency", {"shm/a.cc": "volatile int x;"}),
    ("forbidden_concurrency", {"shm/a.cc": "std::atomic_thread_fence(std::memory_order_seq_cst);"}),
    ("forbidden_concurrency", {"shm/a.cc": "word.wait(0, std::memory_order_acquire);"}),
    ("forbidden_concurrency", {"shm/a.cc": "word->notify_all();"}),
    ("commented_orders", {"shm/a.cc": OPENING + "x.load(std::memory_order_acquire);"}),
    ("commented_orders", {"shm/a.cc": OPENING + "x.load(std::memory_order_relaxed);"}),
    ("commented_orders", {"shm/a.cc": OPENING + "x.load(std::memory_order_acquire);  // because"}),
    ("commented_orders", {"shm/a.cc": OPENING + "x.load(std::memory_order_relaxed);  // fast"}),
    ("commented_orders", {"shm/a.cc": "x.load(std::memory_order_acquire);  // pairs with stop()"}),
    # A comment on the next statement is not this one's.
    (
        "commented_orders",
        {"shm/a.cc": OPENING + "x.load(std::memory_order_acquire);\ny();  // ticket"},
    ),
    ("complete_openings", {"shm/a.cc": "x.load(std::memory_order_acquire);  // ticket"}),
    (
        "complete_openings",
        {"shm/a.cc": "// See b.h.\nx.load(std::memory_order_acquire);", "shm/b.h": "// Roles"},
    ),
    (
        "complete_openings",
        {"shm/a.cc": OPENING.replace("// Crash", "// Or") + "x.load(std::memory_order_acquire);"},
    ),
    ("decisions_listed", {"docs/decisions/README.md": "", "docs/decisions/0001-a.md": DECISION}),
    ("decisions_listed", {"docs/decisions/README.md": "", "docs/decisions/ring.md": DECISION}),
    (
        "decisions_listed",
        {
            "docs/decisions/README.md": "(0001-a.md)",
            "docs/decisions/0001-a.md": "# 0001: only a title",
        },
    ),
    (
        "decisions_listed",
        {
            "docs/decisions/README.md": "(0001-a.md) (0001-b.md)",
            "docs/decisions/0001-a.md": DECISION,
            "docs/decisions/0001-b.md": DECISION,
        },
    ),
    (
        "decisions_listed",
        {
            "docs/decisions/README.md": "(0002-a.md)",
            "docs/decisions/0002-a.md": DECISION,
        },
    ),
    ("links_lead_somewhere", {"README.md": "[x](docs/absent.md)"}),
    ("links_lead_somewhere", {"docs/a.md": "[x](README.md)", "README.md": ""}),
    ("documented_commands_exist", {"README.md": "    make fly", "Makefile": "run: build\n"}),
    ("documented_commands_exist", {"README.md": "`make fly`", "Makefile": "run: build\n"}),
    ("documented_commands_exist", {"README.md": "`optjournal fly DIR`", "cli/a.cc": '"tail"'}),
    ("documented_commands_exist", {"README.md": "`tools/absent.sh`", "tools/build.sh": ""}),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS,
            "tests/verify/x/faults.py": "late",
        },
    ),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS + "| I1 | model | |\n",
            "tests/verify/x/faults.py": "late",
        },
    ),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS + "| I1 | model | `late` |\n",
            "tests/verify/x/faults.py": "early",
        },
    ),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS + "| I1 | model | `late` |\n| I2 | model | `late` |\n",
            "tests/verify/x/faults.py": "late",
        },
    ),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS + "## 1\n\n| I1 | model | `late` |\n",
            "tests/verify/x/faults.py": "late",
        },
    ),
]

# rule -> files that must pass it.
RIGHT: list[tuple[str, dict[str, str]]] = [
    ("columns", {"base/a.h": "// " + "x" * 97}),
    ("licence_line", {"base/a.h": SPDX}),
    ("says_what_it_is", {"base/a.h": SPDX}),
    ("banned_words", {"shm/a.cc": '// the head of the ring\nauto x = "tail";  // util'}),
    (
        "banned_words",
        {"schema/a.cc": "bool log = distribution.log; int ahead, catalog, end_in_common;"},
    ),
    ("banned_words", {"daemon/a.cc": "void open_log();"}),
    ("banned_file_names", {"cli/tail.cc": "", "daemon/log_format.cc": "", "journal/catalog.h": ""}),
    ("private_places", {"docs/a.md": "see docs/wo" + "rk/ and /dev/shm"}),
    ("reasons_at_suppressions", {"base/a.cc": "f();  // NOLINT(bugprone-x): it is meant\n"}),
    ("sanitizers_see_everything", {"tools/a.sh": "export TSAN_OPTIONS=halt_on_error=1"}),
    (
        "include_graph",
        {
            "replay/a.cc": '#include <sys/mman.h>\n#include <string>\n#include "schema/b.h"',
            "schema/b.h": '#include <capnp/message.h>\n#include "schema/record.capnp.h"',
            "schema/record.capnp": "",
            "tests/c.cc": '#include <gtest/gtest.h>\n#include "daemon/d.h"',
            "daemon/d.h": "#include <spdlog/spdlog.h>",
        },
    ),
    ("own_header_first", {"shm/a.cc": '// x\n#include "shm/a.h"\n#include <string>'}),
    ("orders_written_out", {"shm/a.cc": "x.load(std::memory_order_relaxed); std::exchange(a, 0);"}),
    (
        "orders_written_out",
        {
            "shm/a.cc": "ring.load(seq);\nx.compare_exchange_strong(a, f(b),\n"
            "    memory_order_acq_rel, memory_order_acquire);"
        },
    ),
    ("forbidden_concurrency", {"shm/a.cc": 'asm volatile("pause"); // no volatile, no fence'}),
    ("forbidden_concurrency", {"daemon/a.cc": "condition.notify_all();"}),
    ("commented_orders", {"shm/a.cc": OPENING + "x.load(std::memory_order_acquire);  // ticket"}),
    (
        "commented_orders",
        {"shm/a.cc": OPENING + "x.load(std::memory_order_relaxed);  // own: mine"},
    ),
    (
        "commented_orders",
        {
            "shm/a.h": OPENING,
            "shm/a.cc": "x.compare_exchange_strong(a, b, memory_order_acq_rel,  // ticket\n"
            "                            memory_order_acquire);",
        },
    ),
    ("commented_orders", {"daemon/a.cc": "x.load(std::memory_order_acquire);  // pairs with f()"}),
    ("commented_orders", {"daemon/a.cc": "// stat: a\nx.load(std::memory_order_relaxed);"}),
    (
        "commented_orders",
        {"daemon/a.cc": "f([] { return\nx.load(memory_order_relaxed); \n}); // stat"},
    ),
    ("complete_openings", {"shm/a.h": OPENING, "shm/a.cc": "x.load(std::memory_order_acquire);"}),
    (
        "complete_openings",
        {"shm/a.cc": "// See b.h.\nx.load(std::memory_order_acquire);", "shm/b.h": OPENING},
    ),
    ("complete_openings", {"shm/a.cc": "count.load(std::memory_order_relaxed);"}),
    (
        "decisions_listed",
        {"docs/decisions/README.md": "- [a](0001-a.md)", "docs/decisions/0001-a.md": DECISION},
    ),
    (
        "links_lead_somewhere",
        {"docs/a.md": "[x](../README.md#top) [y](https://x)", "README.md": ""},
    ),
    (
        "documented_commands_exist",
        {
            "README.md": "    make run\n`optjournal tail DIR` `tools/build.sh`",
            "Makefile": "run: build\n",
            "cli/a.cc": '"tail"',
            "tools/build.sh": "",
        },
    ),
    (
        "claims_are_looked_at",
        {
            "shm/a.h": OPENING,
            "docs/verification.md": CLAIMS + "| I1 | model | `late` |\n",
            "tests/verify/x/faults.py": "late",
        },
    ),
]


@pytest.mark.parametrize(("rule", "files"), PLANTED)
def test_the_rule_catches_what_was_planted(rule: str, files: dict[str, str]) -> None:
    assert check(rule, Tree(Path(), files)), f"{rule} missed it"


@pytest.mark.parametrize(("rule", "files"), RIGHT)
def test_the_rule_passes_what_is_right(rule: str, files: dict[str, str]) -> None:
    assert check(rule, Tree(Path(), files)) == []


def test_every_rule_has_a_planted_violation_and_something_right() -> None:
    assert {rule for rule, _ in PLANTED} == set(RULES)
    assert {rule for rule, _ in RIGHT} == set(RULES)
