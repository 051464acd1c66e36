"""A model that fails leaves the run to the statistical proposer, as if it had never been there."""

from __future__ import annotations

import pytest
from engine import Engine

from raymimic import LLMAdvisor, ScriptedLLM
from raymimic.advisor import StatisticalAdvisor
from raymimic.errors import AdvisorError, LLMCallError, LLMSetupError
from raymimic.search.checkpoint import load, resume, save
from raymimic.testing.advisors import CountingAdvisor, HeldAdvisor

TRIALS = 9


@pytest.fixture(autouse=True)
def quick(answers: None) -> None:
    """Whoever is asked answers before the search goes on."""


@pytest.fixture
def search(tmp_path):
    """Build a search with a statistical stand-in."""

    def build(advisor, **settings):
        path = tmp_path / f"{advisor.name}.jsonl"
        return Engine(advisor, path, stand_in=StatisticalAdvisor(7), seed=7, **settings)

    return build


def one_by_one(engine: Engine, count: int = TRIALS, first: int = 0) -> list[float]:
    """Run one trial at a time and return what was tried."""
    xs = []
    for number in range(first, first + count):
        xs.append(engine.suggest(f"t{number}")["x"])
        engine.end(f"t{number}", 1.0, (xs[-1] - 0.3) ** 2)
    return xs


class Failing(CountingAdvisor):
    """A model whose every call fails."""

    def propose(self, evidence, n):
        raise AdvisorError("no route", reason="connection")


def model(*replies) -> LLMAdvisor:
    return LLMAdvisor(ScriptedLLM(list(replies)))


@pytest.fixture
def alone(search) -> list[float]:
    engine = search(StatisticalAdvisor(7))
    xs = one_by_one(engine)
    assert engine.tally.started == {"heuristic": 1, "statistical": TRIALS - 1}
    return xs


@pytest.mark.parametrize(
    ("advisor", "reasons"),
    [
        (Failing(), {"connection"}),
        (model(LLMSetupError("no such model", status="404")), {"404"}),
        (model(*[LLMCallError("busy", status="529")] * 3), {"529", "exhausted"}),
        (model(*["I would rather not say."] * 9), {"bad_json"}),
    ],
    ids=["fails", "wrong setting", "overloaded", "talks"],
)
def test_a_silent_model_costs_nothing(search, alone, advisor, reasons) -> None:
    engine = search(advisor, patience=0.0)
    assert one_by_one(engine) == alone
    rows = engine.events("fallback")
    assert {row["reason"] for row in rows} <= reasons
    assert [row["source"] for row in rows] == ["heuristic"] + ["statistical"] * (TRIALS - 1)
    assert engine.tally.started == {"heuristic": 1, "statistical": TRIALS - 1}
    assert f"(filled by statistical {TRIALS - 1}, heuristic 1)" in engine.tally.text()


def test_a_model_that_hangs_costs_no_more_than_its_patience(search, alone, hangs) -> None:
    advisor = HeldAdvisor()
    engine = search(advisor, patience=0.0)
    assert one_by_one(engine) == alone
    assert engine.tally.fallbacks == {"patience": TRIALS}
    advisor.gate.set()


def test_only_the_first_trial_does_not_wait_for_a_model_by_default(search, hangs) -> None:
    """Without a number for patience, how long trials take says what waiting would cost."""
    advisor = HeldAdvisor()
    engine = search(advisor, batch_size=2)
    engine.suggest("a")
    assert engine.ask("b") is None  # the model may still answer while the first one runs
    engine.end("a", 1.0)
    engine.suggest("b")  # trials are quicker than the model
    advisor.gate.set()
    engine.queue.advisor.wait(10)
    assert engine.suggest("c")["x"] == 0.01
    assert engine.tally.fallbacks == {"patience": 2}


def test_two_at_once_get_different_configurations(search) -> None:
    engine = search(Failing())
    one_by_one(engine, 5)
    assert len({engine.suggest(name)["x"] for name in "abcd"}) == 4


def test_a_copy_goes_on_as_the_original(search, alone) -> None:
    engine = search(Failing())
    xs = one_by_one(engine, 5)
    assert xs + one_by_one(engine.copy(), TRIALS - 5, first=5) == alone


def test_a_restored_search_goes_on_as_the_original(search, alone, tmp_path) -> None:
    engine = search(Failing())
    xs = one_by_one(engine, 5)
    save(tmp_path / "state.pkl", engine.session)
    engine.session.journal.ledger.flush()
    again = search(Failing())
    again.session = resume(load(tmp_path / "state.pkl"), again.session)
    assert xs + one_by_one(again, TRIALS - 5, first=5) == alone
    assert again.tally.started == {"heuristic": 1, "statistical": TRIALS - 1}
