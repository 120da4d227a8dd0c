"""Trials: templates, times, what is shared and what is not, deletion.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import copy
import datetime
import os
import time
from collections.abc import Iterator
from functools import partial

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from optjournal import JournalStorage

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
AlreadyFinished: type[Exception] = getattr(
    optuna.exceptions, "UpdateFinishedTrialError", RuntimeError
)


def full_template(state: TrialState) -> FrozenTrial:
    now = datetime.datetime(2026, 7, 1, 12, 30, 15, 123456)
    return FrozenTrial(
        number=77,
        trial_id=88,
        state=state,
        value=None,
        values=[1.5, float("-inf")] if state == TrialState.COMPLETE else None,
        datetime_start=None if state == TrialState.WAITING else now,
        datetime_complete=now if state in FINISHED else None,
        params={"f": 0.25, "i": 7, "c": None},
        distributions={
            "f": FloatDistribution(0, 1),
            "i": IntDistribution(1, 9, step=2),
            "c": CategoricalDistribution(("a", None)),
        },
        user_attrs={"u": {"nested": [1, 2]}},
        system_attrs={"s": "text"},
        intermediate_values={0: 0.5, -3: float("inf"), 2**40: -1.0},
    )


def complete(value: float) -> FrozenTrial:
    """Also with a value that optuna.trial.create_trial() refuses, and storages take."""
    template = optuna.trial.create_trial(value=0.0)
    template.values = [value]
    return template


@pytest.mark.parametrize("state", list(TrialState))
def test_a_template_comes_back_field_by_field(storage: JournalStorage, state: TrialState) -> None:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE])
    expected = full_template(state)
    expected._trial_id = storage.create_new_trial(study_id, full_template(state))
    expected.number = 0
    with JournalStorage(storage.location) as other:
        for reader in (storage, other):
            trial = reader.get_trial(expected._trial_id)
            assert trial == expected
            assert type(trial) is FrozenTrial
            assert list(trial.__dict__) == list(expected.__dict__)
            assert repr(trial) == repr(expected)
            assert list(trial.params) == ["f", "i", "c"]
            assert [reader.get_all_trials(study_id, deepcopy=d)[0] for d in (True, False)] == [
                expected,
                expected,
            ]


def test_a_waiting_template_is_whole_when_it_is_seen(storage: JournalStorage) -> None:
    study_id = storage.create_new_study([StudyDirection.MINIMIZE])
    trial_id = storage.create_new_trial(study_id, full_template(TrialState.WAITING))
    (waiting,) = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.WAITING,))
    assert waiting.datetime_start is None
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING) is True
    assert storage.set_trial_state_values(trial_id, TrialState.RUNNING) is False
    running = storage.get_trial(trial_id)
    assert running.state == TrialState.RUNNING
    assert running.datetime_start is not None
    assert running.params == waiting.params
    assert waiting.state == TrialState.WAITING
    assert storage.get_all_trials(study_id, states=(TrialState.WAITING,)) == []


def test_an_aware_datetime_becomes_naive_local_time(storage: JournalStorage, study_id: int) -> None:
    aware = datetime.datetime(
        2026, 1, 2, 3, 4, 5, 6, tzinfo=datetime.timezone(datetime.timedelta(hours=9))
    )
    template = full_template(TrialState.COMPLETE)
    template.datetime_start = template.datetime_complete = aware
    trial = storage.get_trial(storage.create_new_trial(study_id, template))
    for got in (trial.datetime_start, trial.datetime_complete):
        assert got is not None
        assert got.tzinfo is None
        assert got.astimezone() == aware


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    "local",
    [
        datetime.datetime(2026, 10, 25, 2, 30, fold=0),
        datetime.datetime(2026, 10, 25, 2, 30, fold=1),
        datetime.datetime(2026, 10, 25, 2, 59, 59, 999999, fold=1),
        datetime.datetime(2026, 10, 25, 3, 0),
        datetime.datetime(2026, 10, 25, 1, 59, 59),
        datetime.datetime(2026, 3, 29, 3, 0),
        datetime.datetime(1969, 12, 31, 23, 59, 59, 999999),
        datetime.datetime(1970, 1, 1),
    ],
    ids=repr,
)
def test_times_around_a_change_of_clocks(
    storage: JournalStorage, study_id: int, local: datetime.datetime
) -> None:
    template = full_template(TrialState.RUNNING)
    template.datetime_start = local
    got = storage.get_trial(storage.create_new_trial(study_id, template)).datetime_start
    assert got == local
    assert got is not None
    assert got.fold == local.fold
    assert got.timestamp() == local.timestamp()
    assert got == datetime.datetime.fromtimestamp(local.timestamp())


def test_finished_trials_are_handed_out_without_copying(
    storage: JournalStorage, study_id: int
) -> None:
    trial_id = storage.create_new_trial(study_id, full_template(TrialState.COMPLETE))
    first = storage.get_all_trials(study_id, deepcopy=False)[0]
    assert storage.get_all_trials(study_id, deepcopy=False, states=FINISHED)[0] is first
    assert storage.get_trial(trial_id) is first
    copied = storage.get_all_trials(study_id)[0]
    assert copied is not first
    copied.params["f"] = 1.0
    copied.user_attrs["u"]["nested"].append(3)
    copied.distributions["f"].low = -1.0
    copied.values = [9.0, 9.0]
    assert storage.get_all_trials(study_id, deepcopy=True)[0] == first
    assert storage.get_trial(trial_id) == first


def test_what_was_handed_out_never_changes(storage: JournalStorage, study_id: int) -> None:
    trial_id = storage.create_new_trial(study_id)
    handed_out = []
    steps = [
        lambda: storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_intermediate_value(trial_id, 0, 1.0),
        lambda: storage.set_trial_intermediate_value(trial_id, 0, 2.0),
        lambda: storage.set_trial_user_attr(trial_id, "u", [1]),
        lambda: storage.set_trial_system_attr(trial_id, "s", 1),
        lambda: storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.0]),
        lambda: storage.create_new_trial(study_id),
    ]
    for step in steps:
        for given in (
            storage.get_all_trials(study_id, deepcopy=False),
            [storage.get_trial(trial_id)],
        ):
            handed_out.append((given, copy.deepcopy(given)))
        step()
        for given, expected in handed_out:
            assert given == expected


def test_an_unfinished_trial_that_optuna_changes_is_nobody_elses(
    storage: JournalStorage, study_id: int, trial_id: int
) -> None:
    mine = storage.get_trial(trial_id)
    listed = storage.get_all_trials(study_id, deepcopy=False)[0]
    mine.user_attrs["mine"] = 1  # as optuna.Trial does
    assert listed.user_attrs == {}
    assert storage.get_trial(trial_id).user_attrs == {}


@pytest.mark.parametrize("container", [tuple, list, set, frozenset])
def test_states_may_be_any_container(
    storage: JournalStorage, study_id: int, container: type
) -> None:
    for state in TrialState:
        storage.create_new_trial(study_id, full_template(state))
    for wanted in [(), (TrialState.WAITING,), FINISHED, tuple(TrialState)]:
        for deepcopy in (True, False):
            got = storage.get_all_trials(study_id, deepcopy, container(wanted))
            assert [t.state for t in got] == [s for s in TrialState if s in wanted]
            assert [t.number for t in got] == [s.value for s in TrialState if s in wanted]
    assert storage.get_n_trials(study_id, FINISHED) == 3
    assert storage.get_n_trials(study_id, TrialState.FAIL) == 1
    assert storage.get_n_trials(study_id) == 5


def test_many_trials_are_read_in_one_go(storage: JournalStorage, study_id: int) -> None:
    numbers = range(2500)
    for i in numbers:
        state = TrialState.COMPLETE if i % 3 else TrialState.FAIL
        template = optuna.trial.create_trial(state=state, value=float(i) if i % 3 else None)
        storage.create_new_trial(study_id, template)
    with JournalStorage(storage.location) as other:
        complete = other.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        assert [t.number for t in complete] == [i for i in numbers if i % 3]
        everything = other.get_all_trials(study_id, deepcopy=False)
        assert [t.number for t in everything] == list(numbers)
        assert [t for t in everything if t.state == TrialState.COMPLETE] == complete
        assert other.get_best_trial(study_id).number == 1


@pytest.mark.parametrize("state", FINISHED)
def test_a_finished_trial_takes_nothing(
    storage: JournalStorage, trial_id: int, state: TrialState
) -> None:
    storage.set_trial_state_values(trial_id, state, [0.5])
    finished = storage.get_trial(trial_id)
    writes = [
        lambda: storage.set_trial_param(trial_id, "x", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_intermediate_value(trial_id, 0, 1.0),
        lambda: storage.set_trial_user_attr(trial_id, "u", 1),
        lambda: storage.set_trial_system_attr(trial_id, "s", 1),
        *(lambda s=s: storage.set_trial_state_values(trial_id, s) for s in TrialState),
    ]
    before = storage.next_seq()
    for write in writes:
        with pytest.raises(AlreadyFinished, match="Trial#0 has already finished"):
            write()
    assert storage.next_seq() == before
    assert storage.get_trial(trial_id) == finished


@pytest.mark.parametrize("unknown", [-1, 10**6, 2**64, 2**64 - 1, -(2**70), None, "0"])
def test_unknown_ids_are_key_errors(storage: JournalStorage, study_id: int, unknown: int) -> None:
    calls = [
        lambda: storage.get_trial(unknown),
        lambda: storage.get_trial_number_from_id(unknown),
        lambda: storage.get_trial_param(unknown, "x"),
        lambda: storage.get_trial_params(unknown),
        lambda: storage.set_trial_user_attr(unknown, "k", 1),
        lambda: storage.set_trial_param(unknown, "x", 0.5, FloatDistribution(0, 1)),
        lambda: storage.set_trial_state_values(unknown, TrialState.RUNNING),
        lambda: storage.set_trial_intermediate_value(unknown, 0, 0.5),
        lambda: storage.get_trial_id_from_study_id_trial_number(study_id, unknown),
        lambda: storage.get_trial_id_from_study_id_trial_number(unknown, 0),
        lambda: storage.delete_study(unknown),
        lambda: storage.create_new_trial(unknown),
        lambda: storage.get_all_trials(unknown),
        lambda: storage.get_all_trials(unknown, deepcopy=False),
        lambda: storage.get_n_trials(unknown),
        lambda: storage.get_best_trial(unknown),
        lambda: storage.get_study_name_from_id(unknown),
        lambda: storage.get_study_directions(unknown),
        lambda: storage.get_study_user_attrs(unknown),
        lambda: storage.set_study_system_attr(unknown, "k", 1),
    ]
    before = storage.next_seq()
    for call in calls:
        with pytest.raises(KeyError):
            call()
    assert storage.next_seq() == before


def test_delete_study_takes_its_trials_and_never_their_ids(storage: JournalStorage) -> None:
    with JournalStorage(storage.location) as other:
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], "name")
        trial_id = storage.create_new_trial(study_id, full_template(TrialState.COMPLETE))
        assert len(other.get_all_trials(study_id, deepcopy=False)) == 1
        other.delete_study(study_id)
        for reader in (storage, other):
            calls = [
                partial(reader.get_trial, trial_id),
                partial(reader.get_all_trials, study_id, deepcopy=False),
                partial(reader.get_study_id_from_name, "name"),
                partial(reader.set_trial_user_attr, trial_id, "k", 1),
                partial(reader.create_new_trial, study_id),
                partial(reader.delete_study, study_id),
            ]
            for call in calls:
                with pytest.raises(KeyError):
                    call()
            assert reader.get_all_studies() == []
        again = storage.create_new_study([StudyDirection.MINIMIZE], "name")
        assert again > study_id
        assert storage.create_new_trial(again) > trial_id


def test_best_trial(storage: JournalStorage) -> None:
    study_id = storage.create_new_study([StudyDirection.MAXIMIZE])
    with pytest.raises(ValueError, match="No trials are completed yet"):
        storage.get_best_trial(study_id)
    for value in (1.0, 3.0, 3.0, 2.0, float("nan")):
        storage.create_new_trial(study_id, complete(value))
    storage.create_new_trial(study_id, full_template(TrialState.RUNNING))
    assert storage.get_best_trial(study_id).number == 1
    assert storage.get_best_trial(study_id) is storage.get_trial(
        storage.get_trial_id_from_study_id_trial_number(study_id, 1)
    )


def test_best_trial_when_no_value_is_a_number(storage: JournalStorage, study_id: int) -> None:
    storage.create_new_trial(study_id, full_template(TrialState.FAIL))
    storage.create_new_trial(study_id, complete(float("nan")))
    assert storage.get_best_trial(study_id).number == 1


def test_names(storage: JournalStorage) -> None:
    for name in ("", "\0", "\ud800", "n" * 2000, "\N{PARTY POPPER}"):
        study_id = storage.create_new_study([StudyDirection.MINIMIZE], name)
        assert storage.get_study_name_from_id(study_id) == name
        assert storage.get_study_id_from_name(name) == study_id
        with pytest.raises(optuna.exceptions.DuplicatedStudyError):
            storage.create_new_study([StudyDirection.MINIMIZE], name)
    assert storage.get_all_studies()[0].study_name == ""


def test_states_that_are_none_of_optunas_are_refused(
    storage: JournalStorage, study_id: int, trial_id: int
) -> None:
    before = storage.next_seq()
    with pytest.raises(ValueError, match="TrialState"):
        storage.set_trial_state_values(trial_id, 9)
    with pytest.raises(TypeError):
        storage.set_trial_state_values(trial_id, "COMPLETE")
    with pytest.raises(ValueError, match="StudyDirection"):
        storage.create_new_study([7], "bad")
    with pytest.raises(TypeError):
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, ["x"])
    with pytest.raises(TypeError):
        storage.set_trial_intermediate_value(trial_id, 0, None)
    with pytest.raises(OverflowError):
        storage.set_trial_intermediate_value(trial_id, 2**63, 0.0)
    assert storage.next_seq() == before


def test_a_waiting_trial_that_another_process_has_run_meanwhile(
    storage: JournalStorage, study_id: int
) -> None:
    waiting = create_trial(state=TrialState.WAITING)
    first, second = (storage.create_new_trial(study_id, waiting) for _ in range(2))
    only_waiting = storage.get_all_trials(study_id, deepcopy=False, states=(TrialState.WAITING,))
    assert [trial._trial_id for trial in only_waiting] == [first, second]
    with JournalStorage(storage.location) as other:
        assert other.set_trial_state_values(first, TrialState.RUNNING)
        assert other.set_trial_state_values(first, TrialState.COMPLETE, [0.0])
    # As Optuna's ask goes on: the first is gone, the next one is taken.
    assert not storage.set_trial_state_values(first, TrialState.RUNNING)
    assert storage.set_trial_state_values(second, TrialState.RUNNING)
    with pytest.raises(AlreadyFinished):
        storage.set_trial_state_values(first, TrialState.FAIL)
    with JournalStorage(storage.location) as other, pytest.raises(AlreadyFinished):
        other.set_trial_state_values(first, TrialState.RUNNING)
