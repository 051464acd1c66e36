"""What a user believes of the optimum reaches the proposals, the ledger and the first line."""

from __future__ import annotations

import pytest
from ray import tune

from raymimic import Advice, Belief, ConfigError, LLMSearcher, MixtureAdvisor
from raymimic.advisor import read_belief
from raymimic.testing.advisors import CountingAdvisor, run_trial, suggest


def test_the_first_configuration_lies_where_the_user_believes(make, events, caplog):
    with caplog.at_level("INFO", logger="raymimic"):
        searcher = make(belief={"x": (0.9, 0.05)})
        assert suggest(searcher, "a")["x"] == pytest.approx(0.9)
    assert any("x 0.9 (0.85 to 0.95)" in line for line in caplog.messages)
    said = {row["who"]: row["places"] for row in events("belief")}
    assert said["you"]["x"][0]["centre"] == 0.9


def test_where_nothing_is_known_the_first_line_says_just_that(make, caplog):
    with caplog.at_level("INFO", logger="raymimic"):
        suggest(make(), "a")
    assert "raymimic: nothing is known of where the optimum lies" in caplog.messages


def test_a_belief_that_does_not_fit_is_said_before_the_first_trial(make, tmp_path):
    with pytest.raises(ConfigError, match="the centre must lie from 0 to 1, got 7"):
        suggest(make(belief={"x": (7, 1.0)}), "a")
    searcher = LLMSearcher(llm="none", belief={"y": (1, 1)}, ledger=tmp_path / "other.jsonl")
    with pytest.raises(ConfigError, match="no parameter of the space; there are x"):
        searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)})


class Believing(CountingAdvisor):
    """Believes elsewhere with each result."""

    def propose(self, evidence, n):
        advice = super().propose(evidence, n)
        place = (0.7 - 0.1 * len(evidence.trials), 0.01)
        believed = read_belief({"x": place}, evidence.space, "the model")
        return Advice(advice.proposals, belief=believed)


def test_what_a_model_believes_is_kept_restored_and_shown_to_every_proposer(make, events, tmp_path):
    searcher = make(llm=MixtureAdvisor(Believing(), 0), batch_size=3)
    for number in range(7):
        suggest(searcher, f"t{number}")
        run_trial(searcher, f"t{number}", [1.0 + number])
    assert [row["who"] for row in events("belief")].count("the model") == 1
    believed = searcher.evidence().model_belief
    assert isinstance(believed, Belief)
    assert believed.places["x"][0].centre == 0.7
    searcher.save(str(tmp_path / "checkpoint.pkl"))
    again = make()
    again.restore(str(tmp_path / "checkpoint.pkl"))
    assert again.evidence().model_belief == believed
