from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.advisor.base import Advisor, SearchEvidence, TrialRecord
from raymimic.advisor.heuristic import HeuristicAdvisor
from raymimic.advisor.propose.random import RandomAdvisor
from raymimic.curves import Curve, Diagnosis, Signal
from raymimic.records import Budget, Config, TrialStatus
from raymimic.space import Choice, Dimension, FloatRange, IntRange, Normal, SearchSpace

NET = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "weight_decay": FloatRange(1e-6, 1e-1, log=True),
        "dropout": FloatRange(0.0, 0.6),
        "model/width": IntRange(8, 512, log=True),
        "n_layers": IntRange(1, 6),
        "batch_size": Choice((16, 32, 64, 128, 256)),
        "optimizer": Choice(("sgd", "adam", "adamw")),
        "activation": Choice(("relu", "tanh", "gelu")),
        "batch_norm": Choice((False, True)),
    }
)
PARENT: Config = {
    "lr": 0.03,
    "weight_decay": 1e-4,
    "dropout": 0.2,
    "model/width": 64,
    "n_layers": 3,
    "batch_size": 64,
    "optimizer": "adam",
    "activation": "relu",
    "batch_norm": True,
}


def trial(name: str, config: Config, score: float | None, **more: Any) -> TrialRecord:
    status: TrialStatus = "failed" if score is None else "done"
    return TrialRecord(name, config, status, "heuristic", score=score, **more)


def filler(space: SearchSpace, count: int, score: float = 9.0) -> list[TrialRecord]:
    """Bad random trials that bring the search past its opening."""
    rng = random.Random(5)
    return [trial(f"bad{i}", space.sample(rng), score + i) for i in range(count)]


def diagnosed(kind: str, text: str = "", onset: int = 2) -> Diagnosis:
    return Diagnosis((Signal(kind, onset, text or f"{kind} since epoch {onset}"),))  # type: ignore[arg-type]


def curve(epochs: int = 10) -> Curve:
    return Curve(np.arange(1, epochs + 1), {"loss": np.linspace(1.0, 0.5, epochs)})


def evidence(
    space: SearchSpace, trials: list[TrialRecord], mode: Any = "min", **more: Any
) -> SearchEvidence:
    return SearchEvidence(space, "val_loss", mode, tuple(trials), **more)


def search(
    space: SearchSpace, objective: Any, trials: int, advisor: Advisor, mode: Any = "min"
) -> list[TrialRecord]:
    done: list[TrialRecord] = []
    for number in range(trials):
        asked = evidence(space, done, mode, budget=Budget(trials, number))
        proposals = advisor.propose(asked, 1).proposals
        if not proposals:
            break
        proposal = proposals[0]
        done.append(trial(f"t{number}", proposal.config, objective(proposal.config)))
    return done


# --- first guesses ------------------------------------------------------------------------------


def first(dimensions: dict[str, Dimension], n: int = 1) -> list[Config]:
    advice = HeuristicAdvisor().propose(evidence(SearchSpace(dimensions), []), n)
    return [proposal.config for proposal in advice.proposals]


def test_a_net_starts_from_published_defaults() -> None:
    advice = HeuristicAdvisor().propose(evidence(NET, []), 1)
    config = advice.proposals[0].config
    assert config["optimizer"] == "adamw"
    assert config["lr"] == pytest.approx(1e-3)
    assert config["batch_size"] in (32, 64, 128)
    assert 0.1 <= config["dropout"] <= 0.5
    assert 1e-4 <= config["weight_decay"] <= 1e-2
    assert 64 <= config["model/width"] <= 256
    assert 2 <= config["n_layers"] <= 4
    assert config["batch_norm"] is True
    assert "0.001" in advice.proposals[0].rationale
    assert "Loshchilov & Hutter 2019" in advice.proposals[0].rationale


