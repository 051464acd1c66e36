"""The statistical proposer: the belief first, the scores soon, no corner without a reason."""

from __future__ import annotations

import math
import pickle
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raymimic.advisor import RandomAdvisor, SearchEvidence, StatisticalAdvisor
from raymimic.advisor.propose.objective_values import kept, told, warped
from raymimic.records import Belief, Place
from raymimic.space import Choice, FloatRange, IntRange, Normal, SearchSpace
from raymimic.testing.searches import (
    SPACE,
    at,
    best,
    bowl,
    drawn,
    ended,
    evidence,
    known,
    search,
)

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


class Thing:
    """Equal to itself alone."""


KINDS = {
    "float": FloatRange(-3.0, 2.0),
    "log": FloatRange(1e-8, 10.0, log=True),
    "step": FloatRange(0.1, 0.7, step=0.1),
    "int": IntRange(1, 4),
    "long": IntRange(-500, 1000),
    "log int": IntRange(1, 5000, log=True),
    "step int": IntRange(32, 512, step=32),
    "one": IntRange(3, 3),
    "normal": Normal(0.0, 2.0),
    "step normal": Normal(10.0, 3.0, step=0.5),
    "momentum": FloatRange(0.0, 1.0),
    "beta2": FloatRange(0.0, 0.999999),
    "width": IntRange(8, 512),
    "learning_rate": FloatRange(0.0, 1.0),
    "batch_size": Choice((16, 32, 64, 128)),
    "optimizer": Choice(("sgd", "adamw", None)),
    "things": Choice((Thing(), Thing(), [1, 2], {"a": 1}, True, 1, "1")),
    "single": Choice(("only",)),
}


def ask(seen: SearchEvidence, n: int = 1, seed: int = 0) -> Any:
    return StatisticalAdvisor(seed).propose(seen, n).proposals


# -- what it proposes ----------------------------------------------------------------------------


def test_it_is_far_ahead_of_random_draws() -> None:
    draws = [best(search(RandomAdvisor(seed), 30)) for seed in range(9)]
    ours = [best(search(StatisticalAdvisor(seed), 30)) for seed in range(3)]
    assert np.median(ours) < np.median(draws) / 5


@settings(max_examples=60, deadline=None)
@example(names=set(KINDS), scores=[0.5, None, 0.25, -3e38, 0.75, 0.4], mode="max", seed=0)
@given(
    names=st.sets(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=9),
    mode=st.sampled_from(["min", "max"]),
    seed=st.integers(0, 99),
)
def test_proposals_fit_any_space_and_are_new(names, scores, mode, seed) -> None:
    space = SearchSpace({name: KINDS[name] for name in sorted(names)})
    configs = drawn(len(scores) + 2, space=space, seed=seed)
    trials = [ended(i, *pair) for i, pair in enumerate(zip(configs, scores, strict=False))]
    seen = evidence(trials, space, mode, queued=tuple(configs[len(scores) :]))
    taken = {space.key(config) for config in configs}
    proposals = ask(seen, 3, seed)
    for proposal in proposals:
        config, repairs = space.check(proposal.config)
        assert repairs == ()
        assert all(config[name] is proposal.config[name] for name in config if name == "things")
        assert space.key(config) not in taken
        taken.add(space.key(config))
    assert len(proposals) == 3 or len(taken) == space.size


def test_without_a_reason_no_proposal_is_a_corner() -> None:
    """Where the belief and the scores say nothing of the ends, nothing is tried there."""
    trials = search(StatisticalAdvisor(1), 40)
    units = np.array([SPACE.encode(trial.config) for trial in trials])
    assert ((units < 0.01) | (units > 0.99)).all(axis=1).sum() == 0


def test_a_batch_and_what_runs_are_different_ideas() -> None:
    seen = known(10)
    (first,) = ask(seen)
    (second,) = ask(seen.with_pending([first.config]))
    both = ask(seen, 2)
    for one, other in [(first, second), both]:
        gaps = np.abs(np.subtract(SPACE.encode(one.config), SPACE.encode(other.config)))
        assert gaps.max() > 0.1


def test_a_finite_space_is_used_up_and_no_more_is_proposed() -> None:
    space = SearchSpace({"k": IntRange(0, 9), "kind": Choice(("a", "b"))})
    trials = []
    for i in range(20):
        (proposal,) = ask(evidence(trials, space))
        trials.append(ended(i, proposal.config, sum(space.encode(proposal.config))))
    assert len({space.key(trial.config) for trial in trials}) == 20
    assert ask(evidence(trials, space), 3) == ()
    assert ask(evidence(space=SearchSpace({})), 3) == ()


def test_it_depends_on_seed_and_evidence_alone() -> None:
    for seen in (known(1), known(6)):
        advisor = StatisticalAdvisor(5)
        first = advisor.propose(seen, 2)
        assert pickle.loads(pickle.dumps(advisor)).propose(seen, 2) == first
        assert StatisticalAdvisor(6).propose(seen, 2) != first


def test_maximising_is_minimising_the_negative() -> None:
    assert [p.config for p in ask(known(9, lambda config: -bowl(config), mode="max"))] == [
        p.config for p in ask(known(9))
    ]


