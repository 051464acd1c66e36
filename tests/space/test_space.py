"""The search space through its public door: property tests first, then the rules one by one."""

from __future__ import annotations

import copy
import json
import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raymimic.errors import ConfigError, SpaceError
from raymimic.space import Choice, FloatRange, IntRange, Normal, SearchSpace


class Thing:
    """An object that only equals itself."""


class Ambiguous:
    """Compares like an array: its equality has no truth value."""

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])

    __hash__ = None  # type: ignore[assignment]


THINGS = [
    Thing(),
    Thing(),
    Thing,
    Ambiguous(),
    len,
    np.array([1, 2]),
    np.int64(7),
    float("inf"),
    {1: 2},
]


def _ordered(draw: Any, numbers: Any) -> tuple[Any, Any]:
    low, high = sorted((draw(numbers), draw(numbers)))
    return low, high


@st.composite
def float_ranges(draw: Any) -> FloatRange:
    log = draw(st.booleans())
    low, high = _ordered(draw, st.floats(1e-300 if log else -1e300, 1e300))
    return FloatRange(low, high, log)


@st.composite
def stepped_ranges(draw: Any) -> FloatRange:
    log = draw(st.booleans())
    step = draw(st.sampled_from([0.1, 0.25, 5e-5, 1 / 3, 3.0, 1e-12]))
    first, last = _ordered(draw, st.integers(1 if log else -10_000, 10_000))
    return FloatRange(first * step, last * step, log, step)


@st.composite
def int_ranges(draw: Any) -> IntRange:
    log = draw(st.booleans())
    step = draw(st.sampled_from([1, 1, 3, 16]))
    first, last = _ordered(draw, st.integers(1 if log else -(10**30), 10**30))
    return IntRange(first * step, last * step, log, step)


@st.composite
def normals(draw: Any) -> Normal:
    step = draw(st.sampled_from([None, 0.2, 1.0]))
    return Normal(draw(st.floats(-1e6, 1e6)), draw(st.floats(1e-3, 1e6)), step)


json_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
garbage = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@st.composite
def choices(draw: Any) -> Choice:
    values = draw(
        st.lists(
            garbage | st.tuples(json_scalars) | st.sampled_from(THINGS), min_size=1, max_size=6
        )
    )
    texts = [f"{type(value)}{value!r}" for value in values]
    return Choice(tuple(v for i, v in enumerate(values) if texts[i] not in texts[:i]))


dimensions = st.one_of(float_ranges(), stepped_ranges(), int_ranges(), normals(), choices())
spaces = st.dictionaries(st.text(min_size=1, max_size=8), dimensions, max_size=5).map(SearchSpace)
seeds = st.integers(0, 2**32).map(random.Random)


def inside(dimension: Any, value: Any) -> bool:
    if isinstance(dimension, Choice):
        return any(value is mine for mine in dimension.values)
    if isinstance(dimension, IntRange):
        on_grid = value % dimension.step == 0
        return type(value) is int and dimension.low <= value <= dimension.high and on_grid
    if type(value) is not float or not math.isfinite(value):
        return False
    return isinstance(dimension, Normal) or dimension.low <= value <= dimension.high


def assert_identical(a: dict[str, Any], b: dict[str, Any]) -> None:
    assert list(a) == list(b)
    for name, value in a.items():
        same = type(value) is type(b[name]) and value == b[name]
        assert value is b[name] or (isinstance(value, int | float) and same)


# --- properties ---------------------------------------------------------------------------------


@given(spaces, seeds)
def test_a_sample_lies_inside_and_passes_the_check_unchanged(space, rng):
    config = space.sample(rng)
    assert all(inside(dim, config[name]) for name, dim in space.dimensions.items())
    checked, repairs = space.check(config)
    assert repairs == ()
    assert_identical(checked, config)


@given(spaces, seeds)
def test_what_is_shown_survives_json_and_comes_back_exactly(space, rng):
    config = space.sample(rng)
    shown = json.loads(json.dumps(space.show(config), allow_nan=False))
    checked, repairs = space.check(shown)
    assert repairs == ()
    assert_identical(checked, config)


