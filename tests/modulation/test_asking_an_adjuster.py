"""Who steers may be dead, slow or someone's own code: it is counted, and training goes on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from small_training import DOWN, Says, network
from torch.optim import SGD

from raymimic import Adjustment, Modulator, read_events
from raymimic import inquiry as inquiries
from raymimic.errors import AdvisorError


class Remote(Says):
    remote = True


class Clock:
    """Stands for the time that an inquiry reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(inquiries.time, "monotonic", lambda: self.now)


def steered(adjuster: Any, **options: Any) -> Modulator:
    model = network()
    return Modulator(model, SGD(model.parameters(), 0.1), llm=adjuster, **options)


def epochs(modulator: Modulator, count: int) -> None:
    for _ in range(count):
        modulator.step()
        modulator.epoch_end({"val_loss": 1.0})


def failed(modulator: Modulator) -> float:
    return modulator.metrics()["raymimic/failed_answers"]


@pytest.mark.parametrize("kind", [Says, Remote])
@pytest.mark.parametrize("answer", [None, "lower the rate", {"lr": 0.1}])
def test_an_answer_that_is_none_is_a_counted_failure(tmp_path, kind, answer):
    adjuster = kind()
    adjuster.adjust = lambda evidence: answer
    path = tmp_path / "ledger.jsonl"
    modulator = steered(adjuster, wait=True, ledger=path)
    epochs(modulator, 1)
    assert failed(modulator) == 1.0
    assert modulator.history == ()
    modulator._ledger.flush()
    (fallback,) = read_events(path).of("fallback")
    assert fallback["reason"] == "bad_advice"


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError("no text")


@pytest.mark.parametrize("kind", [Says, Remote])
def test_an_error_that_cannot_tell_its_text_is_a_counted_failure(kind):
    modulator = steered(kind(Mute()), wait=True)
    epochs(modulator, 1)
    assert failed(modulator) == 1.0


def test_a_dead_model_is_asked_with_growing_pauses(monkeypatch):
    dead = Remote(*[DOWN] * 9, Adjustment({"lr": 0.05}))
    modulator = steered(dead, wait=True)
    clock = Clock(monkeypatch)
    asked = []
    for _ in range(40):  # an epoch a second
        epochs(modulator, 1)
        asked.append(len(dead.seen))
        clock.now += 1.0
    times = [second for second, count in enumerate(asked) if count > ([0, *asked])[second]]
    assert times == [0, 2, 6, 14, 30]
    assert failed(modulator) == 5.0


def test_after_an_answer_there_is_no_pause(monkeypatch):
    clock = Clock(monkeypatch)
    remote = Remote(DOWN, Adjustment({"lr": 0.05}), Adjustment({"lr": 0.06}))
    modulator = steered(remote, wait=True)
    epochs(modulator, 1)
    clock.now += 2.0
    epochs(modulator, 2)
    assert modulator.knobs["lr"] == pytest.approx(0.06)


@pytest.mark.parametrize("kind", [Says, Remote])
def test_a_failure_that_is_final_ends_the_asking(monkeypatch, kind):
    clock = Clock(monkeypatch)
    gone = kind(AdvisorError("no key", permanent=True), Adjustment({"lr": 0.05}))
    modulator = steered(gone, wait=True)
    for _ in range(5):
        epochs(modulator, 1)
        clock.now += 1000.0
    assert len(gone.seen) == 1
    assert failed(modulator) == 1.0


def test_an_answer_that_does_not_come_is_given_up_and_counted(monkeypatch):
    clock = Clock(monkeypatch)
    never = threading.Event()

    class Hangs(Remote):
        def adjust(self, evidence):
            never.wait(60)
            return super().adjust(evidence)

    hanging = Hangs()
    modulator = steered(hanging, timeout=7.0)
    epochs(modulator, 2)
    assert failed(modulator) == 0.0
    clock.now += 7.0 + 6.0
    epochs(modulator, 1)
    assert failed(modulator) == 1.0
    assert "give it longer: Modulator(timeout=...)" in str(modulator._deciding.inquiry.last_failure)
    never.set()


def test_one_question_is_asked_at_a_time():
    may_answer = threading.Event()

    class Slow(Remote):
        def adjust(self, evidence):
            may_answer.wait(60)
            return super().adjust(evidence)

    slow = Slow()
    modulator = steered(slow)
    epochs(modulator, 3)
    may_answer.set()
    modulator._deciding.inquiry.wait(60)
    assert len(slow.seen) == 1
