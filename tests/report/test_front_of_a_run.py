"""Several objectives in the report: page, lab book, story and table tell the front."""

from __future__ import annotations

from pathlib import Path

import pytest
from in_chromium import Browser, needs_browser

from raymimic import LLMSearcher
from raymimic.cli import main
from raymimic.report.export import to_frame
from raymimic.report.lab_book import lab_book
from raymimic.report.payload import headline, payload_of
from raymimic.report.reading import read_run
from raymimic.report.run import Run
from raymimic.report.story import story_of
from raymimic.testing.advisors import suggest

# Loss and speed (more is better); trials 1 and 3 are beaten by trial 0.
VALUES = [(0.3, 5.0), (0.4, 4.0), (0.2, 2.0), (0.5, 5.0), (0.6, 9.0), (0.1, None)]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ray import tune

    path = tmp_path_factory.mktemp("front") / "ledger.jsonl"
    searcher = LLMSearcher(
        {"x": tune.uniform(0.0, 1.0)},
        metric=["loss", "speed"],
        mode=["min", "max"],
        llm="none",
        seed=0,
        ledger=path,
    )
    for number, (loss, speed) in enumerate(VALUES):
        suggest(searcher, f"t{number}")
        result = {"loss": loss, "training_iteration": 1}
        if speed is not None:
            result["speed"] = speed
        searcher.on_trial_complete(f"t{number}", result)
    searcher.finish()
    searcher.ledger.flush()
    return path


@pytest.fixture(scope="module")
def run(ledger: Path) -> Run:
    return read_run([ledger])


def test_the_front_is_that_of_the_trials_with_all_objectives(run: Run):
    assert [run.trials[index].trial_id for index in run.front] == ["t2", "t0", "t4"]
    assert run.volumes == sorted(run.volumes)
    assert len(run.volumes) == len(VALUES)
    found = payload_of(run)["front"]
    assert (found["names"], found["modes"]) == (["loss", "speed"], ["min", "max"])
    assert found["values"][5] == [0.1, None]
    assert found["trials"] == [2, 0, 4]
    assert headline(run).startswith("3 trials on the front")


def test_words_and_table_tell_it(run: Run):
    told = [dict(story_of(run, index))["Ended"] for index in (0, 1, 5)]
    assert "with loss 0.3, speed 5, on the front of 3" in told[0]
    assert "not on the front of 3" in told[1]
    assert "loss 0.1, speed not reported, not on the front" in told[2]
    assert "- loss 0.2, speed 2: trial `t2`" in lab_book(run)
    assert "Lab book: the smallest loss and the largest speed" in lab_book(run)
    assert to_frame(run)["on_front"].tolist() == [True, False, True, False, True, False]


def test_where_no_trial_keeps_to_a_limit_that_is_what_is_said(tmp_path: Path):
    from ray import tune

    searcher = LLMSearcher(
        {"x": tune.uniform(0.0, 1.0)}, ["loss", "speed"], ["min", "max"], llm="none", seed=0,
        constraints={"speed": "> 5"}, ledger=tmp_path / "ledger.jsonl",
    )  # fmt: skip
    suggest(searcher, "t0")
    searcher.on_trial_complete("t0", {"loss": 0.3, "speed": 4.0, "training_iteration": 1})
    searcher.ledger.flush()
    run = read_run([tmp_path / "ledger.jsonl"])
    assert headline(run) == "no trial of 1 has kept to the limits yet"
    assert "beyond a limit: it does not count" in dict(story_of(run, 0))["Ended"]


@needs_browser
def test_the_page_draws_the_front_and_its_volume(browser: Browser, ledger: Path):
    assert main(["report", str(ledger.parent)]) == 0
    browser.open((ledger.parent / "report.html").as_uri())
    browser.run("$('front').scrollIntoView(); await until(() => $('front').data)")
    line = "$('front').data.find((trace) => trace.name === 'front')"
    assert browser.run("", f"{line}.y") == [0.2, 0.3, 0.6]
    assert browser.run("", f"{line}.x") == [2, 5, 9]
    browser.run("$('volume').scrollIntoView(); await until(() => $('volume').data)")
    assert browser.run("", "$('volume').data[0].y.length") == len(VALUES)
    assert browser.console == []
