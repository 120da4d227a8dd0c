"""Runs a function in many processes at once and brings back what each returned.

The processes are forked from a clean server that has imported optjournal and opened nothing, so
that a hundred of them start in a second.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["optjournal"])


class Failed(AssertionError):
    """A process ended without a result."""


def _child(connection: Connection, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
    try:
        connection.recv()  # all are started
        connection.send((True, function(*arguments)))
    except BaseException:
        connection.send((False, traceback.format_exc()))
        raise


def run_together(
    function: Callable[..., Any], arguments: Sequence[Sequence[Any]], timeout: float = 300
) -> list[Any]:
    """`function(*a)` for each `a` in `arguments`, each in a process of its own, begun together."""
    pairs = [CONTEXT.Pipe() for _ in arguments]
    processes = [
        CONTEXT.Process(target=_child, args=(theirs, function, a))
        for (_, theirs), a in zip(pairs, arguments)
    ]
    results = []
    try:
        for process, (_, theirs) in zip(processes, pairs):
            process.start()
            theirs.close()
        for ours, _ in pairs:
            ours.send("go")
        deadline = time.monotonic() + timeout
        for i, (ours, _) in enumerate(pairs):
            if not ours.poll(max(0, deadline - time.monotonic())):
                raise Failed(f"process {i} of {len(pairs)} did not end within {timeout} s")
            try:
                good, result = ours.recv()
            except EOFError:
                processes[i].join()
                raise Failed(
                    f"process {i} of {len(pairs)} ended with {processes[i].exitcode} and no result"
                ) from None
            if not good:
                raise Failed(f"process {i} of {len(pairs)}:\n{result}")
            results.append(result)
    finally:
        for process in processes:
            if process.pid is not None:
                process.join(timeout=10)
                process.kill()
                process.join()
    return results


def stop_process(pid: int) -> None:
    """SIGSTOP, and until all its threads have stopped: it takes effect a moment later."""
    os.kill(pid, signal.SIGSTOP)
    while True:
        states = [
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        if set(states) == {"T"}:
            return
        time.sleep(0.001)


def wait_for_end(pid: int, timeout: float = 60) -> None:
    """Until process `pid`, which need not be a child, has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended, _, _ = select.select([pidfd], [], [], timeout)
        assert ended, f"process {pid} is still there after {timeout} s"
    finally:
        os.close(pidfd)
