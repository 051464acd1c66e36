"""What must hold after a run, whatever was broken in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.faults.harness import Run
from experiments.faults.stub import ADJUSTMENT, StubModel
from experiments.faults.training import EachEpoch, SameAnswer, undisturbed
from raymimic import read_events
from raymimic.advisor import evidence_from_ledger
from raymimic.ledger import Events
from raymimic.summary import tally_of
from raymimic.testing.server import TOKENS_IN, TOKENS_OUT


@dataclass(frozen=True)
class Check:
    """One sentence that must be true; ``detail`` gives the numbers."""

    name: str
    ok: bool
    detail: str = ""


class Findings:
    """Everything that is left of a run, read from its files."""

    def __init__(self, run: Run) -> None:
        self.settings, self.out, self.facts = run.settings, run.out, run.facts
        self.driver: dict[str, Any] = json.loads((run.out / "driver.json").read_text())
        self.trials = {trial["trial_id"]: trial for trial in self.driver["trials"]}
        self.truth = run.truth()
        path = Path(self.settings.ledger)
        self.events = read_events(path) if path.exists() else Events(())

    def evaluated(self) -> dict[str, dict[int, dict[str, Any]]]:
        """The last line of every epoch of every trial that was trained."""
        return {
            name: {row["epoch"]: row for row in rows if "epoch" in row}
            for name, rows in self.truth.items()
        }

    def outcomes(self) -> dict[str, dict[str, Any]]:
        """The last outcome of each trial in the ledger."""
        return {row["trial_id"]: row for row in self.events.of("outcome")}


def common(found: Findings, stub: StubModel) -> list[Check]:
    """The checks that hold for every fault."""
    return [*_trials(found), *_curves(found), *_weights(found), *_best(found), *_ledger(found),
            *_steering(found), *_cut_off(found), *_budget(found, stub)]  # fmt: skip


def _trials(found: Findings) -> Iterator[Check]:
    wanted, settings = found.settings.num_samples, found.settings
    if settings.time_budget_s is None and settings.case != "driver_first":
        yield Check("num_samples exact", len(found.trials) == wanted, f"{len(found.trials)}")
    yield Check("trial ids unique", len(found.trials) == len(found.driver["trials"]))
    configs = Counter(json.dumps(t["config"], sort_keys=True) for t in found.trials.values())
    twice = sum(count - 1 for count in configs.values())
    if settings.scheduler != "pbt":  # it copies configurations by design
        yield Check("no configuration evaluated twice", twice == 0, f"{twice} repeats")
    if settings.llm:
        evidence = found.driver["evidence"]
        known = {name for name, rows in found.evaluated().items() if rows}
        ended = {name for name, t in found.trials.items() if t["error"] or _whole(found, t)}
        ended -= set(found.driver["unfinished"])  # its last epoch came when time was up
        yield Check("every ended trial is evidence", ended <= set(evidence), f"{len(ended)}")
        lost = {row["trial_id"] for row in found.events.of("lost")}
        strangers = set(evidence) - known - lost
        yield Check("no evidence without a training", not strangers, f"{sorted(strangers)}")


def _whole(found: Findings, trial: dict[str, Any]) -> bool:
    return bool(trial["epoch"] >= found.settings.task["epochs"])


def _curves(found: Findings) -> Iterator[Check]:
    """The ledger's curves against what the trainings wrote themselves."""
    if not found.settings.llm or found.settings.case == "gone_folder":
        return
    outcomes, evaluated, bad = found.outcomes(), found.evaluated(), []
    for name, row in outcomes.items():
        curve = row["curve"]
        if curve is None:
            continue
        epochs = curve["epochs"]
        if epochs != list(range(1, len(epochs) + 1)):
            bad.append(f"{name}: epochs {epochs}")
        for epoch, loss in zip(epochs, curve["columns"].get("loss", []), strict=False):
            if loss is None or evaluated[name].get(epoch, {}).get("loss") != float(loss):
                bad.append(f"{name}: epoch {epoch} is {loss}")
    if found.settings.task["odd"] != "values":
        yield Check("curves whole, no gap, no double epoch", not bad, "; ".join(bad[:3]))
    lengths = {
        name: (found.trials[name]["epoch"], outcomes[name]["curve"]["epochs"][-1])
        for name in set(outcomes) & set(found.trials)
        if outcomes[name]["curve"]
    }
    short = {name: pair for name, pair in lengths.items() if pair[0] != pair[1]}
    yield Check("curves as long as Tune's results", not short, f"{short or len(lengths)}")


def _weights(found: Findings) -> Iterator[Check]:
    """Every epoch of every trial against an undisturbed run in this process."""
    settings = found.settings
    if settings.scheduler == "pbt" or settings.sabotage.get("kill_guide") or settings.task["odd"]:
        return
    epochs = settings.task["epochs"]
    configs = {name: trial["config"] for name, trial in found.trials.items()}
    advisor = {"each": EachEpoch(), "rules": "none"}.get(settings.advisor, SameAnswer(ADJUSTMENT))
    compared, wrong = 0, []
    for name, rows in found.truth.items():
        if name not in configs:
            continue
        right = undisturbed(configs[name], epochs, advisor)
        for row in rows:
            if "epoch" in row:
                compared += 1
                if (row["loss"], row["digest"]) != right[row["epoch"] - 1]:
                    wrong.append(f"{name} epoch {row['epoch']}")
    text = f"{compared} epochs compared" + (f", wrong: {wrong[:3]}" if wrong else "")
    yield Check("weights equal an undisturbed run, bit for bit", not wrong and compared > 0, text)


