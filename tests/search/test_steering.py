"""A search under way is steered by wishes: what they change, and what is answered."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine import Engine
from hypothesis import given, settings
from hypothesis import strategies as st

from raymimic import HeuristicAdvisor, LLMAdvisor, ScriptedLLM, read_events
from raymimic.advisor import build_request, evidence_from_ledger
from raymimic.search import checkpoint
from raymimic.search.inbox import Inbox, inbox_of, post
from raymimic.space import Choice, FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "width": IntRange(8, 512, log=True),
        "opt": Choice(("sgd", "adam", "adamw")),
    }
)


@pytest.fixture
def engine(make: Callable[..., Engine]) -> Engine:
    return make(HeuristicAdvisor(0), space=SPACE, slots=1, trials=40)


def tell(engine: Engine, text: str) -> str:
    return engine.session.steering.tell(engine.session, text)


def run(engine: Engine, trial_id: str) -> Any:
    engine.session.steering.obey(engine.session)
    config = engine.suggest(trial_id)
    engine.end(trial_id, abs(config["lr"] - 0.01) + config["width"] / 512)
    return config


def test_a_limit_holds_from_the_next_trial_on_until_it_is_taken_back(engine: Engine) -> None:
    run(engine, "t0")
    assert tell(engine, "lr below 1e-4; stop trying adam") == (
        "1. from now on lr < 0.0001: lr is now from 1e-05 to 0.0001 (was from 1e-05 to 1)\n"
        '2. from now on opt != \'adam\': opt is now one of "sgd", "adamw" '
        '(was one of "sgd", "adam", "adamw")'
    )
    for number in range(1, 5):
        config = run(engine, f"t{number}")
        assert config["lr"] < 1e-4
        assert config["opt"] != "adam"
    assert tell(engine, "take back 1") == "3. wish 1 (lr below 1e-4) holds no more"
    assert any(run(engine, f"u{number}")["lr"] > 1e-4 for number in range(6))
    assert [row["outcome"] for row in engine.events("wish")] == [
        "restricted", "restricted", "taken back",
    ]  # fmt: skip


def test_what_contradicts_an_earlier_wish_is_refused_and_that_one_stays(engine: Engine) -> None:
    tell(engine, "lr below 1e-3")
    said = tell(engine, "lr above 0.1")
    assert "leave nothing of lr" in said
    assert "contradicts wish 1 (lr below 1e-3), which stays in force" in said
    assert run(engine, "t0")["lr"] < 1e-3
    assert "in force already" in tell(engine, "lr below 1e-3")
    tell(engine, "take back 1; lr above 0.1")
    assert run(engine, "t1")["lr"] > 0.1
    assert "leave nothing of lr" in tell(engine, f"take back {len(engine.events('wish')) - 1}")


def test_a_configuration_is_queued_first_and_completed(engine: Engine) -> None:
    first = run(engine, "t0")
    tell(engine, "enqueue lr=3e-4, width=128")
    assert run(engine, "t1") == {**first, "lr": 3e-4, "width": 128}
    record = engine.session.state.trial("t1")
    assert record is not None
    assert record.rationale == "your wish 1: enqueue lr=3e-4, width=128"
    tell(engine, "width below 64")
    assert "outside what you allow: width < 64" in tell(engine, "enqueue width=128")
    tell(engine, "enqueue lr=0.9")
    engine.session.steering.obey(engine.session)
    tell(engine, "take back 4")
    assert run(engine, "t2")["lr"] != 0.9
    assert [row["text"] for row in engine.events("drop") if row["reason"] == "taken back"] == [
        "your wish 4: enqueue lr=0.9"
    ]


def test_only_what_was_left_out_is_moved_within_the_limits(engine: Engine) -> None:
    run(engine, "t0")
    tell(engine, "lr * width < 20")
    assert "lr=0.9, width=" in tell(engine, "enqueue lr=0.9")
    config = run(engine, "t1")
    assert config["lr"] == 0.9
    assert config["width"] * 0.9 < 20


def test_leanings_move_the_belief_without_a_model(engine: Engine) -> None:
    tell(engine, "prefer lr around 2e-5; prefer adamw")
    assert run(engine, "t0")["lr"] == pytest.approx(2e-5)
    assert run(engine, "t1")["opt"] == "adamw"
    assert engine.session.evidence().belief is not None
    assert "not understood" in tell(engine, "sing a song")
    assert "limits (lr below 0.01" in tell(engine, "?")


def test_pause_resume_and_the_end(engine: Engine) -> None:
    orders = engine.session.steering
    tell(engine, "pause")
    assert orders.orders.paused
    tell(engine, "resume")
    assert not orders.orders.paused
    tell(engine, "pause; take back 3")
    assert not orders.orders.paused
    tell(engine, "stop after the running trials")
    assert engine.session.trials_left == 0
    assert "no trial is left" in tell(engine, "enqueue lr=0.1")
    tell(engine, "take back 5")
    assert engine.session.trials_left == 40
    said = tell(engine, "more trials 20")
    assert "Tune fixed num_samples=40" in said
    assert "second Tuner" in said
    assert "no number of trials" in tell_without_limit(engine)


def tell_without_limit(engine: Engine) -> str:
    engine.session.trials_total = None
    return tell(engine, "more trials 20")


def test_a_trial_is_stopped_only_where_a_scheduler_can(engine: Engine) -> None:
    engine.suggest("abc")
    assert "only a scheduler can stop" in tell(engine, "stop trial abc")
    engine.session.steering.stops = True
    assert "stops at its next result" in tell(engine, "stop trial ab")
    assert engine.session.steering.orders.stopping == {"abc"}
    engine.end("abc", 1.0)
    assert "has ended already" in tell(engine, "stop trial abc")
    assert "not one running trial; there run none" in tell(engine, "stop trial zzz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a wish needs words"),
        (" ; \n", "a wish needs words"),
        ("x" * 1_000_000, "at most 4,000 characters, got 1,000,000"),
        ("lr below 0.1; " * 30, "one message may hold 20 wishes, got 30"),
        ("take back 7", "no wish 7 is in force; there are none"),
        ("widht below 9", "did you mean width?"),
    ],
)
def test_bad_wishes_are_answered_and_change_nothing(engine: Engine, text: str, said: str) -> None:
    before = engine.session.steering.orders
    assert said in tell(engine, text)
    assert engine.session.steering.orders == before
    assert [row["outcome"] for row in engine.events("wish")] == ["refused"]
    assert run(engine, "t0")


def test_words_reach_the_models_next_question(make: Callable[..., Engine]) -> None:
    engine = make(LLMAdvisor(ScriptedLLM([])), space=SPACE)
    engine.session.steering.listens = True
    assert "told to the model" in tell(engine, "Fairness matters most")
    tell(engine, "lr below 0.5")
    engine.session.steering.obey(engine.session)
    user = build_request(engine.session.evidence(), 2).user
    assert 'The user says: "Fairness matters most"' in user
    assert '"lr < 0.5"' in user
    tell(engine, "take back 1")
    assert "Fairness" not in build_request(engine.session.evidence(), 2).user


def test_an_instruction_limits_where_it_surely_means_to(make: Callable[..., Engine]) -> None:
    text = "Digits, small. lr below 0.5 diverged; keep lr below 1e-3; pause; stop trying sgd"
    engine = make(HeuristicAdvisor(0), space=SPACE, instruction=text)
    assert [row["restrictions"] for row in engine.events("wish")] == [
        ["lr < 0.001"], ["opt != 'sgd'"],
    ]  # fmt: skip
    assert run(engine, "t0")["lr"] < 1e-3
    assert {row["who"] for row in engine.events("wish")} == {"instruction"}


def test_wishes_survive_a_checkpoint_and_what_came_after_it(engine: Engine, tmp_path: Path) -> None:
    tell(engine, "lr below 1e-3; pause")
    run(engine, "t0")
    path = tmp_path / "state"
    checkpoint.save(path, engine.session)
    tell(engine, "width below 32; resume")
    engine.session.journal.ledger.flush()
    session = checkpoint.resume(checkpoint.load(path), engine.copy().session)
    orders = session.steering.orders
    assert [one.text for one in session.state.space.restrictions] == ["lr < 0.001", "width < 32"]
    assert (orders.paused, len(session.steering.wishes)) == (False, 4)


# -- from other processes --------------------------------------------------------------------------


def test_two_at_once_each_get_their_answer_and_none_is_heard_twice(engine: Engine) -> None:
    ledger, inbox = engine.session.journal.ledger.path, Inbox(engine.session)
    threads = [
        threading.Thread(target=post, args=(ledger, f"lr below 0.{number}"))
        for number in range(1, 9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    inbox.look(engine.session)
    Inbox(engine.session).look(engine.session)  # as after a restore
    found = engine.events("wish")
    assert len({row["tell"] for row in found}) == len(found) == 8
    assert len(engine.session.steering.wishes) == 8


def test_a_file_full_of_rubbish_loses_no_wish(engine: Engine) -> None:
    engine.session.journal.ledger.search = "this one"
    ledger, inbox = engine.session.journal.ledger.path, Inbox(engine.session)
    path = inbox_of(ledger)
    inbox.look(engine.session)
    path.mkdir()
    inbox.look(engine.session)
    path.rmdir()
    path.write_bytes(b'\x00\xff{"half": \n[1]\n{"tell": 1, "text": 7}\n{"tell": "a", "tex')
    inbox.look(engine.session)
    post(ledger, "lr below 0.1", "another search")
    post(ledger, "lr below 0.2", "this one")
    inbox.look(engine.session)
    assert [row["text"] for row in engine.events("wish")] == ["lr below 0.2"]
    assert [row["hook"] for row in engine.events("fault")] == ["tell"] * 5
    path.write_text(json.dumps({"tell": "z", "text": "lr below 0.3"}) + "\n")  # begun anew
    inbox.look(engine.session)
    assert engine.events("wish")[-1]["text"] == "lr below 0.3"


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["lr below 1e-3", "lr above 1e-4", "stop trying sgd", "only adam", "width * lr < 0.05",
             "width at least 100", "take back 1", "take back 2", "prefer adamw", "width is not 64"]
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
def test_no_proposal_breaks_a_standing_wish(tmp_path_factory: Any, wishes: list[str]) -> None:
    ledger = tmp_path_factory.mktemp("wishes") / "ledger.jsonl"
    engine = Engine(HeuristicAdvisor(0), ledger, space=SPACE, slots=1)
    for number, wish in enumerate(wishes):
        tell(engine, wish)
        config = run(engine, f"t{number}")
        assert engine.session.steering.orders.space is None or (
            engine.session.state.space.refusal(config) == ""
        )


def test_wishes_follow_a_ledger_that_moves_to_the_runs_folder(
    engine: Engine, tmp_path: Path
) -> None:
    ledger, inbox = engine.session.journal.ledger, Inbox(engine.session)
    post(ledger.path, "lr below 0.1")
    ledger.path = tmp_path / "run" / "ledger.jsonl"
    ledger.path.parent.mkdir()
    post(ledger.path, "lr below 0.01")
    inbox.look(engine.session)
    assert [wish.text for wish in engine.session.steering.wishes] == [
        "lr below 0.1",
        "lr below 0.01",
    ]


def test_the_next_question_can_be_told_from_the_ledger(make: Callable[..., Engine]) -> None:
    engine = make(HeuristicAdvisor(0), space=SPACE, constraints=("lr < 0.5", bool))
    engine.session.steering.listens = True
    tell(engine, "width below 64; Fairness matters; only adam; take back 3; prefer sgd")
    engine.session.steering.obey(engine.session)
    events = read_events(flushed(engine))
    told, now = evidence_from_ledger(events), engine.session.evidence()
    texts = [one.text for one in told.space.restrictions]
    assert texts == ["lr < 0.5", "width < 64"]
    assert told.wishes == now.wishes == ("width below 64", "Fairness matters", "prefer sgd")
    assert told.belief == now.belief
    assert [row["text"] for row in events.of("wish")][:2] == ["lr < 0.5", "the constraint bool"]


def flushed(engine: Engine) -> Path:
    engine.session.journal.ledger.flush()
    return engine.session.journal.ledger.path


def test_nobody_listens_for_a_search_that_is_gone(make: Callable[..., Engine]) -> None:
    engine, before = make(HeuristicAdvisor(0), space=SPACE), threading.enumerate()
    engine.session.listen()
    (thread,) = set(threading.enumerate()) - set(before)
    del engine
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
