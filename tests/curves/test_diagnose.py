"""A diagnosis reads a curve as a practitioner would, in any unit and direction."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raymimic.curves import Curve, CurveHistory, Diagnosis, diagnose
from raymimic.records import Mode

EXCLUSIVE = [
    {"plateau", "improving", "ceiling"},
    {"overfitting", "underfitting", "stuck"},
    {"overfitting", "improving"},
    {"stuck", "slow_start"},
    {"ceiling", "underfitting"},
    {"oscillating", "plateau"},
]


def curve(**columns: object) -> Curve:
    length = len(next(iter(columns.values())))  # type: ignore[arg-type]
    return Curve(np.arange(1, length + 1), columns)  # type: ignore[arg-type]


def found(diagnosis: Diagnosis) -> list[tuple[str, int | None]]:
    return [(signal.kind, signal.onset) for signal in diagnosis.signals]


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=length)


E50 = np.arange(50.0)
DOCS = {
    "train_loss": [2.30, 1.6, 1.1, 0.8, 0.55, 0.4, 0.28, 0.2, 0.13, 0.09],
    "val_loss": [1.52, 1.41, 1.35, 1.40, 1.47, 1.55, 1.63, 1.72, 1.80, 1.89],
}
BINARY = {
    "train_loss": [0.69, 0.5, 0.38, 0.28, 0.2, 0.15, 0.11, 0.08, 0.06, 0.05],
    "val_loss": [0.5, 0.38, 0.32, 0.30, 0.302, 0.31, 0.316, 0.324, 0.332, 0.34],
}
# The training loss of a recurrent net with too high a learning rate, setting 444 of TaskSet's
# imdb_patch32_GRU128_bs128.
BLOWN_UP = [
    0.887, 0.916, 0.865, 0.772, 1.051, 3.457, 1.118, 1.666, 1.041, 1.025, 2.142, 1.491, 0.694,
    0.777, 0.979, 0.968, 1.653, 2.339, 1.81, 0.983, 0.929, 1.65, 0.901, 1.146, 0.969, 1.275,
    0.793, 0.763, 1.183, 0.845, 1.186, 1.11, 0.83, 0.95, 0.875, 0.73, 0.758, 0.922, 0.71, 0.749,
    0.715, 0.737, 0.705, 0.782, 0.685, 0.678, 0.703, 0.69, 0.717, 0.669,
]  # fmt: skip

CASES: dict[str, tuple[dict, list[tuple[str, int | None]]]] = {
    "ten-class overfit": (DOCS, [("overfitting", 3)]),
    "binary overfit": (BINARY, [("overfitting", 4)]),
    "the same in other units": (
        {name: [0.01 * x for x in xs] for name, xs in BINARY.items()},
        [("overfitting", 4)],
    ),
    "noisy overfit": (
        {
            "train_loss": 0.1 + 2 * np.exp(-E50 / 8) + 0.01 * noise(50, 1),
            "val_loss": 0.5 + 1.5 * np.exp(-E50 / 6) + 0.01 * E50 + 0.01 * noise(50, 2),
        },
        [("overfitting", 20)],
    ),
    "memorised, never generalised": (
        {"train_loss": DOCS["train_loss"], "val_loss": 2.3 + 0.01 * noise(10)},
        [("overfitting", 1)],
    ),
    "validation 1e-4 above its best": (
        {
            "train_loss": [2.3, 1.2, 0.8, 0.5, 0.35, 0.25, 0.18, 0.14, 0.11, 0.09, 0.08, 0.07],
            "val_loss": [2.0, 1.2, 0.8, 0.6, 0.5, 0.45, 0.42, 0.41, 0.40, 0.395, 0.39, 0.3901],
        },
        [("plateau", 6)],
    ),
    "learnt in the first epoch, then memorised": (
        {
            "train_loss": [
                0.3282,
                0.2498,
                0.13,
                0.06121,
                0.02239,
                0.006439,
                0.01207,
                0.007,
                0.003693,
                0.001994,
                0.0009929,
                0.0006815,
                0.000337,
                0.0003,
                0.0002171,
            ],
            "val_loss": [
                0.4825,
                0.6637,
                0.52,
                0.4382,
                0.4248,
                0.4205,
                0.4651,
                0.44,
                0.4202,
                0.389,
                0.3792,
                0.4019,
                0.3736,
                0.39,
                0.3945,
            ],
        },
        [],  # and above all not underfitting
    ),
    "learnt nearly all at once, with setbacks": (
        {
            "train_loss": [
                0.5484,
                0.314,
                0.2152,
                0.2103,
                0.1071,
                0.0931,
                0.0541,
                0.1155,
                0.0346,
                0.0396,
                0.0803,
                0.0222,
                0.0174,
                0.0169,
                0.0101,
            ],
            "val_loss": [
                0.707,
                0.4942,
                0.4382,
                0.4402,
                0.3704,
                0.4094,
                0.3584,
                0.4867,
                0.3543,
                0.3627,
                0.5027,
                0.3316,
                0.3554,
                0.3525,
                0.3316,
            ],
        },
        [],  # and above all not underfitting
    ),
    "still falling when both slowed": (
        {
            "train_loss": [
                2.202,
                1.719,
                1.077,
                0.765,
                0.706,
                0.507,
                0.41,
                0.466,
                0.427,
                0.312,
                0.343,
                0.325,
                0.289,
                0.26,
                0.297,
            ],
            "val_loss": [
                2.206,
                1.751,
                1.162,
                0.878,
                0.834,
                0.646,
                0.573,
                0.592,
                0.565,
                0.476,
                0.501,
                0.483,
                0.456,
                0.427,
                0.44,
            ],
        },
        [("improving", None)],
    ),
    "a slow descent to the end": (
        {
            "train_loss": [
                1.427,
                0.651,
                0.415,
                0.322,
                0.288,
                0.244,
                0.2,
                0.201,
                0.165,
                0.133,
                0.123,
                0.108,
                0.107,
                0.087,
                0.067,
            ],
            "val_loss": [
                1.486,
                0.762,
                0.556,
                0.466,
                0.435,
                0.396,
                0.373,
                0.365,
                0.342,
                0.327,
                0.327,
                0.319,
                0.321,
                0.297,
                0.291,
            ],
        },
        [("improving", None)],
    ),
    "flat together, but with a gap of a twelfth of the way": (
        {
            "train_loss": 0.10 + 2 * np.exp(-E50 / 2) + 0.002 * noise(50, 1),
            "val_loss": 0.26 + 2 * np.exp(-E50 / 2) + 0.002 * noise(50, 2),
        },
        [("plateau", 7)],
    ),
    "stuck at chance": (
        {"train_loss": 0.693 + 1e-4 * noise(20, 1), "val_loss": 0.693 + 1e-4 * noise(20, 2)},
        [("stuck", 1)],
    ),
    "a descent that has come to rest": (
        {
            "train_loss": 0.678 + 0.0141 * np.exp(-E50 / 9),
            "val_loss": 0.679 + 0.0141 * np.exp(-E50 / 9),
        },
        [("plateau", 27)],
    ),
    "a loss that blew up for a while is not underfitting": (
        {"train_loss": BLOWN_UP, "val_loss": [value + 0.01 for value in BLOWN_UP]},
        [("oscillating", 6)],
    ),
    "exactly constant": ({"val_loss": [0.693] * 4}, [("stuck", 1)]),
    "healthy regression": (
        {"train_loss": np.linspace(100, 20, 20), "val_loss": np.linspace(104, 25, 20)},
        [("improving", None)],
    ),
    "healthy regression, slowing": (
        {"train_loss": 20 + 80 * np.exp(-E50 / 15), "val_loss": 24 + 80 * np.exp(-E50 / 15)},
        [("improving", None)],
    ),
    "barely left its start": (
        {
            "train_loss": 2.303 - 0.0002 * E50 + 0.002 * noise(50, 1),
            "val_loss": 2.310 - 0.0002 * E50 + 0.002 * noise(50, 2),
        },
        [("underfitting", 1), ("improving", None)],
    ),
    "grew to 1e9": (
        {
            "train_loss": [2.3, 2.1, 9, 300, 1e5, 1e7, 1e9],
            "val_loss": [2.3, 2.2, 10, 400, 1e5, 1e7, 1e9],
        },
        [("diverged", 3)],
    ),
    "training climbs above its start": (
        {
            "train_loss": 2.3 + 0.05 * np.abs(E50 - 6) + 0.01 * noise(50, 1),
            "val_loss": 2.3 + 0.02 * noise(50),
        },
        [("diverged", 14)],
    ),
    "jumped and stayed there": (
        {"val_loss": [2.2, 2.1, 4.0, *[1e4] * 10]},
        [("diverged", 3)],
    ),
    "a spike that came back": (
        {"val_loss": [*(2 * np.exp(-E50[:20] / 4)), 90.0, *(2 * np.exp(-E50[20:49] / 4))]},
        [("plateau", 13)],
    ),
    "capacity ceiling": (
        {
            "train_loss": 1 + 1.3 * np.exp(-E50 / 3) + 0.01 * noise(50, 1),
            "val_loss": 1.03 + 1.3 * np.exp(-E50 / 3) + 0.01 * noise(50, 2),
        },
        [("ceiling", 11)],
    ),
    "plateau while training goes on": (
        {"train_loss": 2.3 - 0.04 * E50, "val_loss": 1 + 1.3 * np.exp(-E50 / 3)},
        [("plateau", 10)],
    ),
    "slow start": (
        {"val_loss": 1 + 1 / (1 + np.exp((E50 - 35) / 3)) + 0.003 * noise(50)},
        [("improving", None), ("slow_start", 27)],
    ),
    "exploding initialisation": (
        {"val_loss": [50, 2.3, 1.9, 1.6, 1.4, 1.2, 1.0, 0.9, 0.8, 0.7]},
        [("improving", None)],
    ),
    "worse since its best, no training column": (
        {"val_loss": [2.3, 1.7, 1.4, 1.35, 1.4, 1.5, 1.6, 1.7, 1.8, 1.89]},
        [("plateau", 4)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    columns, expected = CASES[name]
    assert found(diagnose(curve(**columns), "val_loss", "min")) == expected


def test_the_words_of_an_overfit() -> None:
    assert diagnose(curve(**DOCS), "val_loss", "min").text == (
        "overfitting since epoch 3: train 2.30 -> 0.09 while val 1.35 -> 1.89 "
        "(best 1.35 at epoch 3)"
    )


def test_a_gain_of_less_than_an_epochs_luck_is_no_improvement() -> None:
    """A trend that is real but below the noise: a mind read "still improving: .694 -> .694"."""
    slow = [
        0.7179,
        0.7178,
        0.7138,
        0.7107,
        0.7104,
        0.7114,
        0.7061,
        0.7077,
        0.7051,
        0.7029,
        0.7033,
        0.7040,
        0.7028,
    ]
    slow += [
        0.7005,
        0.7003,
        0.7013,
        0.7002,
        0.6997,
        0.6988,
        0.6991,
        0.6995,
        0.6978,
        0.6991,
        0.6987,
        0.6983,
    ]
    assert "improving" not in diagnose(curve(val_loss=slow), "val_loss", "min").kinds


def test_what_still_improves_is_said_by_its_trend_not_by_two_lucky_epochs() -> None:
    falling = 30.0 - 0.3 * E50
    falling[[-13, -1]] += (-3.0, 3.0)
    text = diagnose(curve(val_loss=falling), "val_loss", "min").text
    first, last = (
        float(word) for word in text.split("val_loss ")[1].split(" over")[0].split(" -> ")
    )
    assert "still improving" in text
    assert last < first


def test_a_training_that_jumps_about_is_not_called_underfitting() -> None:
    wild = [
        3.5,
        4.6,
        3.8,
        5.1,
        5.9,
        8.4,
        3.6,
        3.6,
        4.1,
        6.6,
        4.2,
        6.1,
        6.7,
        7.6,
        6.7,
        7.5,
        5.9,
        9.3,
    ]
    wild += [3.3, 6.5, 7.7, 4.7, 9.6, 6.1, 8.6, 11.1, 10.8, 9.8, 5.3, 9.5, 9.6, 6.6, 6.4, 1.6, 8.5]
    wild += [5.4, 6.2, 7.6, 2.9, 2.4, 3.1, 2.7, 3.7, 2.6, 3.8, 3.2, 2.6, 2.2, 2.4, 2.7]
    both = curve(train_loss=wild, val_loss=[value - 0.03 for value in wild])
    assert "underfitting" not in diagnose(both, "val_loss", "min").kinds


def test_oscillation_is_neither_stuck_nor_plateau() -> None:
    saw = curve(val_loss=[2.3, 0.8, 2.1, 0.7, 2.2, 0.9, 2.0, 0.8])
    slow = curve(val_loss=1 + np.sin(E50 * 2 * np.pi / 10))
    for each in (saw, slow):
        assert diagnose(each, "val_loss", "min").kinds == {"oscillating"}


def test_accuracy_rises_overfits_and_collapses() -> None:
    up = 0.9 - 0.8 * np.exp(-E50 / 20)
    assert diagnose(curve(acc=up), "acc", "max").kinds == {"improving"}
    down = np.where(E50 < 20, up, up[20] - 0.01 * (E50 - 20))
    overfit = diagnose(curve(acc=up, val_acc=down), "val_acc", "max")
    assert found(overfit) == [("overfitting", 21)]
    collapse = np.where(E50 < 40, up, 0.1)
    assert "improving" not in diagnose(curve(acc=collapse), "acc", "max")


def test_rewards() -> None:
    name = "episode_reward_mean"
    rising = diagnose(curve(**{name: 20 + 2 * E50 + 10 * noise(50)}), name, "max")
    assert rising.kinds == {"improving"}
    falling = diagnose(curve(**{name: -100 - 8 * E50 + 10 * noise(50)}), name, "max")
    assert found(falling)[0][0] == "diverged"
    history = CurveHistory()
    for epoch in range(1, 21):  # no episode has ended during the first iterations
        history.append("A", epoch, {name: math.nan if epoch < 4 else 5.0 * epoch})
    assert diagnose(history.curve("A"), name, "max").kinds == {"improving"}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("metric", ["val_loss", "accuracy"])
def test_reported_non_finite_loss_is_divergence(value: float, metric: str) -> None:
    history = CurveHistory()
    for epoch in range(1, 8):
        loss = 2.3 - 0.1 * epoch if epoch < 5 else value
        history.append("A", epoch, {"train_loss": loss, "val_loss": 2.0, "accuracy": 0.1})
    diagnosis = diagnose(history.curve("A"), metric, "min")
    assert found(diagnosis) == [("diverged", 5)]
    assert "train_loss" in diagnosis.text


def test_unreported_values_are_gaps() -> None:
    history = CurveHistory()
    for epoch in range(1, 51):
        metrics = {"train_loss": 2.3 * math.exp(-epoch / 12)}
        if epoch % 5 == 0 and epoch < 50:
            metrics["val_loss"] = DOCS["val_loss"][epoch // 5 - 1]
        history.append("A", epoch, metrics)
    assert found(diagnose(history.curve("A"), "val_loss", "min")) == [("overfitting", 15)]


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        ("train_loss", "val_loss"),
        ("loss", "val_loss"),
        ("train/loss", "val/loss"),
        ("training_loss", "validation_loss"),
        ("loss_train", "loss_valid"),
        ("loss", "eval_loss"),
        ("train_loss", "test_loss"),
        ("train_loss", "loss"),
        ("trainLoss", "valLoss"),
        ("train_losses", "val_losses"),
        ("ptl/train_loss", "ptl/val_loss"),
        ("train_accuracy", "val_acc"),
    ],
)
def test_pairs_are_found_by_name(train: str, held_out: str) -> None:
    columns = {held_out: DOCS["val_loss"], train: DOCS["train_loss"], "lr": [0.1] * 10}
    for metric in (held_out, train):
        assert found(diagnose(curve(**columns), metric, "min"))[0] == ("overfitting", 3)


def test_a_target_without_partner_leans_on_the_losses() -> None:
    columns = {**DOCS, "mean_accuracy": [0.3, 0.5, 0.58, 0.6, 0.61, 0.6, 0.61, 0.6, 0.6, 0.61]}
    diagnosis = diagnose(curve(**columns), "mean_accuracy", "max")
    assert diagnosis.primary is not None
    assert diagnosis.primary.kind == "overfitting"
    assert "val_loss 1.35 -> 1.89" in diagnosis.text


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_short_curves_are_left_alone(length: int) -> None:
    columns = {name: values[:length] for name, values in DOCS.items()}
    assert diagnose(curve(**columns), "val_loss", "min") == Diagnosis()
    assert diagnose(curve(**columns), "unknown", "min") == Diagnosis()
    assert Diagnosis().text == "no clear signal"


# --- properties


def random_shape(seed: int) -> dict[str, np.ndarray]:
    """Train and validation curves of any kind, with noise between none and a lot."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    epochs = np.arange(n)
    decay = np.exp(-epochs / rng.uniform(1, 60))
    sigma = 10 ** rng.uniform(-4, 0) * rng.integers(0, 2)
    rise = rng.choice([0, 0, 1, -1]) * 10 ** rng.uniform(-4, -1) * epochs ** rng.uniform(0.5, 3)
    train = decay * rng.uniform(0, 3) + rng.choice([0, 1]) * rise + sigma * rng.normal(size=n)
    val = decay * rng.uniform(0, 3) + rise + sigma * rng.normal(size=n) + rng.uniform(0, 0.3)
    return {"train_loss": train, "val_loss": val}


