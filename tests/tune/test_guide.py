"""One language model for all workers: what only real Ray processes can show."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import cloudpickle, tune

from raymimic import LLMSearcher, Reply, Request, ScriptedLLM, read_events
from raymimic.errors import BudgetError, LLMCallError, LLMError, LLMRefusal, LLMSetupError
from raymimic.llm import LLM, AnthropicLLM, describe
from raymimic.testing.server import StubServer
from raymimic.tune import Guide

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here")]

# Workers cannot import this file; its functions travel by value.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ASK = Request(system="s", user="u", schema={"type": "object"}, max_tokens=100, deadline=30.0)
KEY = "sk-a-secret-that-must-not-travel-0123456789"


class OfThisProcess:
    """Answers with its process id and whether it finds the key."""

    model = "of-this-process"
    api_key_env = "FAKE_API_KEY"

    def complete(self, request: Request) -> Reply:
        found = {"pid": os.getpid(), "key": os.environ.get(self.api_key_env) == KEY}
        return Reply(json.dumps(found), self.model, tokens_in=5, tokens_out=5)


class WaitsForFile:
    """Answers once a file is there."""

    model = "waits"

    def __init__(self, path: Path) -> None:
        self.path = path

    def complete(self, request: Request) -> Reply:
        end = time.monotonic() + request.deadline
        while not self.path.exists() and time.monotonic() < end:
            time.sleep(0.01)
        return Reply("opened", self.model, tokens_in=5, tokens_out=5, cost=0.5)


@ray.remote(num_cpus=0)
def ask(llm: LLM, requests: list[Request], here: Path | None = None) -> list[tuple[str, int, Any]]:
    """Ask from a worker: status, tokens and cost of each."""
    if here is not None:
        here.touch()
    outcomes: list[tuple[str, int, Any]] = []
    for request in requests:
        try:
            reply = llm.complete(request)
            outcomes.append(("ok", reply.tokens_in + reply.tokens_out, reply.cost))
        except LLMError as error:
            outcomes.append((error.status, error.tokens_in + error.tokens_out, error.cost))
    return outcomes


@ray.remote(num_cpus=0)
def has_key() -> bool:
    return KEY in os.environ.values()


@pytest.fixture
def start() -> Iterator[Callable[..., Guide]]:
    made: list[Guide] = []

    def build(llm: Any, **settings: Any) -> Guide:
        made.append(Guide.start(llm, **settings))
        return made[-1]

    yield build
    for guide in made:
        guide.stop()


def kill(guide: Guide) -> None:
    ray.kill(ray.get_actor(guide.name, namespace="raymimic"))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_workers_share_one_budget_and_one_transcript(start, tmp_path):
    path = tmp_path / "calls.jsonl"
    guide = start(ScriptedLLM(["reply"] * 9), calls=5, transcript=path)
    assert isinstance(guide, LLM)
    questions = [[replace(ASK, user=f"{worker} {n}") for n in range(4)] for worker in "ab"]
    outcomes = [*chain(*ray.get([ask.remote(guide, asked) for asked in questions]))]
    assert sorted(status for status, *_ in outcomes) == ["budget"] * 3 + ["ok"] * 5
    with pytest.raises(BudgetError, match="at most 5 calls"):
        guide.complete(ASK)
    spent = guide.spent()
    assert (spent.calls, spent.refused, spent.failed) == (5, 4, 0)
    assert spent.tokens_in + spent.tokens_out == sum(tokens for _, tokens, _ in outcomes)
    guide.stop()
    assert len(read_events(path).of("call")) == 5


def test_equal_questions_of_two_workers_are_one_call_paid_once(start, tmp_path):
    guide = start(WaitsForFile(tmp_path / "go"))
    here = [tmp_path / "first", tmp_path / "second"]
    asked = [ask.remote(guide, [ASK], path) for path in here]
    wait_until(lambda: all(path.exists() for path in here))
    time.sleep(0.3)
    (tmp_path / "go").touch()
    assert sorted(chain(*ray.get(asked))) == [("ok", 0, 0.0), ("ok", 10, 0.5)]
    assert (guide.spent().calls, guide.spent().coalesced) == (1, 1)


def test_errors_keep_their_type_and_their_fields(start):
    refusal = LLMRefusal("declined", status="refusal")
    refusal.tokens_in, refusal.cost, refusal.failed_tries = 7, 0.25, ("503", "refusal")
    late = LLMCallError("slow down", status="429", retry_after=7.0)
    guide = start(ScriptedLLM([refusal, late, LLMSetupError("bad key", status="401")]))
    for expected in (refusal, late):
        with pytest.raises(type(expected), match=str(expected)) as raised:
            guide.complete(ASK)
        assert type(raised.value) is type(expected)
        assert raised.value.__dict__ == expected.__dict__
    assert ray.get(ask.remote(guide, [ASK])) == [("401", 0, 0.0)]


def test_the_key_is_in_the_actor_and_nowhere_else(start, monkeypatch):
    monkeypatch.setenv("FAKE_API_KEY", KEY)
    guide = start(OfThisProcess(), usd=None, calls=9)
    found = json.loads(guide.complete(ASK).text)
    assert found["key"]
    assert found["pid"] != os.getpid()
    searcher = LLMSearcher({"x": tune.uniform(0, 1)}, "loss", "min", llm=guide)
    for holder in (guide, searcher, copy.deepcopy(guide)):
        assert KEY.encode() not in cloudpickle.dumps(holder)
    assert KEY not in repr(guide) + guide.describe()
    assert not ray.get(has_key.remote())
    again = pickle.loads(pickle.dumps(guide))
    assert (again.model, again.spent().calls) == ("of-this-process", 1)
    assert describe(again) == "of-this-process (at most 9 calls), one for all workers,"


def test_an_adapter_finds_its_key_and_its_address_in_the_actor(start, monkeypatch):
    with StubServer().running() as server:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://{server.host}")
        guide = start("auto", usd=1.0)
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        schema = {"type": "object", "properties": {}, "required": []}
        assert guide.complete(replace(ASK, schema=schema)).tokens_in > 0
    # Which header carries it is up to the SDK's version.
    assert any(KEY in value for value in server.seen[0].headers.values())
    assert guide.spent().usd > 0
    assert "through ANTHROPIC_API_KEY (at most $1.00)" in guide.describe()


def test_a_dead_guide_is_said_at_once_and_to_all(start, tmp_path):
    guide = start(WaitsForFile(tmp_path / "never"))
    here = tmp_path / "asking"
    waiting = ask.remote(guide, [ASK], here)
    wait_until(here.exists)
    time.sleep(0.2)
    kill(guide)
    begun = time.monotonic()
    assert ray.get(waiting)[0][0] == "guide_lost"
    with pytest.raises(LLMCallError, match=r"Guide\.start") as raised:
        guide.complete(ASK)
    assert raised.value.status == "guide_lost"
    assert ray.get(ask.remote(guide, [ASK]))[0][0] == "guide_lost"
    with pytest.raises(LLMCallError):
        guide.spent()
    guide.stop()
    assert time.monotonic() - begun < 15  # of 30 s that each may take


def test_a_guide_that_hangs_is_given_up_at_the_deadline(start):
    guide = start(OfThisProcess())
    pid = json.loads(guide.complete(ASK).text)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(LLMCallError, match="no answer within") as raised:
            guide.complete(replace(ASK, deadline=0.5))
        assert raised.value.status == "guide_lost"
        assert time.monotonic() - begun < 3
    finally:
        os.kill(pid, signal.SIGCONT)
    assert guide.complete(ASK).text  # it is back


def test_a_slow_model_is_a_timeout_and_not_a_lost_guide(start):
    guide = start(ScriptedLLM(["late"], latency=5.0))
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(guide.complete, replace(ASK, deadline=2.0))
        assert guide.spent().calls == 0  # answered meanwhile
        error = slow.exception()
    assert isinstance(error, LLMCallError)
    assert error.status == "timeout"


def test_handles_of_an_earlier_driver_find_a_new_guide_of_the_same_name(start):
    guide = start(ScriptedLLM(["old"]), name="lab")
    kept = pickle.dumps(guide)
    with pytest.raises(LLMSetupError, match="'lab'"):
        Guide.start(ScriptedLLM([]), name="lab")
    guide.stop()
    wait_until(lambda: "lab" not in ray.util.list_named_actors(all_namespaces=True))
    start(ScriptedLLM(["new", "new"]), name="lab")
    assert pickle.loads(kept).complete(ASK).text == "new"
    assert guide.complete(ASK).text == "new"


def test_without_a_model_or_a_key_no_guide_starts_and_the_cure_is_said():
    for llm in ("none", "auto"):
        with pytest.raises(LLMSetupError, match='llm="none"'):
            Guide.start(llm)
    with pytest.raises(LLMSetupError, match="ANTHROPIC_API_KEY"):
        Guide.start(AnthropicLLM())
    with pytest.raises(LLMSetupError, match="pickles") as raised:
        Guide.start(Locked())
    assert raised.value.status == "no_guide"


class Locked(ScriptedLLM):
    """Holds a live handle, which does not pickle."""

    def __init__(self) -> None:
        super().__init__([])
        self.stack = (frame for frame in ())


def proposals(*values: float) -> str:
    rows = [{"config": {"x": x}, "rationale": f"x {x}", "expected": x} for x in values]
    return json.dumps({"proposals": rows})


def test_a_search_and_its_trials_ask_through_one_guide(start, tmp_path):
    def answer(request: Request) -> str:
        return "{}" if request.user.startswith("trial") else proposals(0.1, 0.2)

    guide = start(ScriptedLLM([answer] * 30))

    def train(config: dict[str, Any], llm: Any) -> None:
        reply = llm.complete(replace(ASK, user=f"trial {config['x']}"))
        tune.report({"loss": config["x"], "asked": int(bool(reply.text))})

    searcher = LLMSearcher(llm=guide, batch_size=2, ledger=str(tmp_path / "ledger.jsonl"))
    grid = tune.Tuner(
        tune.with_parameters(train, llm=guide),
        param_space={"x": tune.uniform(0.0, 1.0)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", search_alg=searcher, num_samples=4,
            max_concurrent_trials=1, reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="run", verbose=0),
    ).fit()  # fmt: skip
    assert not grid.errors
    assert [result.metrics["asked"] for result in grid] == [1] * 4
    assert searcher.tally.started["llm"] >= 1
    assert searcher.tally.calls["ok"] >= 1
    assert guide.spent().calls == 4 + sum(searcher.tally.calls.values())


def test_a_second_live_guide_on_a_transcript_is_refused(start, tmp_path, monkeypatch):
    path = tmp_path / "calls.jsonl"
    first = start(ScriptedLLM(["reply"] * 9), calls=5, transcript=path, name="first")
    with pytest.raises(LLMSetupError, match="one live guide"):
        start(ScriptedLLM(["reply"] * 9), calls=5, transcript=path, name="second")
    first.stop()
    again = start(ScriptedLLM(["reply"] * 9), calls=5, transcript=path, name="third")
    assert again.complete(ASK).text == "reply"