@pytest.mark.parametrize(
    ("dimensions", "name", "low", "high"),
    [
        ({"lr": FloatRange(1e-8, 10.0, log=True)}, "lr", 1e-3, 1e-3),
        ({"lr": FloatRange(1e-4, 1.0), "optimizer": Choice(("sgd",))}, "lr", 0.01, 0.1),
        ({"lr": FloatRange(0.05, 0.5)}, "lr", 0.05, 0.15),
        ({"lr": FloatRange(1e-5, 5e-4, log=True)}, "lr", 1e-4, 5e-4),
        ({"log_lr": FloatRange(-5.0, -1.0)}, "log_lr", -3.0, -3.0),
        ({"opt/beta1": FloatRange(0.0, 0.999)}, "opt/beta1", 0.9, 0.9),
        ({"epsilon": FloatRange(0.1, 0.5)}, "epsilon", 0.3, 0.3),  # of a bandit, not of Adam
        ({"adam_eps": FloatRange(1e-10, 1.0, log=True)}, "adam_eps", 1e-8, 1e-8),
        (
            {"alpha": FloatRange(1e-8, 1.0, log=True), "lr": FloatRange(1e-5, 1.0, log=True)},
            "alpha",
            1e-5,
            1e-3,
        ),
        (
            {
                "eta": FloatRange(1e-3, 1.0, log=True),
                "max_depth": IntRange(2, 12),
                "subsample": FloatRange(0.3, 1.0),
            },
            "eta",
            0.1,
            0.3,
        ),
        (
            {"lr": FloatRange(1e-6, 1e-2, log=True), "clip_range": FloatRange(0.05, 0.5)},
            "lr",
            3e-4,
            3e-4,
        ),
        ({"x1": FloatRange(1e-4, 1.0, log=True)}, "x1", 1e-2, 1e-2),
    ],
)
def test_the_default_follows_name_range_and_family(
    dimensions: dict[str, Dimension], name: str, low: float, high: float
) -> None:
    value = first(dimensions)[0][name]
    assert low * (1 - 1e-9) <= value <= high * (1 + 1e-9) or value == pytest.approx(low)


def test_sgd_gets_a_higher_learning_rate_than_adam() -> None:
    lr = FloatRange(1e-6, 10.0, log=True)
    adam, sgd = (
        first({"lr": lr, "optimizer": Choice((kind,))})[0]["lr"] for kind in ("adam", "sgd")
    )
    assert 10 <= sgd / adam <= 100


def test_the_first_batch_is_small_and_mixed() -> None:
    proposals = HeuristicAdvisor().propose(evidence(NET, []), 8).proposals
    guesses = [p for p in proposals if "first guess" in p.rationale]
    assert [p.rationale.split()[0] for p in guesses] == ["default", "bold", "careful"]
    assert all("random point" in p.rationale for p in proposals[3:])
    assert len({NET.key(p.config) for p in proposals}) == 8


def test_the_users_own_point_does_not_cost_the_guesses() -> None:
    own = TrialRecord("u", PARENT, "done", "user", score=1.0)
    proposals = HeuristicAdvisor().propose(evidence(NET, [own]), 4).proposals
    assert sum("first guess" in p.rationale for p in proposals) == 3


# --- edits by diagnosis -------------------------------------------------------------------------


def after(diagnosis: Diagnosis | None, parent: Config = PARENT, **more: Any) -> Any:
    """The next edit where ``parent`` is the best of 9 trials."""
    best = trial("7f3a", parent, 0.5, diagnosis=diagnosis, **more)
    return HeuristicAdvisor().propose(evidence(NET, [*filler(NET, 7), best]), 1).proposals[0]


@pytest.mark.parametrize(
    ("kind", "name", "direction"),
    [
        ("overfitting", "lr", -1),
        ("oscillating", "lr", -1),
        ("diverged", "lr", -1),
        ("underfitting", "lr", +1),
        ("improving", "lr", +1),
        ("slow_start", "lr", +1),
        ("plateau", "model/width", +1),
        ("ceiling", "model/width", +1),
    ],
)
def test_each_diagnosis_leads_to_its_edit(kind: str, name: str, direction: int) -> None:
    proposal = after(diagnosed(kind))
    changed = [key for key in NET.dimensions if proposal.config[key] != PARENT[key]]
    assert changed == [name]
    assert (proposal.config[name] - PARENT[name]) * direction > 0


def test_the_reason_names_trial_edit_and_numbers() -> None:
    text = "overfitting since epoch 3: train 2.30 -> 0.09 while val 1.35 -> 1.89"
    proposal = after(diagnosed("overfitting", text))
    assert proposal.rationale == f"lower lr 0.03 -> 0.00949 from trial 7f3a (val_loss 0.5): {text}"
    assert proposal.source == "heuristic"


def test_overfitting_goes_through_its_remedies_in_the_measured_order() -> None:
    best = trial("best", PARENT, 0.5, diagnosis=diagnosed("overfitting"))
    edits: list[TrialRecord] = []
    order: list[str] = []
    for number in range(5):
        # Every edit makes it worse, so the next remedy is due; 16 trials: time for an edit.
        asked = evidence(NET, [*filler(NET, 15 - number), best, *edits])
        config = HeuristicAdvisor().propose(asked, 1).proposals[0].config
        for name in NET.dimensions:
            if config[name] != PARENT[name]:
                order.append(("+" if config[name] > PARENT[name] else "-") + name)
        edits.append(trial(f"edit{number}", config, 0.6))
    assert order == ["-lr", "+batch_size", "-n_layers", "+dropout", "+weight_decay"]