def transformed(
    columns: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: change(values) for name, values in columns.items()}


@given(st.integers(0, 2**32), st.integers(-60, 60), st.integers(-1000, 1000))
@settings(max_examples=300, deadline=None)
def test_scale_shift_and_direction_change_nothing(seed: int, power: int, shift: int) -> None:
    # Numbers with few bits, so that the change itself rounds nothing away.
    columns = transformed(random_shape(seed), lambda values: np.round(values * 2**20) / 2**20)
    expected = found(diagnose(curve(**columns), "val_loss", "min"))
    moved = transformed(columns, lambda values: (values + shift) * 2.0**power)
    assert found(diagnose(curve(**moved), "val_loss", "min")) == expected
    flipped = transformed(moved, np.negative)
    assert found(diagnose(curve(**flipped), "val_loss", "max")) == expected


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("scale", "shift"), [(0.01, 0.0), (37.3, -120.7), (1e-6, 0.5), (1e6, 7.7)])
def test_cases_hold_in_any_unit(name: str, scale: float, shift: float) -> None:
    columns, expected = CASES[name]
    moved = {key: scale * np.array(values) + shift for key, values in columns.items()}
    assert found(diagnose(curve(**moved), "val_loss", "min")) == expected
    flipped = {key: -values for key, values in moved.items()}
    assert found(diagnose(curve(**flipped), "val_loss", "max")) == expected


