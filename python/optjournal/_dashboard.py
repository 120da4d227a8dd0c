"""Serves optuna-dashboard over a journal: what ``optjournal dashboard`` runs.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optjournal._errors import JournalError
from optjournal._storage import JournalStorage

PROGRAM = "optjournal dashboard"
_UNAVAILABLE = 1  # as the command's: the system said no


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog=PROGRAM)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("location")
    options = parser.parse_args(arguments)
    try:
        dashboard: Any = importlib.import_module("optuna_dashboard")
    except ImportError as missing:
        print(
            f"optjournal: {sys.executable} cannot run the dashboard ({missing}); type\n"
            f"  {sys.executable} -m pip install 'optjournal[dashboard]'",
            file=sys.stderr,
        )
        return _UNAVAILABLE
    # SIGTERM ends it as Ctrl-C does: the session is closed, not dead.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        storage = JournalStorage(options.location, name="dashboard")
    except JournalError as failed:
        print(f"optjournal: {failed}", file=sys.stderr)
        return _UNAVAILABLE
    try:
        application = dashboard.wsgi(storage)
        with make_server(options.host, options.port, application, _Server, _QuietHandler) as server:
            host = f"[{options.host}]" if ":" in options.host else options.host
            print(f"http://{host}:{server.server_port}/dashboard/", flush=True)
            server.serve_forever()
    except KeyboardInterrupt:
        pass
    except OSError as failed:
        print(
            f"optjournal: cannot serve on {options.host}:{options.port}: {failed.strerror}",
            file=sys.stderr,
        )
        return _UNAVAILABLE
    finally:
        storage.close()
    return 0
