"""What a judge and live knobs cost: microseconds per result, per push, per pull; delay of a push.

    python -m experiments.judging.cost [--part controller live delay] [--out results.json]

controller  Trials of 50 epochs, 50 side by side, driven through `LLMScheduler.on_trial_result` as
            Tune does it, an epoch every 0.2 s, every call timed on its own: without a judge, with a
            judge that takes 2 s (as a language model does), with one that always fails, with the
            keyless rules and live knobs, and with the judge and the knobs together.
live        A push as the scheduler sends it and `TrialKnobs.update` in a worker, on a Ray of
            its own.
delay       A real Tune run, 2 trials at once with epochs of 50 ms: from the push on the driver to
            the end of the `update` that takes it over, and how many epochs later that is.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import TrialScheduler

from experiments.common.fake_tune import FakeTrial
from experiments.judging.mailbox import FakeMailbox, use_fake_mailbox
from raymimic import Knob, LLMScheduler, LLMSearcher, Reply, Request, read_events
from raymimic.advisor import JudgeAdvice, JudgeEvidence, Judgement
from raymimic.errors import LLMCallError
from raymimic.tune import LiveKnobs
from raymimic.tune.mailbox import RayMailbox, open_mailbox

EPOCHS, SIDE_BY_SIDE = 50, 50
LATENCY_S = 2.0
LIVE = LiveKnobs({"lr": Knob(1e-5, 1.0, "learning rate"), "dropout": Knob(0.0, 0.8)})


class SlowModel:
    """A language model that takes two seconds and stops every second trial that may be stopped."""

    model = "slow-model"

    def complete(self, request: Request) -> Reply:
        time.sleep(LATENCY_S)
        blocks = request.user.split("\n## trial ")[1:]
        found = []
        for index, block in enumerate(blocks):
            stop = index % 2 == 0 and "may not be stopped" not in block
            said = {"action": "stop" if stop else "continue", "reason": "so it looks", "knobs": {}}
            found.append({"trial_id": block.split('"')[1], **said})
        text = json.dumps({"judgements": found})
        return Reply(text, self.model, tokens_in=len(request.user) // 4, tokens_out=len(text) // 4)


class BrokenModel:
    """A language model whose service is down."""

    model = "broken-model"

    def complete(self, _: Request) -> Reply:
        raise LLMCallError("no route", status="network")


def losses(rng: random.Random) -> list[float]:
    end, rate = rng.uniform(0.2, 1.5), rng.uniform(0.4, 1.2)
    return [end + 2.0 * e**-rate + rng.gauss(0, 0.01) for e in range(1, EPOCHS + 1)]


def drive(scheduler: LLMScheduler, trials: int, mailbox: FakeMailbox, knobs: bool) -> list[float]:
    """Run the trials to their ends; seconds of every call of `on_trial_result`."""
    rng, seconds, waiting = random.Random(0), [], list(range(trials))
    running: dict[Any, tuple[list[float], int]] = {}
    while waiting or running:
        while waiting and len(running) < SIDE_BY_SIDE:
            trial = FakeTrial(f"t{waiting.pop(0)}", {"lr": rng.random()})
            scheduler.on_trial_add(None, trial)
            running[trial] = losses(rng), 0
        for trial, (curve, done) in list(running.items()):
            epoch = done + 1
            result = {"loss": curve[done], "train_loss": curve[done] * 0.9}
            result |= {"training_iteration": epoch, "time_total_s": 1.0, "pid": 1}
            if knobs:
                now = {"lr": 0.01, "dropout": 0.1, **mailbox.sent.get(trial.trial_id, {})}
                result |= {f"raymimic/live/{name}": new for name, new in now.items()}
            begun = time.perf_counter()
            action = scheduler.on_trial_result(None, trial, result)
            seconds.append(time.perf_counter() - begun)
            running[trial] = curve, epoch
            if action == TrialScheduler.STOP or epoch == EPOCHS:
                scheduler.on_trial_complete(None, trial, result)
                del running[trial]
        time.sleep(0.2)  # an epoch of all of them: an answer is ten epochs old
    return seconds


def controller(trials: int) -> dict[str, Any]:
    mailbox = use_fake_mailbox()
    arms: dict[str, dict[str, Any]] = {
        "no judge": {},
        "model of 2 s": {"llm": SlowModel()},
        "model that fails": {"llm": BrokenModel()},
        "rules, live knobs": {"knobs": LIVE},
        "model of 2 s, live knobs": {"llm": SlowModel(), "knobs": LIVE},
    }
    found = {}
    for name, settings in arms.items():
        with tempfile.TemporaryDirectory() as folder:
            scheduler = LLMScheduler("loss", "min", ledger=f"{folder}/l.jsonl", **settings)
            scheduler.set_search_properties(None, None)
            seconds = drive(scheduler, trials, mailbox, "knobs" in settings)
            scheduler.ledger.flush()
        found[name] = {**spread(seconds), "said": scheduler.debug_string()}
        print(f"{name:26s} {line(found[name])}\n{'':26s} {scheduler.debug_string()}", flush=True)
    return found


def live(times: int) -> dict[str, Any]:
    mailbox = open_mailbox()
    ray.get(mailbox.take.remote("warm"))
    pushes = timed(lambda index: mailbox.push.remote(f"t{index % 8}", {"lr": 0.01}), times)

    @ray.remote(num_cpus=0)
    def pull(full: bool) -> list[float]:
        knobs, mine = LIVE.start({"lr": 0.1}, trial_id="puller"), open_mailbox()
        knobs.update()

        found = []
        for index in range(times):
            if full:
                ray.get(mine.push.remote("puller", {"lr": 0.001 * (1 + index % 9)}))
            found += timed(lambda _: knobs.update(), 1)
        return found

    found = {
        "push, sent from the driver": spread(pushes),
        "update, nothing waits": spread(ray.get(pull.remote(False))),
        "update, a value waits": spread(ray.get(pull.remote(True))),
    }
    for name, row in found.items():
        print(f"{name:26s} {line(row)}", flush=True)
    return found


class EveryTime:
    """A judge by rule that turns the learning rate whenever it may; notes when it said so."""

    name, remote = "every-time", False

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        return JudgeAdvice(
            tuple(
                Judgement(case.trial_id, "redirect", "again", {"lr": lr.value * 0.9})
                for case in evidence.cases
                if (lr := case.knob("lr")) is not None
            )
        )


def delay(trials: int) -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp())
    knobs_of = LIVE

    def train(config: dict[str, Any]) -> None:
        knobs, before = knobs_of.start({"lr": 0.5}), 0.5
        for epoch in range(1, 61):
            knobs.update()
            if knobs["lr"] != before:
                row = [tune.get_context().get_trial_id(), epoch, knobs["lr"], time.time()]
                with (folder / "taken.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
            before = knobs["lr"]
            time.sleep(0.05)
            loss = config["x"] + 0.5**epoch + 0.001 * (-1) ** epoch
            tune.report({"loss": loss, **knobs.metrics()})

    sent: dict[tuple[str, float], float] = {}
    push = RayMailbox.push

    def timed_push(self: Any, trial_id: str, values: Any, *rest: Any) -> None:
        sent[trial_id, values["lr"]] = time.time()
        push(self, trial_id, values, *rest)

    RayMailbox.push = timed_push  # type: ignore[method-assign]
    ledger = folder / "ledger.jsonl"
    scheduler = LLMScheduler(llm=EveryTime(), knobs=LIVE, patience=1000.0, ledger=ledger)
    points = [{"x": float(index)} for index in range(trials)]
    searcher = LLMSearcher(llm="none", seed=0, points_to_evaluate=points, ledger=str(folder / "s"))
    tune.Tuner(
        train,
        param_space={"x": tune.uniform(0.0, 100.0)},
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", scheduler=scheduler, search_alg=searcher,
            num_samples=trials, max_concurrent_trials=2,
        ),
        run_config=tune.RunConfig(storage_path=str(folder), name="run", verbose=0),
    ).fit()  # fmt: skip
    rows = [json.loads(text) for text in (folder / "taken.jsonl").read_text().splitlines()]
    taken = {(trial, lr): (epoch, at) for trial, epoch, lr, at in rows}
    seconds, epochs = [], []
    for redirect in read_events(ledger).of("redirect"):
        one = redirect["trial_id"], redirect["knobs"]["lr"][1]
        if one in taken:
            then, now = taken[one]
            seconds.append(now - sent[one])
            epochs.append(then - redirect["epoch"])
    found = {"push to use": spread(seconds), "sent": len(sent), "taken": len(seconds)}
    found["epochs later"] = {str(n): epochs.count(n) for n in sorted(set(epochs))}
    print(f"{'push to use':26s} {line(found['push to use'])}")
    print(f"{len(sent)} sent, {len(seconds)} taken over, epochs later: {found['epochs later']}")
    return found


def timed(work: Callable[[int], Any], times: int) -> list[float]:
    found = []
    for index in range(times):
        begun = time.perf_counter()
        work(index)
        found.append(time.perf_counter() - begun)
    return found


def spread(seconds: list[float]) -> dict[str, float]:
    """In microseconds."""
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return 1e6 * ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))]

    return {
        "calls": len(ordered), "median": 1e6 * statistics.median(ordered), "p99": at(0.99),
        "p99.9": at(0.999), "most": 1e6 * ordered[-1], "mean": 1e6 * statistics.fmean(ordered),
    }  # fmt: skip


def line(row: dict[str, float]) -> str:
    parts = (f"{name} {row[name]:9.0f}" for name in ("median", "mean", "p99", "p99.9", "most"))
    return f"{row['calls']:6d} calls  {'  '.join(parts)}  us"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", nargs="+", default=["controller", "live", "delay"])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--times", type=int, default=1000)
    parser.add_argument("--delayed", type=int, default=6, help="trials of the real run")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found: dict[str, Any] = {"python": platform.python_version(), "ray": ray.__version__}
    if "live" in given.part or "delay" in given.part:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")
    if "live" in given.part:
        found["live"] = live(given.times)
    if "delay" in given.part:
        found["delay"] = delay(given.delayed)
    if "controller" in given.part:
        found["controller"] = controller(given.trials)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