@given(spaces, st.data())
def test_garbage_gives_a_config_inside_or_a_config_error(space, data):
    keys = st.sampled_from(list(space.dimensions)) if space.dimensions else st.text()
    raw = data.draw(st.dictionaries(keys | st.text(), garbage) | garbage)
    try:
        config, repairs = space.check(raw)
    except ConfigError:
        return
    assert all(inside(dim, config[name]) for name, dim in space.dimensions.items())
    assert all(isinstance(repair, str) for repair in repairs)
    again, more = space.check(config)
    assert_identical(again, config)
    assert more == ()


@given(st.one_of(float_ranges(), stepped_ranges(), int_ranges(), choices()), seeds)
def test_unit_coordinates_round_trip(dimension, rng):
    value = dimension.sample(rng)
    u = dimension.to_unit(value)
    assert 0.0 <= u <= 1.0
    back = dimension.from_unit(u)
    assert inside(dimension, back)
    assert dimension.to_unit(back) == pytest.approx(u, abs=1e-9)


@given(dimensions, st.floats(-1, 2))
def test_every_place_is_a_valid_value(dimension, u):
    assert inside(dimension, dimension.from_unit(u))


@given(normals(), st.floats(0.001, 0.999))
def test_a_normal_is_laid_out_by_its_distribution(normal, u):
    value = normal.from_unit(u)
    tolerance = 1e-6 if normal.step is None else 0.5 * normal.step / normal.sd
    assert normal.to_unit(value) == pytest.approx(u, abs=tolerance)


@given(spaces, seeds)
def test_equal_configs_share_a_key_and_distance_is_a_metric(space, rng):
    a, b = space.sample(rng), space.sample(rng)
    assert space.key(a) == space.key(space.check(space.show(a))[0])
    assert hash(space.key(a)) == hash(space.key(dict(a)))
    assert space.distance(a, a) == 0.0
    assert 0.0 <= space.distance(a, b) == space.distance(b, a) <= 1.0
    assert len(space.encode(a)) == len(space.dimensions)


@given(spaces, seeds)
@example(SearchSpace({"x": Choice((1.0, math.nan))}), random.Random(2))
def test_a_space_survives_json_pickle_and_deepcopy(space, rng):
    config = space.sample(rng)
    loaded = SearchSpace.from_json(json.loads(json.dumps(space.to_json(), allow_nan=False)))
    assert loaded.describe() == space.describe()
    assert loaded.schema() == space.schema()
    # A ledger keeps what `show` wrote; the loaded space must read it to the same thing.
    assert loaded.show(loaded.check(space.show(config))[0]) == space.show(config)

    unpickled, its_config = pickle.loads(pickle.dumps((space, config)))
    assert unpickled.show(its_config) == space.show(config)
    assert copy.deepcopy(space).check(config)[1] == ()


# --- the rules of repair ------------------------------------------------------------------------

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-4, 1e-1, log=True),
        "drop": FloatRange(0.0, 0.5, step=0.1),
        "width": IntRange(16, 256, step=16),
        "depth": IntRange(2, 12),
        "opt": Choice(("adam", "sgd", None)),
    }
)
GOOD = {"lr": 0.01, "drop": 0.3, "width": 64, "depth": 3, "opt": "adam"}


