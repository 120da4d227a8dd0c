"""Attributes come back as they were set, or raise TypeError before anything is written.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from optjournal import JournalStorage

VALUES = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "negative zero": -0.0,
    "one as float": 1.0,
    "largest 64 bits": 2**63 - 1,
    "smallest 64 bits": -(2**63),
    "beyond 64 bits": 2**63,
    "far beyond 64 bits": -(10**100),
    "denormal": 5e-324,
    "infinity": math.inf,
    "negative infinity": -math.inf,
    "empty text": "",
    "text with NUL": "a\0b",
    "lone surrogate": "\ud800",
    "surrogates the wrong way round": "\udc00\ud800 and text",
    "beyond the basic plane": "\N{PARTY POPPER}",
    "lines": "one\r\ntwo\n",
    "1 MiB of text": "x" * (1 << 20),
    "list": [1, 2.5, None, "three", [], {}],
    "nested": {"a": {"b": [{"c": {"d": [[[]]]}}]}, "": {"\ud800": "\0"}},
    "large ints within": {"n": 2**200, "m": [-(2**63), 2**64]},
}
SETTERS = ["study_user", "study_system", "trial_user", "trial_system"]


class Place:
    """One of the four places that attributes live in."""

    def __init__(self, storage: JournalStorage, kind: str) -> None:
        owner, self._attrs = kind.split("_")
        study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
        self._id = study_id if owner == "study" else storage.create_new_trial(study_id)
        self._storage, self._owner = storage, owner

    def set(self, key: str, value: Any) -> None:
        getattr(self._storage, f"set_{self._owner}_{self._attrs}_attr")(self._id, key, value)

    def get(self) -> dict[str, Any]:
        return getattr(self._storage, f"get_{self._owner}_{self._attrs}_attrs")(self._id)


@pytest.fixture(params=SETTERS)
def place(request: pytest.FixtureRequest, storage: JournalStorage) -> Place:
    return Place(storage, request.param)


@pytest.mark.parametrize("name", VALUES)
def test_values_come_back_exactly(storage: JournalStorage, name: str) -> None:
    for kind in SETTERS:
        place = Place(storage, kind)
        place.set("key", VALUES[name])
        got = place.get()["key"]
        assert type(got) is type(VALUES[name])
        assert got == VALUES[name]
        if isinstance(got, float):
            assert math.copysign(1, got) == math.copysign(1, VALUES[name])


def test_nan_comes_back(place: Place) -> None:
    place.set("key", math.nan)
    place.set("inside", [math.nan, {"x": -math.inf}])
    assert math.isnan(place.get()["key"])
    inside = place.get()["inside"]
    assert math.isnan(inside[0])
    assert inside[1] == {"x": -math.inf}


def test_another_storage_object_sees_the_same(storage: JournalStorage, study_id: int) -> None:
    for name, value in VALUES.items():
        storage.set_study_user_attr(study_id, name, value)
    with JournalStorage(storage.location) as other:
        assert other.get_study_user_attrs(study_id) == VALUES
        assert list(other.get_study_user_attrs(study_id)) == list(VALUES)
        assert other.digest() == storage.digest()


@pytest.mark.parametrize("key", ["", "\0", "a\0b", "\ud800", "k" * 2000, "\N{PARTY POPPER}", "\n"])
def test_any_text_is_a_key(place: Place, key: str) -> None:
    place.set(key, 1)
    assert place.get() == {key: 1}


def test_json_makes_lists_of_tuples_and_text_of_int_keys(place: Place) -> None:
    value = {"tuple": (1, (2,)), "keys": {1: "one", None: "none"}}
    place.set("key", value)
    assert place.get()["key"] == json.loads(json.dumps(value))


def test_a_key_set_again_keeps_its_place(place: Place) -> None:
    for key in "abc":
        place.set(key, 0)
    place.set("a", 1)
    assert list(place.get().items()) == [("a", 1), ("b", 0), ("c", 0)]


def test_many_keys(place: Place) -> None:
    expected = {f"key {i}": i for i in range(1000)}
    for key, value in expected.items():
        place.set(key, value)
    assert place.get() == expected


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        np.zeros(3),
        np.int64(1),
        np.float32(1),
        object(),
        b"bytes",
        1j,
        [1, {2}],
        {"deep": [np.zeros(1)]},
        {(1, 2): 3},
    ],
    ids=repr,
)
def test_what_is_no_json_raises_before_anything_is_written(
    storage: JournalStorage, value: Any
) -> None:
    for kind in SETTERS:
        place = Place(storage, kind)
        before = storage.next_seq()
        with pytest.raises(TypeError):
            place.set("key", value)
        assert storage.next_seq() == before
        assert place.get() == {}


def test_a_value_that_contains_itself_raises_before_anything_is_written(
    storage: JournalStorage, place: Place
) -> None:
    value: list[Any] = []
    value.append(value)
    before = storage.next_seq()
    with pytest.raises(ValueError, match="Circular"):
        place.set("key", value)
    assert storage.next_seq() == before


@pytest.mark.parametrize("key", [None, 1, b"key"])
def test_a_key_must_be_text(storage: JournalStorage, place: Place, key: Any) -> None:
    before = storage.next_seq()
    with pytest.raises(TypeError, match="key must be str"):
        place.set(key, 1)
    assert storage.next_seq() == before


def test_a_template_that_cannot_be_stored_raises_before_anything_is_written(
    storage: JournalStorage, study_id: int
) -> None:
    template = optuna.trial.create_trial(value=0.0, user_attrs={"ok": 1})
    template.user_attrs["no"] = {1}
    before = storage.next_seq()
    with pytest.raises(TypeError):
        storage.create_new_trial(study_id, template)
    assert storage.next_seq() == before
    assert storage.get_n_trials(study_id) == 0


def test_what_was_handed_out_does_not_share_nested_values(place: Place) -> None:
    place.set("key", {"list": [1]})
    place.get()["key"]["list"].append(2)
    if place._owner == "study":  # a trial's dict is the trial's
        assert place.get() == {"key": {"list": [1]}}


def test_a_thousand_params(storage: JournalStorage, study_id: int, trial_id: int) -> None:
    for i in range(1000):
        storage.set_trial_param(trial_id, f"p{i}", i / 7, FloatDistribution(0, 1000))
    storage.set_trial_state_values(trial_id, optuna.trial.TrialState.COMPLETE, [0.0])
    expected = {f"p{i}": i / 7 for i in range(1000)}
    assert storage.get_trial(trial_id).params == expected
    assert list(storage.get_trial(trial_id).params) == list(expected)
    with JournalStorage(storage.location) as other:
        assert other.get_trial(trial_id) == storage.get_trial(trial_id)


def test_a_template_with_a_thousand_params(storage: JournalStorage, study_id: int) -> None:
    template = optuna.trial.create_trial(
        value=1.0,
        params={f"p{i}": i for i in range(1000)},
        distributions={f"p{i}": IntDistribution(0, 1000) for i in range(1000)},
    )
    trial = storage.get_trial(storage.create_new_trial(study_id, template))
    assert trial.params == template.params
    assert trial.distributions == template.distributions


DISTRIBUTIONS = [
    FloatDistribution(-1.5, 1.5),
    FloatDistribution(1e-300, 1e300, log=True),
    FloatDistribution(0, 1, step=0.25),
    FloatDistribution(-0.0, 0.0),
    IntDistribution(-5, 5),
    IntDistribution(1, 1024, log=True),
    IntDistribution(0, 100, step=10),
    IntDistribution(-(2**63), 2**63 - 1),
    IntDistribution(-(2**100), 2**100),
    CategoricalDistribution(("a", "b", "\ud800")),
    CategoricalDistribution((None, True, 0, -0.0, 2.5, "", 2**70)),
    CategoricalDistribution((math.nan, math.inf)),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_distributions_come_back_exactly(
    storage: JournalStorage, trial_id: int, distribution: BaseDistribution
) -> None:
    storage.set_trial_param(trial_id, "x", 1.0, distribution)
    with JournalStorage(storage.location) as other:
        for reader in (storage, other):
            trial = reader.get_trial(trial_id)
            got = trial.distributions["x"]
            assert type(got) is type(distribution)
            assert got == distribution
            if isinstance(distribution, CategoricalDistribution):
                assert [type(c) for c in got.choices] == [type(c) for c in distribution.choices]
            else:
                assert got.__dict__ == distribution.__dict__
            external = distribution.to_external_repr(1.0)
            assert type(trial.params["x"]) is type(external)
            assert trial.params["x"] == external
            assert reader.get_trial_param(trial_id, "x") == 1.0


def test_choices_that_are_equal_but_not_the_same_are_kept_apart(
    storage: JournalStorage, study_id: int
) -> None:
    for choices in [(1, "a"), (True, "a"), (1.0, "a")]:
        trial_id = storage.create_new_trial(study_id)
        storage.set_trial_param(trial_id, "x", 0, CategoricalDistribution(choices))
        got = storage.get_trial(trial_id)
        assert type(got.params["x"]) is type(choices[0])
        assert type(got.distributions["x"].choices[0]) is type(choices[0])


def test_distributions_are_compatible_as_optuna_says(
    storage: JournalStorage, study_id: int, trial_id: int
) -> None:
    storage.set_trial_param(trial_id, "f", 0.5, FloatDistribution(0, 1))
    storage.set_trial_param(trial_id, "c", 0, CategoricalDistribution((math.nan, 1)))
    other = storage.create_new_trial(study_id)
    storage.set_trial_param(other, "f", 5.0, FloatDistribution(0, 10, step=5))
    storage.set_trial_param(other, "c", 0, CategoricalDistribution((math.nan, 1)))
    before = storage.next_seq()
    with pytest.raises(ValueError, match="different log configuration"):
        storage.set_trial_param(other, "f", 0.5, FloatDistribution(0.1, 1, log=True))
    with pytest.raises(ValueError, match="different distribution kind"):
        storage.set_trial_param(other, "f", 1, IntDistribution(0, 1))
    with pytest.raises(ValueError, match="does not support dynamic value space"):
        storage.set_trial_param(other, "c", 0, CategoricalDistribution((1, math.nan)))
    assert storage.next_seq() == before


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_deprecated_distributions_are_converted(storage: JournalStorage, trial_id: int) -> None:
    from optuna import distributions

    if not hasattr(distributions, "UniformDistribution"):
        pytest.skip(f"optuna {optuna.__version__} has no deprecated distributions any more")
    cases = [
        (distributions.UniformDistribution(0, 1), FloatDistribution(0, 1)),
        (distributions.LogUniformDistribution(1, 2), FloatDistribution(1, 2, log=True)),
        (distributions.DiscreteUniformDistribution(0, 1, 0.5), FloatDistribution(0, 1, step=0.5)),
        (distributions.IntUniformDistribution(0, 4, 2), IntDistribution(0, 4, step=2)),
        (distributions.IntLogUniformDistribution(1, 4), IntDistribution(1, 4, log=True)),
    ]
    for i, (old, new) in enumerate(cases):
        storage.set_trial_param(trial_id, f"p{i}", 1.0, old)
        assert storage.get_trial(trial_id).distributions[f"p{i}"] == new


@pytest.mark.parametrize(
    ("internal", "distribution", "error"),
    [
        (math.nan, IntDistribution(0, 1), ValueError),
        (math.inf, IntDistribution(0, 1), OverflowError),
        (2, CategoricalDistribution(("a", "b")), IndexError),
        (-1, CategoricalDistribution(("a", "b")), IndexError),
        ("x", FloatDistribution(0, 1), TypeError),
        (0.5, "no distribution", TypeError),
        (0, CategoricalDistribution((np.int64(1),)), TypeError),
    ],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
def test_a_param_that_means_nothing_raises_before_anything_is_written(
    storage: JournalStorage, trial_id: int, internal: Any, distribution: Any, error: type[Exception]
) -> None:
    before = storage.next_seq()
    with pytest.raises(error):
        storage.set_trial_param(trial_id, "x", internal, distribution)
    assert storage.next_seq() == before


def test_a_value_longer_than_the_limit_is_refused_clearly(
    storage: JournalStorage, study_id: int
) -> None:
    before = storage.next_seq()
    with pytest.raises(ValueError, match=r"\d"):
        storage.set_study_user_attr(study_id, "key", "x" * (1 << 30))
    assert storage.next_seq() == before
    storage.set_study_user_attr(study_id, "key", "short")
    assert storage.get_study_user_attrs(study_id) == {"key": "short"}