def test_a_dead_net_wants_the_opposite_of_a_diverged_one() -> None:
    low = after(diagnosed("stuck"), {**PARENT, "lr": 1e-4})
    assert low.config["lr"] == pytest.approx(1e-3)
    high = after(diagnosed("stuck"), {**PARENT, "lr": 0.3})
    assert high.config["optimizer"] == "sgd"
    assert high.config["lr"] == 1.0  # SGD wants about thirty times Adam's rate; the range ends
    assert "optimizer adam -> sgd and lr 0.3 -> 1" in high.rationale
    assert after(diagnosed("diverged")).config["lr"] == pytest.approx(3e-3)


def test_a_direction_that_hurt_is_not_repeated_and_one_that_helped_is_gone_on_with() -> None:
    trials = [*filler(NET, 6), trial("worse", {**PARENT, "lr": 0.3}, 0.8)]
    parent = trial("best", PARENT, 0.5, diagnosis=diagnosed("improving"))
    proposal = HeuristicAdvisor().propose(evidence(NET, [*trials, parent]), 1).proposals[0]
    assert proposal.config["lr"] == PARENT["lr"]  # improving calls for a higher rate: refuted
    assert proposal.config["batch_size"] == 32

    parent = trial("best", PARENT, 0.5)
    proposal = HeuristicAdvisor().propose(evidence(NET, [*trials, parent]), 1).proposals[0]
    assert proposal.config["lr"] < PARENT["lr"] / 10  # from 0.3 to 0.03 it got better: go on
    assert "already helped" in proposal.rationale


def test_when_all_diverged_the_learning_rate_is_lowered() -> None:
    diverged = trial("t0", PARENT, None, diagnosis=diagnosed("diverged", "diverged: NaN"))
    trials = [trial(f"f{i}", c, None) for i, c in enumerate(first(dict(NET.dimensions), 3))]
    proposal = HeuristicAdvisor().propose(evidence(NET, [*trials, diverged]), 1).proposals[0]
    assert proposal.config == {**PARENT, "lr": pytest.approx(3e-3)}
    assert "diverged: NaN" in proposal.rationale


def test_max_mode_builds_on_the_highest_score() -> None:
    trials = [*filler(NET, 7, score=-9.0), trial("top", PARENT, 50.0, diagnosis=diagnosed("stuck"))]
    proposal = HeuristicAdvisor().propose(evidence(NET, trials, "max"), 1).proposals[0]
    assert "trial top" in proposal.rationale


# --- promises -----------------------------------------------------------------------------------


def test_is_an_advisor_that_keeps_nothing() -> None:
    advisor = HeuristicAdvisor(seed=7)
    assert isinstance(advisor, Advisor)
    trials = filler(NET, 12)
    answer = advisor.propose(evidence(NET, trials), 3)
    advisor.propose(evidence(NET, trials[:5]), 4)
    assert pickle.loads(pickle.dumps(advisor)).propose(evidence(NET, trials), 3) == answer
    assert HeuristicAdvisor(seed=8).propose(evidence(NET, trials), 3) != answer


def test_running_and_queued_configurations_are_not_proposed_again() -> None:
    one, two, three = first(dict(NET.dimensions), 3)
    running = (TrialRecord("r", one, "running", "heuristic"),)
    asked = evidence(NET, [], running=running, queued=(two,))
    proposals = HeuristicAdvisor().propose(asked, 2).proposals
    assert proposals[0].config == three
    assert {NET.key(one), NET.key(two)}.isdisjoint(NET.key(p.config) for p in proposals)


def test_failures_repel() -> None:
    space = SearchSpace({"a": FloatRange(0.0, 1.0), "b": FloatRange(0.0, 1.0)})

    def fails_on_the_right(config: Config) -> float | None:
        return None if config["a"] > 0.5 else -config["a"] + config["b"]

    failed = [
        done.score is None
        for seed in range(10)
        for done in search(space, fails_on_the_right, 40, HeuristicAdvisor(seed))[20:]
    ]
    # Half the space fails and the optimum lies at its border; without repulsion a quarter fails.
    assert np.mean(failed) < 0.1


def test_a_finite_space_is_used_up_without_repeats_and_then_nothing_is_proposed() -> None:
    space = SearchSpace(
        {
            "n": IntRange(1, 4),
            "k": IntRange(2, 6, step=2),
            "q": FloatRange(0.0, 0.4, step=0.2),
            "c": Choice(("a", [1, 2])),
        }
    )
    done = search(space, lambda config: float(config["n"]), 100, HeuristicAdvisor())
    assert len(done) == space.size == 72
    assert len({space.key(t.config) for t in done}) == 72
    advice = HeuristicAdvisor().propose(evidence(space, done), 3)
    assert advice.proposals == ()


