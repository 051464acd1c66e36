"""Optuna's samplers behind one advisor: they see scores alone, and every kind of dimension."""

from __future__ import annotations

import logging
import pickle
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raymimic.advisor import RandomAdvisor, StatisticalAdvisor, TrialRecord
from raymimic.advisor.propose import optuna_samplers as statistical
from raymimic.advisor.propose.objective_values import kept, told
from raymimic.space import Choice, FloatRange, IntRange, Normal, SearchSpace
from raymimic.testing.searches import SPACE, at, best, bowl, drawn, ended, evidence, known, search


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
    "sizes": Choice((16, 32, 64, 128)),
    "kind": Choice(("relu", "tanh", None)),
    "things": Choice((Thing(), Thing(), [1, 2], {"a": 1}, True, 1, "1")),
    "single": Choice(("only",)),
}


def without_torch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(statistical, "gp_available", lambda: False)


@pytest.fixture
def tpe(monkeypatch: pytest.MonkeyPatch) -> None:
    without_torch(monkeypatch)


def ask(seen, n: int = 1, seed: int = 0):
    return StatisticalAdvisor(seed).propose(seen, n).proposals


# -- what it proposes ----------------------------------------------------------------------------


def test_it_is_far_ahead_of_random_draws() -> None:
    draws = [best(search(RandomAdvisor(seed), 14)) for seed in range(9)]
    assert best(search(StatisticalAdvisor(0), 14)) < np.median(draws) / 10


def test_without_torch_it_is_tpe_and_still_ahead(tpe: None) -> None:
    ours = [best(search(StatisticalAdvisor(seed), 60)) for seed in range(5)]
    draws = [best(search(RandomAdvisor(seed), 60)) for seed in range(5)]
    assert np.median(ours) < np.median(draws) / 2
    assert "TPE" in ask(known(9))[0].rationale


def check_proposals(space: SearchSpace, scores: list, mode: Any, seed: int, model: str) -> None:
    """A proposal fits the space as it is, and was not tried and does not wait."""
    configs = drawn(len(scores) + 2, space=space, seed=seed)
    trials = [ended(i, *pair) for i, pair in enumerate(zip(configs, scores, strict=False))]
    (proposal,) = ask(evidence(trials, space, mode, queued=tuple(configs[len(scores) :])))
    config, repairs = space.check(proposal.config)
    assert repairs == ()
    assert all(config[name] is proposal.config[name] for name in config if name == "things")
    if space.size is None or space.size > 30:
        assert model in proposal.rationale
        assert space.key(config) not in {space.key(known) for known in configs}