@pytest.mark.parametrize("length", [5, 6, 8, 12, 20, 50, 120])
@pytest.mark.parametrize("stepped", [False, True])
def test_flat_noise_is_no_trend(length: int, stepped: bool) -> None:
    seen: Counter[str] = Counter()
    for seed in range(400):
        values = np.random.default_rng(seed).normal(10, 1, size=(2, length))
        if stepped:  # as accuracy on a few samples: mostly one value, now and then the next
            values = (0.35 * values).round()
        seen.update(
            diagnose(curve(train_loss=values[0], val_loss=values[1]), "val_loss", "min").kinds
        )
        seen.update(f"lone {kind}" for kind in diagnose(curve(x=values[0]), "x", "max").kinds)
    assert seen.pop("stuck") > 200
    assert seen.pop("lone stuck") > 250
    assert all(count <= 0.02 * 400 for count in seen.values()), seen


@pytest.mark.parametrize("length", [20, 50, 3000])
def test_noise_around_a_settled_validation_is_no_overfitting(length: int) -> None:
    epochs, called = np.arange(length) / length, 0
    for seed in range(200):
        train = np.exp(-3 * epochs) + 0.01 * noise(length, seed)
        val = 0.3 + np.exp(-20 * epochs) + 0.05 * noise(length, seed + 1000)
        called += "overfitting" in diagnose(curve(loss=train, val_loss=val), "val_loss", "min")
    assert called <= 0.02 * 200


