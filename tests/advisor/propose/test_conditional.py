"""Parameters that do not exist beside others' values: no source of proposals makes them up."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic.advisor import (
    HeuristicAdvisor,
    LLMAdvisor,
    MixtureAdvisor,
    RandomAdvisor,
    SearchEvidence,
    StatisticalAdvisor,
    TrialRecord,
    lessons_text,
)
from raymimic.advisor.lessons import parse_lessons
from raymimic.advisor.propose.gp import GaussianProcess
from raymimic.advisor.propose.preferences import filled
from raymimic.advisor.propose.prompt import reply_schema, system_prompt, user_prompt
from raymimic.llm import ScriptedLLM
from raymimic.space import Choice, Condition, FloatRange, IntRange, SearchSpace

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

SPACE = SearchSpace(
    {
        "width": IntRange(8, 256),
        "optimizer": Choice(("sgd", "adam", "none")),
        "optimizer/lr": FloatRange(1e-5, 1.0, log=True),
        "optimizer/momentum": FloatRange(0.0, 0.99),
        "optimizer/schedule": Choice(("step", "cosine")),
        "optimizer/schedule/gamma": FloatRange(0.1, 0.9),
        "optimizer/schedule/size": Choice((1, 2, 4)),
    },
    {
        "optimizer/lr": Condition("optimizer", ("sgd", "adam")),
        "optimizer/momentum": Condition("optimizer", ("sgd",)),
        "optimizer/schedule": Condition("optimizer", ("sgd",)),
        "optimizer/schedule/gamma": Condition("optimizer/schedule", ("step",)),
        "optimizer/schedule/size": Condition("optimizer/schedule", ("step", "cosine")),
    },
)
FINITE = SearchSpace(
    {
        "a": Choice(("x", "y", "z")),
        "b": IntRange(1, 5),
        "c": Choice((1, 2)),
        "d": IntRange(1, 4),
    },
    {"b": Condition("a", ("x",)), "c": Condition("a", ("y",)), "d": Condition("c", (2,))},
)


def evidence_of(space: SearchSpace, count: int, seed: int, **more: Any) -> SearchEvidence:
    """Evidence of random trials, some of them failed."""
    rng = random.Random(seed)
    trials = []
    for number in range(count):
        score = None if rng.random() < 0.1 else rng.random()
        status: Any = "failed" if score is None else "done"
        config = space.sample(rng)
        trials.append(TrialRecord(f"t{number}", config, status, "random", score=score))
    return SearchEvidence(space, "loss", "min", trials=tuple(trials), **more)


def reply_of(space: SearchSpace, seed: int) -> str:
    """A model's reply that names every parameter there is, whether it exists or not."""
    rng = random.Random(seed)
    config = {name: dim.show(dim.sample(rng)) for name, dim in space.dimensions.items()}
    belief = {"optimizer/lr": {"best": 0.01, "low": 0.001, "high": 0.1}}
    return json.dumps({"proposals": [{"config": config}] * 4, "belief": belief})


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from((SPACE, FINITE)),
    st.sampled_from(("statistical", "heuristic", "random", "mixture")),
    st.sampled_from((0, 1, 3, 8, 20)),
    st.integers(0, 1000),
)
def test_no_source_proposes_what_does_not_exist(space, source, count, seed):
    advisor: Any = {
        "statistical": StatisticalAdvisor,
        "heuristic": HeuristicAdvisor,
        "random": RandomAdvisor,
    }.get(
        source, lambda seed: MixtureAdvisor(LLMAdvisor(ScriptedLLM([reply_of(space, seed)])), seed)
    )(seed)
    for proposal in advisor.propose(evidence_of(space, count, seed), 4).proposals:
        assert space.check(proposal.config) == (proposal.config, ())


def test_a_finite_space_is_tried_to_its_end_and_no_further():
    evidence = SearchEvidence(FINITE, "loss", "min")
    proposals = StatisticalAdvisor(0).propose(evidence, 100).proposals
    assert len({FINITE.key(proposal.config) for proposal in proposals}) == FINITE.size == 11
    assert len(proposals) == 11


def test_the_order_of_keys_means_nothing():
    evidence = evidence_of(SPACE, 12, 3)
    turned = tuple(
        TrialRecord(t.trial_id, dict(reversed(t.config.items())), t.status, t.source, score=t.score)
        for t in evidence.trials
    )
    other = SearchEvidence(SPACE, "loss", "min", trials=turned)
    assert StatisticalAdvisor(1).propose(evidence, 3) == StatisticalAdvisor(1).propose(other, 3)


def test_a_value_is_as_far_from_absence_as_the_ends_are_from_each_other():
    points = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, np.nan], [0.0, np.nan]])
    kinds = np.array([True, False]), np.array([False, True])
    process = GaussianProcess(points, np.array([0.0, 1.0, 2.0, 2.5]), *kinds)
    gaps = process.distances(points, points)
    assert gaps[0, 1] > 0.0
    assert gaps[0, 2] == pytest.approx(gaps[0, 1])
    assert gaps[1, 2] == pytest.approx(gaps[0, 1])
    assert gaps[2, 3] == 0.0


