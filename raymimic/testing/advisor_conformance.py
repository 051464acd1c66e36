"""What every `Advisor` has to do, as tests."""

from __future__ import annotations

import math
import pickle
from typing import get_args

from raymimic.advisor import Advisor, SearchEvidence, TrialRecord
from raymimic.errors import AdvisorError
from raymimic.records import Advice, Budget, Proposal, Source
from raymimic.space import Choice, FloatRange, IntRange, SearchSpace
from raymimic.testing.curves import curve
from raymimic.testing.searches import drawn, ended, evidence, known

MIXED = SearchSpace(
    {
        "model/width": IntRange(8, 256),
        "lr": FloatRange(1e-5, 1.0, log=True),
        "optimizer": Choice(("sgd", "adam", "adamw")),
        "bias": Choice((True, False)),
    }
)
"""A space with every kind of dimension, one of them nested."""


class AdvisorConformance:
    """Subclass, and give `make`. `AdvisorError` may be raised for any evidence but the empty one.

    ``space`` is what is searched; replace it for an advisor that knows certain parameters only.
    """

    space = MIXED

    def make(self) -> Advisor:
        """A fresh advisor that can answer a few dozen questions."""
        raise NotImplementedError

    def test_says_its_name_and_whether_it_is_remote(self) -> None:
        """Both are attributes that the search reads before it asks."""
        advisor = self.make()
        assert isinstance(advisor, Advisor)
        assert isinstance(advisor.name, str)
        assert advisor.name
        assert isinstance(advisor.remote, bool)

    def test_proposes_without_evidence(self) -> None:
        """The first question of every search."""
        advice = self.ask(self.evidence())
        assert advice is not None
        assert advice.proposals

    def test_proposes_no_more_than_it_is_asked_for(self) -> None:
        """One, a few, and more than a small budget holds."""
        for n in (1, 3, 8):
            self.ask(self.evidence(), n)
            self.ask(self.evidence(budget=Budget(trials_total=2)), n)

    def test_goes_on_from_a_pickle(self) -> None:
        """The checkpoint of a search holds its advisor, before and after a question."""
        advisor = pickle.loads(pickle.dumps(self.make()))
        self.ask(self.evidence(), advisor=advisor)
        again = pickle.loads(pickle.dumps(advisor))
        assert (again.name, again.remote) == (advisor.name, advisor.remote)
        self.ask(self.searched(), advisor=again)

    def test_survives_failed_trials(self) -> None:
        """Nothing but failures, with an error's text or none."""
        trials = [
            ended(i, config, None, error="CUDA out of memory" * (i % 2))
            for i, config in enumerate(drawn(5, space=self.space))
        ]
        self.ask(self.evidence(trials))

    def test_survives_curves_that_are_no_numbers(self) -> None:
        """A loss that is NaN from the first epoch, or becomes so, beside one that is infinite."""
        losses = ([math.nan] * 3, [1.0, 0.5, math.nan], [1.0, math.inf, math.inf])
        configs = drawn(len(losses), space=self.space)
        trials = [
            TrialRecord(f"t{i}", config, "done", "random", curve=curve({"loss": values}))
            for i, (config, values) in enumerate(zip(configs, losses, strict=True))
        ]
        self.ask(self.evidence(trials))
        self.ask(self.evidence([*trials, *self.searched().trials]))

    def test_survives_scores_that_are_all_alike(self) -> None:
        """No trial is better than another."""
        self.ask(known(12, lambda _: 0.5, space=self.space))

    def test_survives_scores_of_every_size(self) -> None:
        """Scores up to the largest float, both signs, either direction."""
        scores = [0.0, -1e300, 1e300, 1e-300, -0.0, 5.0]
        trials = [
            ended(i, c, s) for i, (c, s) in enumerate(zip(self.drawn(6), scores, strict=True))
        ]
        self.ask(self.evidence(trials))
        self.ask(self.evidence(trials, mode="max"))

    def test_survives_many_trials(self) -> None:
        """Five hundred ended trials, some of them the same."""
        searched = known(400, lambda config: config_score(config), space=self.space)
        again = [*searched.trials, *searched.trials[:100]]
        self.ask(self.evidence(again), 3)

    def test_survives_trials_under_way(self) -> None:
        """Trials that run, with a part of a curve or none yet, and queued configurations."""
        first, second, *queued = self.drawn(4)
        running = (
            TrialRecord("r1", first, "running", "random", curve=curve({"loss": [1.0, 0.9]})),
            TrialRecord("r2", second, "running", "user"),
        )
        self.ask(self.evidence(running=running, queued=tuple(queued)))

    # -- parts of the tests ------------------------------------------------------------------------

    def drawn(self, count: int) -> list[dict[str, object]]:
        """Random configurations of the space."""
        return drawn(count, space=self.space)

    def evidence(self, trials: object = (), **more: object) -> SearchEvidence:
        """Evidence on the space."""
        return evidence(trials, self.space, **more)  # type: ignore[arg-type]

    def searched(self) -> SearchEvidence:
        """Evidence of a few ended trials with curves."""
        trials = [
            ended(i, config, 1.0 / (i + 2), curve=curve({"loss": [1.0, 1.0 / (i + 2)]}))
            for i, config in enumerate(self.drawn(6))
        ]
        return self.evidence(trials)

    def ask(
        self, evidence: SearchEvidence, n: int = 1, advisor: Advisor | None = None
    ) -> Advice | None:
        """Ask and check the answer; None if the advisor had none."""
        advisor = self.make() if advisor is None else advisor
        before = repr(evidence)
        try:
            advice = advisor.propose(evidence, n)
        except AdvisorError:
            return None
        assert repr(evidence) == before, "the evidence is shared: it must not be changed"
        assert isinstance(advice, Advice)
        assert len(advice.proposals) <= n
        for proposal in advice.proposals:
            check_proposal(proposal, evidence.space)
        return advice


def check_proposal(proposal: Proposal, space: SearchSpace) -> None:
    """AssertionError or `ConfigError` for one that is malformed or fits no repair."""
    assert isinstance(proposal, Proposal)
    space.check(proposal.config)
    assert isinstance(proposal.rationale, str)
    assert proposal.source in get_args(Source)
    assert proposal.expected is None or math.isfinite(proposal.expected)


def config_score(config: dict[str, object]) -> float:
    """A score that depends on the numbers in a configuration."""
    return sum(float(value) for value in config.values() if isinstance(value, (int, float)))