@pytest.mark.parametrize(
    ("key", "raw", "value", "repair"),
    [
        ("lr", 0.19, 0.1, "lr: 0.19 is above 0.1, clamped"),  # a tenth of 3 decades: a factor of 2
        ("lr", 0.21, None, None),
        ("lr", 0.11, 0.1, "lr: 0.11 is above 0.1, clamped"),
        ("lr", 9e-5, 1e-4, "lr: 9e-05 is below 0.0001, clamped"),
        ("lr", "0.02", 0.02, "lr: '0.02' read as a number"),
        ("drop", 0.33, 0.3, "drop: 0.33 is no multiple of 0.1, moved to 0.3"),
        ("drop", 3 * 0.1, 3 * 0.1, ""),
        ("drop", 0, 0.0, ""),
        ("width", 64.0, 64, ""),
        ("width", 63.7, 64, "width: 63.7 rounded to 64"),
        ("width", 70, 64, "width: 70 is no multiple of 16, moved to 64"),
        ("width", 260, 256, "width: 260 is above 256, clamped"),
        ("width", 300, None, None),
        ("depth", 13, 12, "depth: 13 is above 12, clamped"),
        ("depth", 14, None, None),
        ("depth", True, None, None),
        ("lr", math.nan, None, None),
        ("lr", "nan", None, None),
        ("lr", math.inf, None, None),
        ("depth", 10**400, None, None),
        pytest.param("depth", 10**5000, None, None, id="unprintable"),
        ("lr", -0.001, None, None),
        ("lr", [0.1], None, None),
        ("opt", "Adam", None, None),
        ("opt", ["adam"], None, None),
        ("opt", None, None, ""),
    ],
)
def test_mends_what_is_clear_and_refuses_the_rest(key, raw, value, repair):
    if repair is None:
        with pytest.raises(ConfigError, match=rf"^{key}: "):
            SPACE.check({**GOOD, key: raw})
        return
    config, repairs = SPACE.check({**GOOD, key: raw})
    assert config == {**GOOD, key: value}
    assert type(config[key]) is type(value)
    assert repairs == ((repair,) if repair else ())


def test_mending_never_leaves_the_bounds():
    odd = FloatRange(0.0, 500.0, step=5 / 6)  # 600 steps are 500.00000000000006 in decimals
    assert odd.read(499.9)[0] == odd.from_unit(1.0) == 500.0
    with pytest.raises(ConfigError, match="far below"):
        FloatRange(10.0, 1e300, log=True).read(5e-324)


def test_a_refusal_names_the_value_and_the_cure():
    with pytest.raises(ConfigError, match=r"lr: 5.0 is far above 0.1: keep to 0.0001 … 0.1"):
        SPACE.check({**GOOD, "lr": 5.0})
    with pytest.raises(ConfigError, match=r'opt: must be one of "adam", "sgd", null, got \'rms\''):
        SPACE.check({**GOOD, "opt": "rms"})


def test_all_faults_are_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        SPACE.check({"lr": "fast", "width": 4096, "opt": "adam", "drop": 0.1})
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["lr", "width", "depth"]
    assert "missing, must be integer from 2 to 12" in caught.value.faults[2]


def test_unknown_keys_are_dropped_with_a_note():
    config, repairs = SPACE.check({**GOOD, "momentum": 0.9})
    assert config == GOOD
    assert repairs == ("unknown key 'momentum' dropped",)


# --- categories ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (0, 1),
        ("1", 1),
        (True, 1),
        (1, 1.0),
        (None, "None", "null"),
        ([32, 32], [64], {"a": [1]}),
        ((1, 2), [1, 2], "(1, 2)"),
        ([1], [True], [1.0]),
        (Thing(), Thing(), Thing),
        (Ambiguous(), Ambiguous(), np.array([1, 2])),
        (("__ref_ph", "1f3c"), ("__ref_ph", "99aa")),
        tuple(np.logspace(-3, -1, 3)),
    ],
)
def test_categories_come_back_as_the_very_objects_the_user_gave(values):
    space = SearchSpace({"c": Choice(values)})
    shown = [json.dumps(space.show({"c": value})) for value in values]
    assert len(set(shown)) == len(values)
    for value, text in zip(values, shown, strict=True):
        config, repairs = space.check(json.loads(text))
        assert config["c"] is value
        assert repairs == ()


