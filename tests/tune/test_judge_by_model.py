"""A model judges running trials beside a searcher: what it is asked, and who pays."""

from __future__ import annotations

import json
import re
import sys
import time
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.tune.schedulers import TrialScheduler

from raymimic import LLMScheduler, LLMSearcher, ScriptedLLM
from raymimic.errors import LLMCallError
from raymimic.llm import Request
from raymimic.scheduling.rank_rule import RankRule, Reading

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LENGTH = 40


def curve(end: float, length: int = LENGTH) -> list[float]:
    return [end + (2.0 - 0.9 * end) * epoch**-0.8 for epoch in range(1, length + 1)]


@pytest.fixture(autouse=True)
def rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that look at every epoch, stop nobody, and nearly stop whoever is above 0.6."""

    def read(self: RankRule, trial_id: str) -> Reading | None:
        trial = self._trials[trial_id]
        epoch, good = trial.epochs[-1], trial.values[-1] < 0.6
        if epoch >= LENGTH:
            return None
        place = 1 if good else 3
        return Reading(epoch, LENGTH, place=place, rivals=4, kept=2.0, reach=min(place, 2))

    monkeypatch.setattr(RankRule, "read", read)


def test_a_scripted_model_is_asked_with_its_calls_in_the_searchers_bill(make, events):
    def reply(request: Request) -> str:
        ids = re.findall(r'## trial "(\w+)"', request.user)
        said = {"reason": "rests far above the best", "knobs": {}}
        actions = {one: "stop" if one == "t2" else "continue" for one in [*ids, "else"]}
        return json.dumps(
            {"judgements": [{"trial_id": k, "action": v, **said} for k, v in actions.items()]}
        )

    searcher: LLMSearcher = make()
    llm = ScriptedLLM([LLMCallError("down", status="500"), *[reply] * 20], model="m-1")
    scheduler = LLMScheduler(
        "loss", "min", searcher=searcher, llm=llm, instruction="small nets are cheaper"
    )
    assert scheduler.set_search_properties(None, None)
    judging = scheduler._decisions._judging
    for index, end in enumerate((0.5, 0.52, 0.8)):
        while (config := searcher.suggest(f"t{index}")) is None:
            time.sleep(0.01)
        trial = SimpleNamespace(trial_id=f"t{index}", config=config)
        scheduler.on_trial_add(None, trial)
        for epoch, loss in enumerate(curve(end), start=1):
            judging._inquiry._retry_at = 0.0  # no pause after the failure
            result = {"loss": loss, "training_iteration": epoch}
            if scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
                break
            searcher.on_trial_result(trial.trial_id, result)
            judging.wait(20)
        scheduler.on_trial_complete(None, trial, result)
        searcher.on_trial_complete(trial_id=trial.trial_id, result=result)
    (stop,) = events("stop")
    assert (stop["trial_id"], stop["kind"]) == ("t2", "judged")
    assert 'm-1, 1 epoch ago: "rests far above the best"' in stop["text"]
    judged = [row for row in events("judgement") if row["outcome"] == "applied"]
    assert judged[-1]["action"] == "stop"
    assert judged[-1]["model"] == "m-1"
    assert judged[-1]["tokens"] > 100
    reasons = [row["reason"] for row in events("unjudged")]
    assert reasons.count("500") == 1
    assert "rejected" in reasons  # the judgement on a trial that nobody asked about
    assert "small nets" in llm.requests[0].system
    assert '"x": 0.' in llm.requests[0].user
    text = searcher.summary()
    assert "Stopped early: judged 1." in text
    assert re.search("Running trials judged: .*stop 1", text)
    assert "500 1" in text
    assert (
        cloudpickle.loads(cloudpickle.dumps(scheduler)).debug_string() == scheduler.debug_string()
    )