# -- the belief ----------------------------------------------------------------------------------


def around(*units: float) -> Belief:
    """A narrow belief in one place of the unit box."""
    axes = {"lr": (1e-5 * 10 ** (5 * units[0]), 0.3, "log")}
    axes["width"] = (8 * 32 ** units[1], 0.15, "log")
    axes["dropout"] = (0.5 * units[2], 0.05, "linear")
    return Belief({name: (Place(*place, "you"),) for name, place in axes.items()})  # type: ignore[arg-type]


def believing(belief: Belief | None, count: int, seed: int = 0) -> list[float]:
    """The best score so far after each trial of a search with a belief."""
    done, lowest = [], []
    for _ in range(count):
        (proposal,) = ask(evidence(done, belief=belief), seed=seed)
        done.append(ended(len(done), proposal.config, bowl(proposal.config), proposal.source))
        lowest.append(best(done))
    return lowest


def test_what_two_parameters_explain_alike_is_put_down_to_the_learning_rate() -> None:
    space = SearchSpace(dict.fromkeys(("lr", "other"), FloatRange(1e-6, 1.0, log=True)))
    diagonal = [dict.fromkeys(("lr", "other"), 10.0 ** (i / 2 - 6)) for i in range(12)]
    trials = [ended(i, config, abs(i - 7.0)) for i, config in enumerate(diagonal)]
    nothing = Belief({"lr": (Place(1e-3, 100.0, "log", "you"),)})
    tried = [ask(evidence(trials, space, belief=nothing), seed=seed)[0].config for seed in range(5)]
    lr, other = (np.mean([abs(math.log10(c[n]) + 2.5) for c in tried]) for n in ("lr", "other"))
    assert lr < 0.5 * other


def test_a_right_belief_is_tried_at_once_and_a_wrong_one_costs_a_few_trials() -> None:
    right, wrong = around(0.7, 0.75, 0.5), around(0.02, 0.1, 0.98)
    assert np.mean([believing(right, 3, seed)[-1] for seed in range(3)]) < 0.03
    assert np.mean([believing(wrong, 25, seed)[-1] for seed in range(3)]) < 0.05


# -- what it is told -----------------------------------------------------------------------------


def scored(*scores: float | None, mode: Any = "min") -> list[float]:
    return told(evidence([ended(i, at(0, 0, 0), s) for i, s in enumerate(scores)], mode=mode))


@example(scores=[1e308, -1e308, 1e308, -1e308, None])
@given(scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=12))
def test_every_trial_has_one_finite_value_in_the_order_of_the_scores(scores: list) -> None:
    for mode, sign in (("min", 1), ("max", -1)):
        values = scored(*scores, mode=mode)
        assert len(values) == len(scores)
        assert np.isfinite(values).all()
        pairs = [(sign * s, v) for s, v in zip(scores, values, strict=True) if s is not None]
        assert [v for _, v in sorted(pairs)] == sorted(v for _, v in pairs)


def test_a_failed_trial_counts_as_worse_than_all_others() -> None:
    assert scored(*range(11), None) == [*range(11), 20]
    assert scored(*range(11), None, mode="max") == [*(-float(i) for i in range(11)), 10]
    assert len(set(scored(None, None))) == 1
    for only in (0.0, 1e-300, -3e8, 1e308):
        value, *failed = scored(only, None, None)
        assert failed[0] == failed[1] > value


def test_failures_after_one_success_leave_the_belief_in_force() -> None:
    trials = [ended(0, at(0.5, 0.5, 0.5), 0.3), *(ended(i, at(0, 1, 0), None) for i in (1, 2))]
    seen = evidence(trials, belief=around(0.5, 0.6, 0.5))
    *_, last = StatisticalAdvisor(0).propose(seen, 4).proposals  # after the first guesses
    assert last.source == "statistical"
    assert "belief" in last.rationale


@given(values=st.lists(st.floats(-1e100, 1e100), max_size=12))
def test_warped_values_keep_their_order(values: list[float]) -> None:
    after = warped(values)
    assert np.isfinite(after).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(after[order]) >= 0).all()


def test_diverged_losses_do_not_flatten_the_rest() -> None:
    sound = [random.Random(i).random() for i in range(12)]
    some, wild = warped([*sound, 2.0, 3.0, 4.0]), warped([*sound, 1e9, 1e12, 3e38])
    assert wild == pytest.approx(some)
    assert np.ptp(wild[:12]) > np.ptp(wild) / 2


def test_the_best_are_told_apart_finer_than_the_worst() -> None:
    after = warped([float(i) for i in range(11)])
    assert after[1] - after[0] < after[5] - after[4]


def test_where_most_are_alike_a_worse_one_is_still_worse() -> None:
    values = warped([0.5, 0.5, 0.5, 0.5, 0.5, 0.9])
    assert values[-1] > values[0]


def test_of_a_long_history_the_best_and_the_latest_are_kept() -> None:
    values = [float(abs(i - 20)) for i in range(100)]
    rows = kept(values, 10)
    assert {18, 19, 20, 21, 22, 95, 96, 97, 98, 99} == set(rows)
    assert kept(values, 100) == list(range(100))
