"""Optuna's heartbeat, answered from what the journal knows: which workers died.

Optuna's ``optimize`` looks for stale trials before each ``ask``, fails them and calls the callback.
Here a trial is stale when its worker is dead, which the journal tells at once and for certain: no
heartbeat has to be written, none can be late, and a worker that is stopped is not stale.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import optuna
from optuna.storages._heartbeat import BaseHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from optjournal import _native

    TrialCallback = Callable[[optuna.study.Study, optuna.trial.FrozenTrial], None]


def _positive(value: int | None, what: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
        raise ValueError(f"The value of `{what}` should be a positive integer, not {value!r}.")


class HeartbeatSettings:
    """What was asked for when the storage was opened."""

    def __init__(
        self,
        interval: int | None,
        grace_period: int | None,
        stale_trial_callback: TrialCallback | None,
        failed_trial_callback: TrialCallback | None,
    ) -> None:
        _positive(interval, "heartbeat_interval")
        _positive(grace_period, "grace_period")
        if stale_trial_callback is not None and failed_trial_callback is not None:
            raise ValueError(
                "Specify only one of `heartbeat_stale_trial_callback` and `failed_trial_callback`."
            )
        if interval is not None:
            warnings.warn(
                "The argument `heartbeat_interval` is an experimental feature of Optuna. "
                "The interface can change in the future.",
                optuna.exceptions.ExperimentalWarning,
                stacklevel=3,
            )
        self.interval = interval
        self.grace_ms = (grace_period or 0) * 1000
        self.callback = stale_trial_callback or failed_trial_callback


class DeathsForHeartbeats(BaseHeartbeat):
    """Optuna's mix-in. It is switched off as long as there is no ``heartbeat_interval``."""

    _native: _native.Storage
    _heartbeat: HeartbeatSettings
    # `ids`: what _get_stale_trial_ids() gave this thread and it has not tried to fail yet.
    _handed: threading.local

    def record_heartbeat(self, trial_id: int) -> None:
        """Does nothing: the daemon knows who lives."""

    def get_heartbeat_interval(self) -> int | None:
        return self._heartbeat.interval

    def get_heartbeat_stale_trial_callback(self) -> TrialCallback | None:
        return self._heartbeat.callback

    def get_failed_trial_callback(self) -> TrialCallback | None:
        return self._heartbeat.callback

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        stale = self._native.stale_trials(study_id, self._heartbeat.grace_ms)
        self._handed.ids = set(stale)
        return stale

    def _was_handed(self, trial_id: int) -> bool:
        """Was it this thread's to fail, and has another one been faster?

        Optuna before 3.4 lets the error that tells so escape from ``optimize``; that the trial was
        not updated is told by False as well.
        """
        ids: set[int] = getattr(self._handed, "ids", set())
        if trial_id not in ids:
            return False
        ids.discard(trial_id)
        return True