def test_an_empty_space_has_one_configuration() -> None:
    space = SearchSpace({})
    advice = HeuristicAdvisor().propose(evidence(space, []), 2)
    assert [p.config for p in advice.proposals] == [{}]


NETS = ["lr", "alpha", "wd", "dropout", "bs", "width", "depth", "opt", "act", "bn", "momentum"]
OTHERS = ["x1", "m/x2", "gamma", "max_depth", "subsample", "epochs", "clip", "eps", "ünï"]
NAMES = st.sampled_from(NETS + OTHERS)
LOWS = st.floats(1e-6, 10.0)
WIDTHS = st.just(0.0) | st.floats(0.01, 1e6)  # one value or a continuum, not a few floats
DIMENSIONS = st.one_of(
    st.builds(lambda a, r: FloatRange(a, a * (1 + r), log=True), LOWS, WIDTHS),
    st.builds(lambda a, w: FloatRange(a, a + w), st.floats(-5, 5), WIDTHS),
    st.builds(
        lambda n, w: FloatRange(n * 0.25, (n + w) * 0.25, step=0.25), *[st.integers(0, 9)] * 2
    ),
    st.builds(lambda a, w: IntRange(a, a + w), st.integers(-5, 50), st.integers(0, 300)),
    st.builds(lambda a, w: IntRange(a, a + w, log=True), st.integers(1, 50), st.integers(0, 300)),
    st.builds(Normal, st.floats(-3, 3), st.floats(0.1, 9)),
    st.sets(st.integers(-5, 300), min_size=1, max_size=5).map(lambda s: Choice(tuple(sorted(s)))),
    st.just(Choice(("sgd", "adam", None, [1, 2], 3.5))),
    st.just(Choice((True, False))),
)


@settings(max_examples=60, deadline=None)
@given(
    dimensions=st.dictionaries(NAMES, DIMENSIONS, max_size=6),
    seed=st.integers(0, 99),
    scores=st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=14, max_size=14),
    kinds=st.sampled_from(["overfitting", "diverged", "stuck", "improving", "ceiling", None]),
)
def test_proposals_fit_any_space_without_repairs_or_repeats(
    dimensions: dict[str, Dimension], seed: int, scores: list[float | None], kinds: str | None
) -> None:
    space = SearchSpace(dimensions)
    done: list[TrialRecord] = []
    advisor = HeuristicAdvisor(seed)
    for number, score in enumerate(scores):
        advice = advisor.propose(evidence(space, done), 2)
        if len(advice.proposals) < 2:
            assert space.size is not None
            assert len(done) + len(advice.proposals) == space.size
        if not advice.proposals:
            break
        for proposal in advice.proposals:
            config, repairs = space.check(proposal.config)
            assert repairs == ()
            assert space.key(config) == space.key(proposal.config)
            assert proposal.rationale
        keys = [space.key(p.config) for p in advice.proposals]
        assert len({*keys, *(space.key(t.config) for t in done)}) == len(keys) + len(done)
        found = diagnosed(kinds) if kinds else None
        done.append(trial(str(number), advice.proposals[0].config, score, diagnosis=found))


# --- worth having -------------------------------------------------------------------------------


def medians(space: SearchSpace, objective: Any, trials: int) -> tuple[float, float]:
    def best(advisor: Advisor) -> float:
        return float(min(objective(t.config) for t in search(space, objective, trials, advisor)))

    heuristic = [best(HeuristicAdvisor(seed)) for seed in range(9)]
    baseline = [best(RandomAdvisor(seed)) for seed in range(9)]
    return float(np.median(heuristic)), float(np.median(baseline))


def test_beats_random_search_where_names_mean_nothing() -> None:
    centre = [0.2, 0.7, 0.35, 0.9, 0.1, 0.6]
    space = SearchSpace({f"x{i}": FloatRange(0.0, 1.0) for i in range(6)})

    def sphere(config: Config) -> float:
        return float(sum((config[f"x{i}"] - c) ** 2 for i, c in enumerate(centre)))

    heuristic, baseline = medians(space, sphere, 40)
    assert heuristic < baseline / 2


def test_beats_random_search_on_mixed_spaces() -> None:
    space = SearchSpace(
        {
            "p": FloatRange(1e-4, 1.0, log=True),
            "k": IntRange(1, 64),
            "colour": Choice(("red", "green", "blue", "gray")),
            "flag": Choice((True, False)),
        }
    )
    costs = {"red": 0.3, "green": 0.0, "blue": 0.6, "gray": 0.5}

    def mixed(config: Config) -> float:
        far = (np.log10(config["p"]) / 4 + 0.7) ** 2 + ((config["k"] - 17) / 63) ** 2
        return float(far + costs[config["colour"]] + 0.2 * config["flag"])

    heuristic, baseline = medians(space, mixed, 40)
    assert heuristic < baseline / 2
