"""``JournalStorage``: Optuna's ``BaseStorage`` over ``optjournal._native.Storage``.

What is done here is Optuna's side only: names, defaults, log lines. Everything else is in C++.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import os
import threading
import uuid
import weakref
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import BaseStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import TrialState

from optjournal import _native
from optjournal._heartbeat import DeathsForHeartbeats, HeartbeatSettings
from optjournal._process_end import close_at_process_end
from optjournal._programs import program_path

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from types import TracebackType

    from optuna.distributions import BaseDistribution
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial
    from typing_extensions import Literal, Self

    from optjournal._heartbeat import TrialCallback

    Durability = Literal["published", "synced"]
    Mode = Literal["worker", "monitor", "offline"]

_SERVICE = "optjournal://"
_WAITING_ONLY = (TrialState.WAITING,)
_NAME_PREFIX = "no-name-"  # Optuna's, for studies created without a name

# Before Optuna 4.3 a finished trial raises RuntimeError.
_Finished: type[Exception] = getattr(optuna.exceptions, "UpdateFinishedTrialError", RuntimeError)

_logger = optuna.logging.get_logger(__name__)


def _milliseconds(seconds: float | None, what: str) -> int:
    if seconds is None:
        return -1
    if not seconds >= 0:
        raise ValueError(f"{what} must be None or a number of seconds >= 0, not {seconds!r}")
    return int(min(seconds * 1000, 2**53))


def _absolute(location: str | os.PathLike[str]) -> str:
    text = os.fspath(location)
    if not isinstance(text, str):
        raise TypeError(f"location must be str or os.PathLike[str], not {type(location).__name__}")
    if not text:
        raise ValueError("location must not be empty")
    return text if text.startswith(_SERVICE) else os.path.abspath(text)


def _daemon_path(given: str | os.PathLike[str] | None) -> str:
    if given is not None:
        return os.fspath(given)
    if "OPTJOURNALD" in os.environ:
        return ""  # the library looks there itself
    bundled = program_path("optjournald")
    return str(bundled) if bundled.exists() else ""


class JournalStorage(BaseStorage, DeathsForHeartbeats):
    """A study's storage that all processes of one machine share.

    Args:
        location: A folder, created if absent (its parent must exist), for which a daemon is started
            if none serves it; or ``"optjournal://NAME"`` for a service of the system. A relative
            folder is resolved now.
        durability: When a write returns. ``None``: creating and deleting a study and finishing a
            trial return once they are on stable storage, everything else once it is visible to all
            processes (and survives the death of any of them, the daemon included; a machine that
            loses power loses at most the last 50 ms). ``"published"``: never wait for the disk.
            ``"synced"``: always.
        timeout: Seconds that one call may wait for room in the journal or for the disk before it
            raises :class:`BusyError`, or, once the write is in the journal,
            :class:`PublishedError`; ``None``: for ever.
        mode: ``"worker"``; ``"monitor"`` reads only and starts nothing; ``"offline"`` reads the
            folder's files without any daemon, everything that was synced.
        open_timeout: Seconds to wait for a daemon to serve the location.
        pool_bytes: Bytes of shared memory for records if this starts the daemon; ``None``: what
            fits, at most 128 MiB.
        idle_exit: Seconds that a daemon started by this stays after its last client; ``None``: its
            default.
        daemon_path: The program to start; ``None``: ``$OPTJOURNALD``, else the one of this package.
        name: What ``optjournal status`` shows for this process; ``None``: its program's name.
        orphans: What becomes of the running trials of this process if it dies: ``"keep"``: they
            stay RUNNING; ``"fail"``; ``"retry:N"``: they fail, and a copy is enqueued, at most N
            times in a row; ``None``: what the study says (:meth:`set_orphan_policy`), else the
            daemon (``fail`` unless told otherwise).
        heartbeat_interval: Any positive number: Optuna's ``optimize`` is to see to the trials of
            this process if it dies, as with ``RDBStorage``: the next ``ask`` of any process that
            has this set fails them and calls its callback. No heartbeats are written.
        grace_period: Seconds from the death until then; ``None``: at once.
        heartbeat_stale_trial_callback: Called once for each trial that was failed so, for instance
            ``RetryHeartbeatStaleTrialCallback``.
        failed_trial_callback: The same, by the name that it has before Optuna 4.9.

    One object may be used by many threads, and goes on working in a forked child, which silently
    gets a session of its own. Pickling takes the location and the options along; the copy opens the
    same journal. Ids of studies and trials are never reused.

    Raises:
        InvalidError: The location is no journal's and cannot become one (a file, a folder of
            something else).
        IncompatibleError: It is of another version.
        BusyError: No daemon served it within ``open_timeout``, or memory for it does not suffice.
        IoError: The system said no.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        *,
        durability: Durability | None = None,
        timeout: float | None = 60.0,
        mode: Mode = "worker",
        open_timeout: float = 30.0,
        pool_bytes: int | None = None,
        idle_exit: float | None = None,
        daemon_path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        orphans: str | None = None,
        heartbeat_interval: int | None = None,
        grace_period: int | None = None,
        heartbeat_stale_trial_callback: TrialCallback | None = None,
        failed_trial_callback: TrialCallback | None = None,
    ) -> None:
        self._options: dict[str, Any] = {
            "location": _absolute(location),
            "durability": durability,
            "timeout": timeout,
            "mode": mode,
            "open_timeout": open_timeout,
            "pool_bytes": pool_bytes,
            "idle_exit": idle_exit,
            "daemon_path": daemon_path,
            "name": name,
            "orphans": orphans,
            "heartbeat_interval": heartbeat_interval,
            "grace_period": grace_period,
            "heartbeat_stale_trial_callback": heartbeat_stale_trial_callback,
            "failed_trial_callback": failed_trial_callback,
        }
        if durability not in (None, "published", "synced"):
            raise ValueError(
                f"durability must be None, 'published' or 'synced', not {durability!r}"
            )
        if mode not in ("worker", "monitor", "offline"):
            raise ValueError(f"mode must be 'worker', 'monitor' or 'offline', not {mode!r}")
        if pool_bytes is not None and pool_bytes <= 0:
            raise ValueError(f"pool_bytes must be None or > 0, not {pool_bytes!r}")
        if orphans is not None and heartbeat_interval is not None:
            raise ValueError(
                "give orphans or heartbeat_interval: the latter leaves orphans to Optuna's callback"
            )
        self._heartbeat = HeartbeatSettings(
            heartbeat_interval,
            grace_period,
            heartbeat_stale_trial_callback,
            failed_trial_callback,
        )
        self._handed = threading.local()
        self._native = _native.Storage(
            location=os.fsencode(self._options["location"]),
            mode=mode,
            durability=durability or "",
            timeout_ms=_milliseconds(timeout, "timeout"),
            open_timeout_ms=_milliseconds(open_timeout, "open_timeout"),
            pool_bytes=pool_bytes or 0,
            idle_exit_ms=_milliseconds(idle_exit, "idle_exit"),
            daemon_path=os.fsencode(_daemon_path(daemon_path)),
            name=name or "",
            orphans=orphans if heartbeat_interval is None else "optuna",
        )
        # A session that just vanishes counts as a worker that died.
        self._finalizer: weakref.finalize
        close_at_process_end(self, self._native.close)

    # Beyond BaseStorage

    @property
    def location(self) -> str:
        """The folder, absolute, or ``optjournal://NAME``."""
        location: str = self._options["location"]
        return location

    def close(self) -> None:
        """Ends this process's session. Every later call but this one raises :class:`GoneError`."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def digest(self) -> str:
        """32 hex digits over everything that the journal holds, equal in all processes that have
        read equally far.
        """
        return self._native.digest()

    def next_seq(self) -> int:
        """How many records the journal has: the sequence number that its next one gets."""
        return self._native.next_seq()

    def sync(self) -> None:
        """Returns once everything that any process wrote before this call is on stable storage."""
        self._native.sync()

    def status(self) -> dict[str, Any]:
        """What the daemon says: watermarks, use of memory and disk, and the attached
        ``workers``.
        """
        return self._native.status()

    def set_orphan_policy(self, study: Study | int, policy: str | None) -> None:
        """What becomes of the study's running trials whose worker died: ``"keep"``, ``"fail"``,
        ``"retry:N"``; ``None``: what the daemon says. A worker's own ``orphans`` counts more.
        """
        study_id = study if isinstance(study, int) else study._study_id
        self._native.set_orphan_policy(study_id, policy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.location!r})"

    def __getstate__(self) -> dict[str, Any]:
        return self._options

    def __setstate__(self, state: dict[str, Any]) -> None:
        JournalStorage.__init__(self, **state)

    # Studies

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        if study_name is None:
            study_name = _NAME_PREFIX + str(uuid.uuid4())
        study_id = self._native.create_new_study(directions, study_name)
        _logger.info(f"A new study created in Journal with name: {study_name}")
        return study_id

    def delete_study(self, study_id: int) -> None:
        self._native.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._native.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._native.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        return self._native.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._native.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._native.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._native.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._native.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        studies = self._native.get_all_studies()
        return [
            FrozenStudy(
                study_name=name,
                direction=None,
                directions=directions,
                user_attrs=user_attrs,
                system_attrs=system_attrs,
                study_id=study_id,
            )
            for study_id, name, directions, user_attrs, system_attrs in studies
        ]

    # Trials: writing

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._native.create_new_trial(study_id, template_trial)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        self._native.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        try:
            return self._native.set_trial_state_values(trial_id, state, values)
        except _Finished:
            # Another one was faster.
            if self._was_handed(trial_id) or (
                state == TrialState.RUNNING and trial_id in getattr(self._handed, "waiting", ())
            ):
                return False
            raise

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        self._native.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._native.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._native.set_trial_system_attr(trial_id, key, value)

    # Trials: reading

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._native.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_trial_number_from_id(self, trial_id: int) -> int:
        return self._native.get_trial_number_from_id(trial_id)

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        return self._native.get_trial_param(trial_id, param_name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._native.get_trial(trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._native.get_all_trials(study_id, bool(deepcopy), states)
        if states == _WAITING_ONLY:
            # Optuna's ask looks so for one to run. That another process has run it meanwhile, to
            # its end, is told by False: old versions let the error escape from ``optimize``.
            self._handed.waiting = {trial._trial_id for trial in trials}
        return trials

    def get_n_trials(
        self, study_id: int, state: tuple[TrialState, ...] | TrialState | None = None
    ) -> int:
        return self._native.get_n_trials(study_id, state)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        return self._native.get_best_trial(study_id)

    def get_trial_params(self, trial_id: int) -> dict[str, Any]:
        return self._native.get_trial(trial_id).params

    def get_trial_user_attrs(self, trial_id: int) -> dict[str, Any]:
        return self._native.get_trial(trial_id).user_attrs

    def get_trial_system_attrs(self, trial_id: int) -> dict[str, Any]:
        return self._native.get_trial(trial_id).system_attrs
