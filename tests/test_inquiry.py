"""Asking whoever is slow or fails: pauses, deadlines, and what is said of them."""

from __future__ import annotations

import gc
import inspect
import pickle
import re
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

import raymimic
from raymimic.errors import AdvisorError
from raymimic.inquiry import Inquiry
from raymimic.search.question import ProposalInquiry
from raymimic.testing.advisors import CountingAdvisor


@pytest.fixture
def clock(monkeypatch):
    moved = SimpleNamespace(now=0.0)
    monkeypatch.setattr("raymimic.inquiry.time", SimpleNamespace(monotonic=lambda: moved.now))
    return moved


def answer_of(inquiry, question):
    """What came of a question."""
    inquiry.submit(question)
    inquiry.wait(10)
    return inquiry.collect()


def fail(error=None):
    raise error or AdvisorError("no route", reason="connection")


def too_late(inquiry, clock):
    """What is said of an answer that does not come."""
    gate = threading.Event()
    inquiry.submit(gate.wait)
    clock.now += inquiry.timeout + 5.0
    assert inquiry.collect() is None  # a call ends by itself at its deadline
    clock.now += 0.1
    error = inquiry.collect()
    assert not inquiry.busy
    gate.set()
    return error


def test_a_late_answer_advises_a_longer_time_only_where_there_is_a_setting(clock):
    error = too_late(Inquiry(60.0), clock)
    assert error.reason == "timeout"
    assert str(error) == "the advisor must answer within 60 s and did not"
    advised = str(too_late(Inquiry(60.0, "Owner(timeout=...)"), clock))
    assert advised == f"{error}; give it longer: Owner(timeout=...)"


def test_every_setting_that_is_advised_exists():
    texts = [path.read_text() for path in Path(raymimic.__file__).parent.rglob("*.py")]
    found = [
        name for text in texts for name in re.findall(r'setting="(\w+)\((\w+)=\.\.\.\)"', text)
    ]
    assert found
    for owner, name in found:
        assert name in inspect.signature(getattr(raymimic, owner)).parameters


def test_the_setting_survives_a_pickle(clock):
    again = pickle.loads(pickle.dumps(ProposalInquiry(CountingAdvisor(), 60.0)))
    assert "LLMSearcher(timeout=...)" in str(too_late(again, clock))


def test_pauses_grow_to_a_minute_and_an_answer_ends_them(clock):
    inquiry, pauses = Inquiry(60.0), []
    for _ in range(7):
        answer_of(inquiry, fail)
        begun = clock.now
        while not inquiry.may_ask():
            clock.now += 1.0
        pauses.append(clock.now - begun)
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    assert answer_of(inquiry, lambda: "yes") == "yes"
    assert (inquiry.failures, inquiry.last_failure, inquiry.answered) == (0, None, True)
    assert inquiry.may_ask()


def test_who_cannot_be_helped_is_asked_no_more_until_a_restore(clock):
    inquiry = Inquiry(60.0)
    answer_of(inquiry, lambda: fail(AdvisorError("no such model", permanent=True)))
    clock.now += 1e6
    assert inquiry.gave_up
    assert not inquiry.may_ask()
    assert pickle.loads(pickle.dumps(inquiry)).may_ask()


def test_whatever_is_raised_is_a_crash_and_quotes_no_key(clock, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "very-secret-indeed")
    error = answer_of(Inquiry(60.0), lambda: fail(KeyError("very-secret-indeed")))
    assert (error.reason, str(error)) == ("crash", "KeyError: '[key]'")


def test_the_thread_of_an_answer_that_came_too_late_ends(clock):
    before, inquiry = set(threading.enumerate()), Inquiry(60.0)
    too_late(inquiry, clock)
    assert answer_of(inquiry, lambda: "the next one") == "the next one"
    for own in set(threading.enumerate()) - before - {inquiry_thread(inquiry)}:
        own.join(timeout=10)
        assert not own.is_alive()


def inquiry_thread(inquiry):
    """The thread that serves it now."""
    return answer_of(inquiry, threading.current_thread)


def test_a_thread_ends_with_the_one_it_served():
    before = set(threading.enumerate())
    inquiry = Inquiry(60.0)
    answer_of(inquiry, lambda: 1)
    (own,) = (t for t in set(threading.enumerate()) - before if t.name == "raymimic-advisor")
    del inquiry
    gc.collect()
    own.join(timeout=10)
    assert not own.is_alive()