@pytest.mark.parametrize("levels", [2, 3, 7])
def test_unlike_categories_are_equally_far_apart_however_they_are_listed(levels):
    points = np.linspace(0.0, 1.0, levels)[:, None]  # may be an ulp off k / (levels - 1)
    process = GaussianProcess(points, np.arange(levels, dtype=float), np.array([True]))
    gaps = process.distances(points, np.arange(levels)[:, None] / (levels - 1))
    unlike = gaps[~np.eye(levels, dtype=bool)]
    assert (np.diag(gaps) == 0.0).all()
    assert unlike == pytest.approx(np.full(len(unlike), unlike[0]))
    assert unlike[0] > 0.0


def test_the_kernel_stays_positive_with_absences():
    rng = np.random.default_rng(0)
    points = rng.random((80, 6))
    points[rng.random((80, 6)) < 0.4] = np.nan
    points[:, 0] = rng.integers(3, size=80) / 2
    process = GaussianProcess(points, rng.random(80), np.arange(6) < 1, np.arange(6) > 0)
    assert np.linalg.eigvalsh(process._kernel(points, points)).min() > -1e-9


def test_a_prompt_tells_what_exists_where_and_the_schema_has_a_branch_each():
    evidence = evidence_of(SPACE, 12, 0)
    system, user = system_prompt(evidence), user_prompt(evidence, 2)
    assert 'optimizer/momentum: number from 0.0 to 0.99; exists only with optimizer "sgd"' in system
    assert "sets exactly those that exist in it" in system
    assert "null" not in user
    config = reply_schema(evidence)["properties"]["proposals"]["items"]["properties"]["config"]
    branches = config["properties"]["optimizer"]["anyOf"]
    assert [list(branch["properties"]) for branch in branches] == [
        ["optimizer", "optimizer/lr", "optimizer/momentum", "optimizer/schedule"],
        ["optimizer", "optimizer/lr"],
        ["optimizer"],
    ]


def test_a_reply_in_the_schemas_form_needs_no_repair():
    schedule = {"optimizer/schedule": "cosine", "optimizer/schedule/size": 2}
    branch = {"optimizer/lr": 0.1, "optimizer/momentum": 0.9, "optimizer/schedule": schedule}
    config = {"width": 64, "optimizer": {"optimizer": "sgd", **branch}}
    llm = ScriptedLLM([json.dumps({"proposals": [{"config": config}]})])
    advice = LLMAdvisor(llm).propose(SearchEvidence(SPACE, "loss", "min"), 1)
    checked, repairs = SPACE.check(advice.proposals[0].config)
    assert repairs == ()
    assert checked == {"width": 64, "optimizer": "sgd", **branch, **schedule}


def test_lessons_of_one_branch_are_tried_and_know_nothing_of_the_others():
    evidence = evidence_of(SPACE, 30, 5)
    text = lessons_text(evidence)
    assert 'exists only with optimizer "sgd"' in text
    lessons = parse_lessons(text, "lessons.md")
    later = SearchEvidence(SPACE, "loss", "min", lessons=lessons)
    first = StatisticalAdvisor(0).propose(later, 1).proposals[0]
    assert SPACE.check(first.config) == (first.config, ())
    assert SPACE.key(first.config) == SPACE.key(evidence.ranked()[0].config)
    assert "is new" not in first.rationale


def test_a_reason_names_the_branch_and_nothing_that_went_with_it():
    evidence = evidence_of(SPACE, 15, 2)
    for proposal in StatisticalAdvisor(2).propose(evidence, 6).proposals:
        assert "-> absent" not in proposal.rationale


def test_each_branch_of_a_choice_is_tried_once_at_first():
    proposals = StatisticalAdvisor(0).propose(SearchEvidence(SPACE, "loss", "min"), 3).proposals
    assert [proposal.source for proposal in proposals] == ["heuristic"] * 3
    assert {proposal.config["optimizer"] for proposal in proposals} == {"sgd", "adam", "none"}
    (sgd,) = (p for p in proposals if p.config["optimizer"] == "sgd")
    assert sgd.config["optimizer/momentum"] == 0.9
    assert "optimizer/lr 0.03 (rule of thumb)" in sgd.rationale
    assert sgd.rationale.startswith("optimizer sgd, as each branch is tried once, then first guess")


def test_a_value_that_is_given_brings_its_branch_with_it():
    config = filled(SPACE, {"optimizer/schedule/gamma": 0.2})
    assert SPACE.check(config) == (config, ())
    assert config["optimizer/schedule/gamma"] == 0.2


@pytest.mark.parametrize("values", [range(10_000), [f"v{number}" for number in range(10_000)]])
def test_a_choice_of_ten_thousand_values_asks_no_model_for_ten_thousand_weights(values):
    space = SearchSpace({"c": Choice(tuple(values)), "lr": FloatRange(1e-5, 1.0, log=True)})
    evidence = evidence_of(space, 10, 0)
    assert len(json.dumps(reply_schema(SearchEvidence(space, "loss", "min")))) < 2_000
    assert len(system_prompt(evidence)) < 5_000
    (proposal,) = StatisticalAdvisor(0).propose(evidence, 1).proposals
    assert space.check(proposal.config) == (proposal.config, ())