@settings(max_examples=50, deadline=None)
@given(
    names=st.sets(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    scores=st.lists(
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        min_size=statistical.STARTUP,
        max_size=9,
    ),
    mode=st.sampled_from(["min", "max"]),
    seed=st.integers(0, 99),
)
def test_proposals_fit_any_space_and_are_new(names, scores, mode, seed) -> None:
    with pytest.MonkeyPatch.context() as patch:
        without_torch(patch)
        space = SearchSpace({name: KINDS[name] for name in sorted(names)})
        check_proposals(space, scores, mode, seed, "TPE")


def test_the_gaussian_process_knows_every_kind_of_dimension_too() -> None:
    scores = [0.5, None, 0.25, -3e38, 0.75, 0.4]
    check_proposals(SearchSpace(KINDS), scores, "max", 0, "a Gaussian process")


def test_what_runs_or_waits_is_not_proposed_again() -> None:
    trials = [ended(i, c, bowl(c)) for i, c in enumerate(drawn(10))]
    (first,) = ask(evidence(trials))
    (second,) = ask(evidence(trials, queued=(first.config,)))
    both = ask(evidence(trials), 2)
    for one, other in [(first, second), both]:
        assert SPACE.distance(one.config, other.config) > 0.01


def test_nothing_is_tried_twice_while_the_space_has_room(tpe: None) -> None:
    space = SearchSpace({"k": IntRange(0, 9), "kind": Choice(("a", "b"))})
    trials: list[TrialRecord] = []
    for i in range(18):
        (proposal,) = ask(evidence(trials, space))
        trials.append(ended(i, proposal.config, sum(space.encode(proposal.config))))
    assert len({space.key(trial.config) for trial in trials}) == 18


def test_a_used_up_space_is_no_error(tpe: None) -> None:
    space = SearchSpace({"kind": Choice(("a", "b"))})
    trials = [ended(i, {"kind": "ab"[i % 2]}, float(i)) for i in range(6)]
    assert len(ask(evidence(trials, space), 3)) == 3
    assert ask(evidence(space=SearchSpace({})), 3) == ()


def test_it_begins_with_random_draws() -> None:
    proposals = ask(known(statistical.STARTUP - 1), 2)
    assert all("drawn at random" in proposal.rationale for proposal in proposals)
    assert proposals[0].config != proposals[1].config


def test_corners_that_lose_to_every_draw_do_not_count_as_a_beginning(tpe: None) -> None:
    draws = [ended(i, at(0.4, 0.5, i / 10), 1.0 + i, "random") for i in range(2)]
    bad = [ended(2 + i, at(0.0, 1.0, i / 10), 50.0 + i, "llm") for i in range(4)]
    good = [ended(6 + i, at(0.6, 0.4, i / 10), 0.5, "llm") for i in range(2)]
    assert ask(evidence([*draws, *bad]))[0].rationale.startswith("drawn at random")
    assert ask(evidence([*draws, *bad, *good]))[0].rationale.startswith("TPE over 8 results")


def test_it_depends_on_seed_and_evidence_alone(tpe: None) -> None:
    for seen in (evidence(), known(6)):
        advisor = StatisticalAdvisor(5)
        first = advisor.propose(seen, 2)
        assert pickle.loads(pickle.dumps(advisor)).propose(seen, 2) == first
        assert StatisticalAdvisor(6).propose(seen, 2) != first


def test_maximising_is_minimising_the_negative() -> None:
    assert ask(known(9, lambda config: -bowl(config), mode="max")) == ask(known(9))


def test_a_long_history_is_answered_at_once_by_tpe() -> None:
    begun = time.monotonic()
    assert "TPE" in ask(known(statistical._GP_TRIALS + 1))[0].rationale
    assert "TPE" in ask(known(1000))[0].rationale
    assert time.monotonic() - begun < 3


def test_optunas_own_log_stays_silent() -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("optuna").addHandler(handler)
    try:
        ask(known(9, lambda config: 1.0))
        ask(known(9, lambda config: 1e308 * (bowl(config) - 0.5)))
    finally:
        logging.getLogger("optuna").removeHandler(handler)
    assert said == []


# -- what it is told -----------------------------------------------------------------------------


def scored(*scores: float | None, mode: Any = "min") -> list[float]:
    return told(evidence([ended(i, at(0, 0, 0), s) for i, s in enumerate(scores)], mode=mode))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@example(scores=[1e308, -1e308, 1e308, -1e308, None])
@given(scores=st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=12))
def test_every_trial_has_one_finite_value_in_the_order_of_the_scores(scores: list) -> None:
    for mode, sign in (("min", 1), ("max", -1)):
        values = scored(*scores, mode=mode)
        assert len(values) == len(scores)
        assert np.isfinite(values).all()
        pairs = [(sign * s, v) for s, v in zip(scores, values, strict=True) if s is not None]
        assert [v for _, v in sorted(pairs)] == sorted(v for _, v in pairs)


def test_a_failed_trial_counts_as_a_bad_one_but_not_the_worst() -> None:
    assert scored(*range(11), None) == [*range(11), 9]
    assert scored(*range(11), None, mode="max") == [*(-float(i) for i in range(11)), -1]
    assert len(set(scored(None, None))) == 1
    done = ended("x", at(0, 0, 0), 1e9)
    failed = ended("y", at(0, 0, 0), None)
    assert told(evidence([ended(i, at(0, 0, 0), i) for i in range(11)] + [failed]))[-1] == 9
    assert told(evidence([done, failed])) == [1e9, 1e9]


def test_diverged_losses_do_not_flatten_the_rest() -> None:
    sound = [random.Random(i).random() for i in range(12)]
    values = scored(*sound, 1e9, 1e12, 3e38)
    assert values[:12] == sound
    assert max(values) < 4
    assert scored(*(-s for s in sound), -1e9, -3e38, mode="max")[:12] == sound
    assert scored(*sound, 1e9, 1e9, None)[-1] <= max(values)


def test_where_most_are_alike_a_worse_one_is_still_worse() -> None:
    values = scored(0.5, 0.5, 0.5, 0.5, 0.5, 0.9)
    assert values[-1] > values[0]


def test_of_a_long_history_the_best_and_the_latest_are_kept() -> None:
    values = [float(abs(i - 20)) for i in range(100)]
    rows = kept(values, 10)
    assert {18, 19, 20, 21, 22, 95, 96, 97, 98, 99} == set(rows)
    assert kept(values, 100) == list(range(100))


def test_how_far_a_loss_diverged_changes_no_proposal(tpe: None) -> None:
    def diverging(size: float):
        return known(20, lambda config: size if bowl(config) > 0.7 else bowl(config))

    assert sum(bowl(config) > 0.7 for config in drawn(20)) in range(2, 5)
    assert ask(diverging(1e6), 2) == ask(diverging(1e30), 2)


def test_where_many_run_or_are_wanted_nothing_slow_is_used() -> None:
    assert "Gaussian" in ask(known(20))[0].rationale
    assert "TPE" in ask(known(20).with_pending(drawn(60, seed=5)))[0].rationale
    assert "TPE" in ask(known(20), 60)[0].rationale


def test_two_threads_at_once_leave_the_users_own_studies_their_voice() -> None:
    before = optuna.logging.get_verbosity()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: ask(known(1000), 2), range(12)))
    assert optuna.logging.get_verbosity() == before
