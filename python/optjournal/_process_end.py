"""Closes a storage when its process ends, also one that ``multiprocessing`` made.

Such a process ends with ``os._exit`` after the finalizers of ``multiprocessing.util``; those of
``atexit`` and ``weakref`` never run. Without this, its session would count as a worker that died.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    _finalizer: weakref.finalize


_PRIORITY = 100  # before pools, queues and temporary folders, whose priorities are below


def close_in_this_child(storage: Closable) -> None:
    """Closes ``storage`` at the end of this process, which ``multiprocessing`` made."""
    multiprocessing.util.Finalize(None, storage._finalizer, exitpriority=_PRIORITY)


def close_at_process_end(storage: Closable, close: Callable[[], None]) -> None:
    """Makes ``storage._finalizer``, which calls ``close`` once: by hand, when ``storage`` is no
    more, or when the process ends, and likewise in each child that inherits ``storage``.
    """
    storage._finalizer = weakref.finalize(storage, close)
    if multiprocessing.parent_process() is not None:
        close_in_this_child(storage)
    multiprocessing.util.register_after_fork(storage, close_in_this_child)