@pytest.mark.parametrize(
    ("values", "raw", "index", "repairs"),
    [
        ((16, 32), 16.0, 0, ()),
        ((16, 32), "32", 1, ("c: '32' read as 32",)),
        ((16, 32), "32.0", 1, ("c: '32.0' read as 32",)),
        ((False, True), "True", 1, ("c: 'True' read as true",)),
        ((np.float64(0.1), np.float64(0.2)), 0.2, 1, ()),
        (("16", 16), 16, 1, ()),
        (("16", 16), 16.0, 1, ()),
    ],
)
def test_a_category_is_found_by_label_or_equal_number(values, raw, index, repairs):
    config, notes = SearchSpace({"c": Choice(values)}).check({"c": raw})
    assert config["c"] is values[index]
    assert notes == repairs


def test_equal_numbers_are_told_apart_by_label():
    assert Choice((1, 1.0, True, 2)).shown == ("1", "1.0", True, 2)


def test_a_bool_is_no_number_among_categories():
    with pytest.raises(ConfigError, match="got True"):
        SearchSpace({"c": Choice((0, 1))}).check({"c": True})


def test_labels_do_not_carry_memory_addresses():
    assert Choice((Thing(), Thing(), Thing)).labels == (
        "<test_space.Thing object>",
        "<test_space.Thing object> #2",
        "Thing",
    )


def test_numbers_are_ordered_however_they_are_listed():
    assert Choice((16, 32.5, np.int64(64))).ordered
    falling = Choice((64, 16, 32))
    assert falling.ordered
    assert [falling.to_unit(value) for value in (16, 32, 64)] == [0.0, 0.5, 1.0]
    assert [falling.from_unit(unit) for unit in (0.0, 0.5, 1.0)] == [16, 32, 64]
    assert not Choice((False, True)).ordered
    assert not Choice((16, 16.0)).ordered
    assert not Choice(("a", "b")).ordered
    space = SearchSpace({"n": Choice((16, 32, 64)), "s": Choice(("a", "b", "c"))})
    assert space.distance({"n": 16, "s": "a"}, {"n": 32, "s": "b"}) == (0.5 + 1) / 2


def test_layer_lists_stand_by_their_size():
    layers = Choice(([256, 256], [64], (64, 64), [128]))
    assert layers.graded
    assert not layers.ordered  # no numbers: nobody can say "the best is 200"
    assert [layers.from_unit(place / 3) for place in range(4)] == [
        [64],
        [128],
        (64, 64),
        [256, 256],
    ]
    assert [layers.to_unit(value) for value in layers.values] == [1.0, 0.0, 2 / 3, 1 / 3]
    orders = ([1, 2, 3], [3, 1, 2], [2, 3, 1])  # of three stages, say: none is larger
    for others in (orders, ([64], "none"), ([64], []), ([64], [0.5]), ([64], [True])):
        assert not Choice(others).graded


@pytest.mark.parametrize(
    "values",
    [
        range(10_000),
        [f"v{number}" for number in range(10_000)],
        [[number, number + 1] for number in range(1, 10_001)],
        [Thing() for _ in range(10_000)],  # all with one text
        [{"a": number, "b": [number]} for number in range(10_000)],
    ],
    ids=["numbers", "texts", "lists", "objects", "dicts"],
)
def test_many_values_are_no_burden(values):
    choice = Choice(tuple(values))
    config = {"c": choice.values[-1]}
    space = SearchSpace({"c": choice})
    looked_up = sum(
        choice.read(choice.show(choice.values[place]))[0] is choice.values[place]
        for place in range(0, choice.size, 7)
    )
    assert looked_up == len(range(0, choice.size, 7))
    assert space.check(space.show(config)) == (config, ())
    assert len(json.dumps(space.schema())) < 500
    assert len(space.describe()) < 10_000


# --- texts, sizes and limits --------------------------------------------------------------------


def test_describe_says_each_dimension_in_one_line():
    assert SPACE.describe().splitlines() == [
        "- lr: number from 0.0001 to 0.1, log scale",
        "- drop: number from 0.0 to 0.5, a multiple of 0.1",
        "- width: integer from 16 to 256, a multiple of 16",
        "- depth: integer from 2 to 12",
        '- opt: one of "adam", "sgd", null',
    ]


