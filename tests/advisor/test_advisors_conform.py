"""Every advisor, judge and adjuster of the package keeps what the protocols promise."""

from __future__ import annotations

import itertools
import json
import random
import re

import pytest

from raymimic import (
    HeuristicAdvisor,
    LLMAdvisor,
    MixtureAdvisor,
    RandomAdvisor,
    Request,
    ScriptedLLM,
    StatisticalAdvisor,
)
from raymimic.testing import (
    AdjusterConformance,
    AdvisorConformance,
    JudgeConformance,
    runs,
    trials,
)
from raymimic.testing.advisor_conformance import MIXED

ACTIONS = ("stop", "redirect", "clone", "continue")


def answer(request: Request) -> str:
    """What a model that reads the question says: proposals, judgements, or an adjustment."""
    wanted = re.search(r"Propose exactly (\d+) new configuration", request.user)
    if wanted:
        rng = random.Random(len(request.user))
        configs = (MIXED.show(MIXED.sample(rng)) for _ in range(int(wanted[1])))
        said = [{"config": c, "rationale": "somewhere new", "expected": None} for c in configs]
        return json.dumps({"proposals": said})
    if "judgements" in json.dumps(request.schema):
        named = re.findall(r'## trial "(\w+)"', request.user)
        said = [
            {"trial_id": t, "action": action, "reason": "so it looks", "knobs": {"lr": 0.01}}
            for t, action in zip(named, itertools.cycle(ACTIONS), strict=False)
        ]
        return json.dumps({"judgements": said})
    return json.dumps({"rationale": "slower", "knobs": {"lr": 0.0005}, "alpha": 0.3})


def model() -> LLMAdvisor:
    return LLMAdvisor(ScriptedLLM([answer] * 50))


class TestHeuristicAdvisor(AdvisorConformance):
    def make(self):
        return HeuristicAdvisor(0)


class TestRandomAdvisor(AdvisorConformance):
    def make(self):
        return RandomAdvisor(0)


class TestStatisticalAdvisor(AdvisorConformance):
    def make(self):
        pytest.importorskip("torch")
        return StatisticalAdvisor(0)


class TestLLMAdvisor(AdvisorConformance):
    def make(self):
        return model()


class TestMixtureAdvisor(AdvisorConformance):
    def make(self):
        return MixtureAdvisor(model())


class TestHeuristicJudge(JudgeConformance):
    def make(self):
        return HeuristicAdvisor(0)


class TestLLMJudge(JudgeConformance):
    def make(self):
        return model()


class TestHeuristicAdjuster(AdjusterConformance):
    def make(self):
        return HeuristicAdvisor(0)


class TestLLMAdjuster(AdjusterConformance):
    def make(self):
        return model()


def test_the_scripted_model_is_understood():
    """Else the tests above would pass by declining."""
    assert model().propose(TestLLMAdvisor().searched(), 3).proposals
    assert model().judge(trials.evidence()).judgements
    assert model().adjust(runs.evidence()).adjustment.knobs