ANY = st.floats() | st.sampled_from([0.0, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, 1.0, 2.0])
TABLES = st.integers(0, 12).flatmap(
    lambda n: st.dictionaries(
        st.sampled_from(["train_loss", "val_loss", "loss", "acc", "val_acc"]),
        st.lists(ANY, min_size=n, max_size=n),
        min_size=1,
    )
)


@given(TABLES, st.sampled_from(["val_loss", "loss", "acc", "nothing"]), st.booleans())
@settings(max_examples=500, deadline=None)
@example({"loss": [1.7e308, -1.7e308] * 20}, "loss", True)
@example({"loss": [5e-324, 0.0, 1e-310] * 5, "val_loss": [1e300] * 15}, "loss", True)
@pytest.mark.filterwarnings("error")
def test_no_values_make_it_fail(table: dict[str, list[float]], metric: str, low: bool) -> None:
    mode: Mode = "min" if low else "max"
    for name in table:
        for nans in ({}, {name: frozenset({1, 2})}):
            columns = {key: np.array(values) for key, values in table.items()}
            diagnosis = diagnose(Curve(np.arange(len(columns[name])), columns, nans), metric, mode)
            kinds = diagnosis.kinds
            assert len(kinds) == len(diagnosis.signals)
            assert all(len(kinds & group) <= 1 for group in EXCLUSIVE)
            assert not ({"diverged", "stuck"} & kinds) or len(kinds) == 1


def test_signals_that_exclude_each_other_never_meet() -> None:
    for seed in range(500):
        kinds = diagnose(curve(**random_shape(seed)), "val_loss", "min").kinds
        assert all(len(kinds & group) <= 1 for group in EXCLUSIVE), kinds


def test_it_is_cheap_enough_for_the_controller() -> None:
    columns, _ = CASES["noisy overfit"]
    each = curve(**columns)
    best = math.inf
    for _ in range(50):
        start = time.perf_counter()
        diagnose(each, "val_loss", "min")
        best = min(best, time.perf_counter() - start)
    assert best < 0.002  # about 0.15 ms on a laptop; the bound leaves room for slow machines


def test_a_short_curve_without_a_signal_says_that_it_is_short() -> None:
    for losses in ([1.0], [1.0, 0.8, 0.7, 0.65, 0.63]):
        found = diagnose(curve(loss=losses), "loss", "min")
        assert found.text == "too few epochs to tell"
