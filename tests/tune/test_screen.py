"""What a run shows: one line a trial that fits, a meter in a terminal, and nothing twice."""

from __future__ import annotations

import os
import pickle
import pty
import re
import sys
from types import SimpleNamespace

import pytest
from ray import tune
from ray.tune.search import Repeater

from raymimic import LLMScheduler, LLMSearcher, Raymimic, RaymimicCallback
from raymimic.curves import Diagnosis, Signal
from raymimic.scheduling.rank_rule import Reading
from raymimic.scheduling.verdict import Verdict
from raymimic.search import closing
from raymimic.tune.lines import Ended
from raymimic.tune.screen import Screen
from raymimic.tune.short import CELL, short_reason

CHANGES = "lr 0.0332 -> 0.818, weight_decay 0.00741 -> 0.067, width 128 -> 64"
REASON = (
    f"{CHANGES} and 3 more from the best, trial d485255a (1.669); expected improvement 0.15 sd "
    "over the best predicted so far; belief from common practice, to the power 0.62"
)
GUESS = (
    "first guess from common practice: lr 0.001 (Adam's default, Kingma & Ba 2015), width 323 (the "
    "upper half of your range); the rest: the middle of each range"
)
DIAGNOSIS = Diagnosis(
    (Signal("overfitting", 7, "overfitting since epoch 7: train_loss 0.2 -> 0.1, val_loss up"),)
)
HOPELESS = Verdict(
    "hopeless",
    25,
    "hopeless: val_loss 0.6932 at epoch 25; place 9 of 27, the best 3 go on (with its best, its "
    "pace or its noise: place 4)",
    Reading(25, 50, 9, 27, 3.0, 4),
)


def ended(**known: object) -> Ended:
    given = {"trial_id": "fd65be98", "metric": "val_loss", "score": 0.31452, "best": True}
    return Ended(**{**given, "epochs": 10, "diagnosis": DIAGNOSIS, "source": "statistical",
                    "reason": REASON, **known})  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 120, 240])
@pytest.mark.parametrize("verdict", [None, HOPELESS])
@pytest.mark.parametrize("reason", [REASON, GUESS, "drawn at random", "x" * 500, ""])
def test_a_line_fits_and_keeps_what_counts(width, verdict, reason) -> None:
    for meter in ("", "[12/16 · 3 min 41 s · $0.0021]"):
        line = ended(reason=reason, verdict=verdict).line(width, meter)
        assert len(line) <= width
        assert "\n" not in line
        assert f"{meter}  fd65be98  val_loss 0.3145 *best*".strip() in line
        if meter:
            continue
        assert ("hopeless" if verdict else "overfitting") in line
        if reason in (REASON, GUESS):
            assert ("lr 0.0332 -> 0.818" if reason is REASON else "lr 0.001") in line


def test_a_reasons_frame_goes_first_and_what_is_tried_stays_to_the_last() -> None:
    assert short_reason(REASON, 1000) == REASON
    assert short_reason(REASON, 180).startswith(f"{CHANGES} and 3 more from the best, trial d48")
    assert short_reason(REASON, 110) == f"{CHANGES} and 3 more from trial d485255a; +0.15 sd"
    assert short_reason(REASON, 78) == f"{CHANGES} and 3 more"
    assert short_reason(REASON, CELL) == "lr 0.0332 -> 0.818…"
    first = "act relu -> silu from the best, trial ab (1.5); fewer than 2 results"
    assert short_reason(first, 30) == "act relu -> silu…"
    limits = f"{GUESS}; moved to what you allow (lr below 5e-4): lr 0.001 -> 0.0005"
    assert short_reason(limits, 40) == "lr 0.001 -> 0.0005"
    timed = f"{REASON}; about 0.5 s an epoch, 1.2 x the time of the best"
    assert short_reason(timed, 125).endswith("from trial d485255a; +0.15 sd; 1.2 x its time")
    assert short_reason("weight_decay 0.0001 -> 0.00383", CELL) == "weight_decay 0.00383"
    assert short_reason(GUESS, 40) == "lr 0.001, width 323"
    refused = "random, in place of a proposal that was refused (lr must be a number, got 'x')"
    assert short_reason(refused, 50) == "refused: lr must be a number, got 'x'"
    assert short_reason("random fallback: the advisor failed (refused: no route)", 26) == (
        "random: the advisor failed"
    )
    for width in range(1, 200):
        assert len(short_reason(REASON, width)) <= width


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (HOPELESS, "hopeless, 9 of 27"),
        (Verdict("overfitting", 1234, "long"), "overfitting at 1234"),
        (Verdict("hopeless", 123456, "x", Reading(9, 9, 12345, 12345, 1, 1)), "hopeless at 123456"),
        (Verdict("continue", 3, "continue: place 1 of 1"), "continue"),
        (Verdict("continue", 3, "cloned", clone="cloned trial b"), "cloned"),
    ],
)
def test_a_decision_has_a_short_form_that_tunes_tables_show_whole(verdict, said) -> None:
    assert verdict.short == said
    assert len(said) <= CELL