def _best(found: Findings) -> Iterator[Check]:
    """The winner, recomputed from the trainings' own files."""
    if found.settings.task["odd"] == "values":
        return
    scores = {  # Tune counts a failed trial by its last report, the searcher does not
        name: rows[trial["epoch"]]["loss"]
        for name, trial in found.trials.items()
        if (rows := found.evaluated().get(name)) and trial["epoch"] in rows
    }
    if not scores:
        return
    right = min(scores, key=lambda name: scores[name])
    best = found.driver["best"]
    equal = best in scores and scores[best] == scores[right]
    yield Check("Tune's best is the right one", equal, f"{best}, {scores[right]:.5f}")
    if found.settings.llm:
        outcomes = found.driver["evidence"]
        scored = {n: e["score"] for n, e in outcomes.items() if e["score"] is not None}
        winner = min(scored, key=lambda name: scored[name])
        said = found.driver["tally"]["best"]
        yield Check("the searcher's best is the right one", said == winner, f"{said}")


def _ledger(found: Findings) -> Iterator[Check]:
    if not found.settings.llm or found.settings.case == "gone_folder":
        return
    events = found.events
    yield Check("ledger reads back whole", events.unreadable == 0, f"{len(events.rows)} events")
    numbers = [row["n"] for row in events.rows]
    yield Check("no event is missing", numbers == list(range(len(numbers))), f"{len(numbers)}")
    yield Check("no event was lost", found.driver["ledger_lost"] == 0)
    if found.settings.case != "driver_first":
        yield Check("one search event", len(events.of("search")) == 1)
    tally = tally_of(events.rows)
    told = {"started": +tally.started, "ended": +tally.ended, "calls": +tally.calls}
    live = {name: +Counter(found.driver["tally"][name]) for name in told}
    yield Check("the ledger tells the searcher's own story", told == live, f"{told}"[:90])
    read = {trial.trial_id for trial in evidence_from_ledger(events).trials}
    same = read == set(found.driver["evidence"])
    yield Check("evidence read from the ledger is the searcher's", same, f"{len(read)} trials")
    torn = [
        path.name for path in (found.out / "modulation").glob("*.jsonl")
        if read_events(path).unreadable
    ]  # fmt: skip
    yield Check("every training's own ledger reads back", not torn, f"{torn}")


def _budget(found: Findings, stub: StubModel) -> Iterator[Check]:
    """Nothing the model was asked is missing from the bill, and nothing is on it twice."""
    spent, transcript = found.driver.get("spent"), found.out / "calls.jsonl"
    if spent is None:
        return
    events = read_events(transcript) if transcript.exists() else Events(())
    asked, calls = len(events.of("asked")), events.of("call")
    under_way = asked - len(calls)
    text = f"stub {stub.received}, announced {asked}, transcript {len(calls)}, guide {spent}"
    killed = found.settings.case.startswith(("driver", "guide"))
    reached = 0 if found.settings.case == "dead_model" else asked
    whole = under_way == 0 and reached == stub.received
    yield Check("every question to the model is in the transcript", whole or (
        killed and 0 <= under_way <= 4 and len(calls) <= stub.received <= asked), text)  # fmt: skip
    if isinstance(spent, dict):
        yield Check("the guide's count of calls is exact", spent["calls"] == asked, text)
        tokens = sum(row["tokens_in"] + row["tokens_out"] for row in calls)
        good = sum(row["status"] == "ok" for row in calls)
        price = good * (TOKENS_IN + TOKENS_OUT)
        exact = price == tokens and (spent["tokens"] == tokens or under_way > 0)
        text = f"{spent['tokens']}, {tokens} in the transcript, {under_way} calls cut off"
        yield Check("tokens exact, calls cut off counted in full",
                    exact and spent["tokens"] >= tokens, text)  # fmt: skip


def _steering(found: Findings) -> Iterator[Check]:
    """Each training's own ledger: after every restart it goes on where its checkpoint was."""
    if found.settings.scheduler == "pbt":
        return
    bad, resumed = [], 0
    for path in (found.out / "modulation").glob("*.jsonl"):
        epochs: list[int] = []
        for row in read_events(path).rows:
            if row["event"] == "run":
                last = list(epochs)
                epochs = []
            elif row["event"] == "resumed":
                resumed += 1
                epochs = [epoch for epoch in last if epoch <= row["epoch"]]
            elif row["event"] == "adjustment":
                epochs.append(row["epoch"])
        if epochs != sorted(set(epochs)):
            bad.append(f"{path.stem}: {epochs}")
    yield Check("adjustments: no epoch twice", not bad, f"{resumed} resumed {bad[:2]}")


def _cut_off(found: Findings) -> Iterator[Check]:
    """What was under way at the end is in the ledger, as far as it came."""
    if not found.settings.llm:
        return
    kept = {row["trial_id"]: row["curve"] for row in found.events.of("unfinished")}
    names = set(found.driver["unfinished"])
    evaluated, bad = found.evaluated(), []
    for name in names:
        curve = kept.get(name)
        epochs = curve["epochs"] if curve else []
        told = found.trials.get(name, {}).get("epoch", 0)
        if epochs != list(range(1, told + 1)):
            bad.append(f"{name}: {epochs} of {told}")
        for epoch, loss in zip(epochs, curve["columns"]["loss"] if curve else [], strict=True):
            if evaluated[name][epoch]["loss"] != loss:
                bad.append(f"{name}: epoch {epoch} is {loss}")
    if names:
        yield Check("trials cut off keep their curves", not bad, f"{len(names)} {bad[:3]}")