def test_schema_asks_for_exactly_our_keys():
    schema = SearchSpace(
        {"a": IntRange(1, 3), "b": Choice((None, [1])), "c": Normal(0, 1)}
    ).schema()
    assert schema == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 3},
            "b": {"enum": [None, "[1]"]},
            "c": {"type": "number"},
        },
        "required": ["a", "b", "c"],
        "additionalProperties": False,
    }


def test_size_counts_the_distinct_configurations():
    assert SearchSpace({}).size == 1
    assert SearchSpace({"a": IntRange(1, 9, step=2), "b": Choice(("x", "y"))}).size == 8
    assert SearchSpace({"a": FloatRange(0, 1, step=0.1), "b": FloatRange(2, 2)}).size == 11
    assert SPACE.size is None
    assert SearchSpace({"a": Normal(0, 1, step=1)}).size is None


def test_bounds_off_the_step_are_rounded_inwards():
    assert (IntRange(5, 99, step=10).low, IntRange(5, 99, step=10).high) == (10, 90)
    assert (FloatRange(0.05, 0.97, step=0.1).low, FloatRange(0.05, 0.97, step=0.1).high) == (
        0.1,
        0.9,
    )
    assert (IntRange(-7, -1, step=2).low, IntRange(-7, -1, step=2).high) == (-6, -2)


def test_integers_are_drawn_alike_and_the_log_favours_the_small():
    rng = random.Random(1)
    even = [IntRange(1, 4).sample(rng) for _ in range(4000)]
    assert all(900 < even.count(k) < 1100 for k in (1, 2, 3, 4))
    logs = [IntRange(1, 4, log=True).sample(rng) for _ in range(4000)]
    for k in (1, 2, 3, 4):
        assert logs.count(k) / 4000 == pytest.approx(math.log((k + 1) / k) / math.log(5), abs=0.03)


@settings(max_examples=20)
@given(st.integers(-50, 50))
def test_integers_beyond_floats_keep_their_last_digit(offset):
    top = 2**80
    space = SearchSpace({"n": IntRange(-top, top)})
    assert space.check({"n": top // 3 + offset}) == ({"n": top // 3 + offset}, ())
    assert IntRange(0, top).from_unit(1.0) == top


@pytest.mark.parametrize(
    "make",
    [
        lambda: FloatRange(1.0, 0.0),
        lambda: FloatRange(0.0, math.inf),
        lambda: FloatRange("0", 1.0),
        lambda: FloatRange(True, 2.0),
        lambda: FloatRange(0.0, 1.0, log=True),
        lambda: FloatRange(0.0, 1.0, step=0.0),
        lambda: FloatRange(0.11, 0.19, step=0.1),
        lambda: IntRange(3, 2),
        lambda: IntRange(0, 8, log=True),
        lambda: IntRange(0, 8, step=0),
        lambda: IntRange(0.5, 8),
        lambda: IntRange(11, 19, step=10),
        lambda: IntRange(0, 10**400),
        lambda: Normal(0.0, 0.0),
        lambda: Normal(math.nan, 1.0),
        lambda: Choice(()),
        lambda: Choice((1, 1)),
        lambda: Choice(([1], [1])),
        lambda: SearchSpace({"": IntRange(0, 1)}),
        lambda: SearchSpace({"a": [1, 2]}),
        lambda: SearchSpace.from_json({"dimensions": [{"name": "a", "kind": "complex"}]}),
        lambda: SearchSpace.from_json({}),
    ],
)
def test_spaces_that_cannot_be_searched_are_refused_with_the_value(make):
    with pytest.raises(SpaceError, match=r"must|needs") as caught:
        make()
    assert "got" in str(caught.value)


def test_a_space_is_read_only():
    with pytest.raises(TypeError):
        SPACE.dimensions["lr"] = IntRange(0, 1)
    with pytest.raises(AttributeError):
        SPACE.dimensions["lr"].low = 0.0


def test_a_config_without_a_key_is_named():
    with pytest.raises(ConfigError, match="depth: missing"):
        SPACE.encode({k: v for k, v in GOOD.items() if k != "depth"})