def test_a_whole_training_is_not_said_to_be_stopped() -> None:
    line = ended(verdict=Verdict("whole", 16, "complete: max_t = 16 epochs")).line(240)
    assert "stopped" not in line
    assert DIAGNOSIS.text in line


def test_an_error_stands_on_the_line_in_place_of_the_reason() -> None:
    line = ended(error="Traceback\n  File x\nValueError: lr is too high\n", score=None).line(80)
    assert line == "fd65be98  failed: ValueError: lr is too high"


def shown_in_a_terminal(monkeypatch: pytest.MonkeyPatch, use: object) -> str:
    """What ``use`` writes to a terminal of 80 columns."""
    master, slave = pty.openpty()
    terminal = os.fdopen(slave, "w", encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    try:
        use()
    finally:
        terminal.close()
    shown = b""
    try:
        while part := os.read(master, 65536):
            shown += part
    except OSError:  # the other end is closed and all is read
        pass
    os.close(master)
    return shown.decode()


def test_a_terminal_has_a_meter_below_the_lines_and_keeps_only_the_lines(monkeypatch) -> None:
    def use() -> None:
        callback = RaymimicCallback(metric="loss", mode="min")
        callback.setup(total_num_samples=2)
        callback.on_step_begin(0, [])
        callback.on_trial_start(0, [], None)
        for name, loss in (("a", 2.0), ("b", 1.0)):
            trial = SimpleNamespace(trial_id=name)
            callback.on_trial_result(0, [], trial, {"loss": loss, "training_iteration": 1})
            callback.on_trial_complete(0, [], trial)
        assert callback._screen.live
        pickle.loads(pickle.dumps(callback._screen)).line("of a copy")
        callback.on_experiment_end([])
        assert not callback._screen.live

    shown = shown_in_a_terminal(monkeypatch, use)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "0/2" in plain
    lines = [line.strip() for line in plain.splitlines()]
    assert [line for line in lines if line.startswith("a  loss 2 *best*")]
    assert [line for line in lines if line.startswith("b  loss 1 *best*")]
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor is back
    assert shown.endswith("\x1b[2K") or plain.rstrip().endswith(lines[-1])
    assert "[1/2" not in plain


def test_a_dumb_terminal_and_a_pipe_get_plain_lines(monkeypatch, capsys) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = Screen()
    screen.begin(3)
    assert not screen.live
    screen.line("x" * 500)
    assert capsys.readouterr().out == "x" * 239 + "…\n"


# -- the summary ---------------------------------------------------------------------------------


def searched(make, count: int = 30) -> LLMSearcher:
    searcher = make(space={"x": tune.uniform(0.0, 1.0), "y": tune.uniform(0.0, 1.0)})
    for number in range(count):
        config = {"x": (0.37 * number) % 1.0, "y": (0.61 * number) % 1.0}
        searcher.add_evaluated_point(config, (config["x"] - 0.2) ** 2)
    return searcher


def test_the_summary_says_what_mattered_and_what_to_try_next(make) -> None:
    searcher = searched(make)
    searcher.suggest("one")
    searcher.on_trial_complete("one", {"loss": 0.5, "training_iteration": 1})
    text = searcher.summary()
    assert re.search(r"^What mattered: x \(0\S* to 0\.\d+: median 0\.\d+; 0\.\d+ to ", text, re.M)
    assert "y (" not in text
    ends = r"y=\S+(?: \(expected improvement .+\))?\.$"
    tried = re.search(rf"^Try next: (?:a wider range of x.*; )?x=(\S+), {ends}", text, re.M)
    assert tried
    assert abs(float(tried[1].rstrip(",")) - 0.2) < 0.2


def test_the_summary_stays_short_with_many_parameters(make) -> None:
    searcher = make(space={f"p{i}": tune.uniform(0.0, 1.0) for i in range(60)})
    searcher.suggest("one")
    searcher.on_trial_complete("one", {"loss": 0.5, "training_iteration": 1})
    best = next(line for line in searcher.summary().splitlines() if line.startswith("Best: "))
    assert len(best) < 300
    assert best.endswith("and 52 more")


def test_a_failed_start_says_so_without_empty_brackets(make) -> None:
    searcher = make()
    assert searcher.summary().startswith("raymimic: no search began")
    searcher.evidence()
    assert searcher.summary().startswith("raymimic: no trial of this search has started.\n")
    searcher.suggest("one")
    text = searcher.summary()
    assert text.startswith("raymimic: 0 trials ended in 0 s, for loss")
    assert "()" not in text


def test_the_duration_stops_when_the_run_does(make) -> None:
    tally = make().tally
    for at, event in [(0.0, "search"), (5.0, "outcome"), (9.0, "summary"), (500.0, "tell")]:
        row = {"event": event, "t": at, "metric": "loss", "mode": "min", "advisor": "none",
               "trial_id": "a", "status": "done", "score": 1.0}  # fmt: skip
        tally.add(event, row)
        assert f"in {min(at, 9.0):.0f} s, for" in tally.text() or event == "search"
    tally.add("start", {"t": 1000.0, "trial_id": "b", "proposal": 7})  # a second run
    tally.add("outcome", {"t": 1003.0, "trial_id": "b", "status": "done"})
    assert "2 trials ended (done 2) in 12 s" in tally.text()


def test_notebooks_show_the_summary_with_nothing_of_it_run(make) -> None:
    searcher = make(space={"<script>": tune.uniform(0.0, 1.0)})
    searcher.suggest("one")
    searcher.on_trial_complete("one", {"loss": 0.5, "training_iteration": 1})
    shown = searcher._repr_html_()
    assert "1 trial ended" in shown
    assert "&lt;script&gt;=0.5" in shown
    assert "<script>" not in shown
    assert Raymimic(llm="none", ledger=os.devnull)._repr_html_().startswith("<div>")


def test_the_end_is_said_once(make, capsys, caplog) -> None:
    caplog.set_level("INFO", "raymimic")
    searcher = make()
    callback = RaymimicCallback(searcher, scheduler=LLMScheduler(searcher=searcher, llm="none"))
    callback.setup()
    searcher.suggest("one")
    searcher.on_trial_complete("one", {"loss": 0.5, "training_iteration": 1})
    callback.on_experiment_end([])
    assert capsys.readouterr().out.count("1 trial ended") == 1
    assert "1 trial ended" not in caplog.text


def test_repeated_trials_have_a_summary_at_the_end_of_the_program(make, events) -> None:
    searcher = make()
    repeater = Repeater(searcher, repeat=2)
    repeater.set_search_properties("loss", "min", {}, num_samples=2)
    for number, loss in enumerate((0.5, 0.7)):
        assert repeater.suggest(f"t{number}")
        repeater.on_trial_complete(f"t{number}", {"loss": loss, "training_iteration": 1})
    assert not events("summary")
    for _ in range(2):
        closing._finish_all()
    (summary,) = events("summary")
    assert "1 trial ended (done 1)" in summary["text"]
    assert "loss 0.6" in summary["text"]
