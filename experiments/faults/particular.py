"""What must hold after one fault in particular; first of all that it really struck."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from experiments.faults.checks import Check, Findings
from raymimic import read_events

Particular = Callable[[Findings], Iterator[Check]]


def particular(found: Findings) -> list[Check]:
    """The checks of this run's fault alone."""
    check = CHECKS.get(found.settings.case)
    return [] if check is None else list(check(found))


def _restarts(found: Findings) -> dict[str, int]:
    """How often each trial began again."""
    begun = {
        name: sum("epoch" not in row for row in rows) - 1 for name, rows in found.truth.items()
    }
    return {name: count for name, count in begun.items() if count > 0}


def _log(found: Findings) -> str:
    return "".join(path.read_text(errors="replace") for path in found.out.glob("driver-*.log"))


def _moved(found: Findings) -> Iterator[Check]:
    restarts = _restarts(found)
    yield Check("trials came back", bool(restarts), f"{restarts}")
    for name in restarts:
        nodes = {row["node"] for row in found.truth[name] if "node" in row}
        yield Check(f"{name} came back on another node", len(nodes) > 1, f"{len(nodes)} nodes")


def _killed(found: Findings) -> Iterator[Check]:
    restarts = _restarts(found)
    yield Check("three trials came back", len(restarts) == 3, f"{restarts}")


def _no_guide(found: Findings) -> Iterator[Check]:
    yield Check("the guide is gone", found.driver["spent"] == "guide_lost")
    served = found.driver["tally"]["fallbacks"].get("guide_lost", 0)
    yield Check("the search goes on with its stand-in", served > 0, f"{served} slots")
    failed = sum(
        row["reason"] == "guide_lost"
        for path in (found.out / "modulation").glob("*.jsonl")
        for row in read_events(path).of("fallback")
    )
    yield Check("trainings go on and say that no answer came", failed > 0, f"{failed} questions")


def _restored(found: Findings) -> Iterator[Check]:
    yield Check("the driver was killed", found.facts["first_exit"] == -9)
    yield Check("it was restored", "raymimic: restored" in _log(found))
    forgotten = set(found.driver["evidence"]) - set(found.trials)
    outcomes = found.outcomes()
    kept = all(found.driver["evidence"][name]["score"] == outcomes[name]["score"]
               for name in forgotten)  # fmt: skip
    yield Check("what Tune forgot is evidence all the same", kept, f"{len(forgotten)} trials")


def _begun_anew(found: Findings) -> Iterator[Check]:
    """Tune has no checkpoint yet; it restores what it has: one trial, whatever was asked for."""
    yield Check("the driver was killed", found.facts["first_exit"] == -9)
    yield Check("Tune starts over", "Failed to restore the run state" in _log(found))
    yield Check("raymimic says so", "nothing was restored" in _log(found), f"{len(found.trials)}")


def _interrupted(found: Findings) -> Iterator[Check]:
    yield Check("the driver ended by itself after SIGINT", found.facts["first_exit"] == 0)
    yield Check("it was restored", "raymimic: restored" in _log(found))
    cut = {row["trial_id"] for row in found.events.of("unfinished")}
    yield Check("what was under way at SIGINT was kept", bool(cut), f"{len(cut)} trials")
    yield Check("nothing is unfinished in the end", not found.driver["unfinished"])


def _raises(found: Findings) -> Iterator[Check]:
    tries = {path.name: path.stat().st_size for path in (found.out / "tries").iterdir()}
    hopeless = {
        name for name, count in tries.items()
        if count == 3 and found.trials[name]["config"]["lr"] > 0.03
    }  # fmt: skip
    failed = {name for name, trial in found.trials.items() if trial["error"]}
    yield Check("trials failed and came back", bool(tries), f"{tries}")
    yield Check("failed are those that failed three times", failed == hopeless, f"{len(failed)}")
    texts = {row["trial_id"]: row["text"] for row in found.events.of("error")}
    said = all("the GPU is full" in texts.get(name, "") for name in failed)
    yield Check("their error's text is in the ledger", said)


def _stopped(found: Findings) -> Iterator[Check]:
    early = [
        trial for trial in found.trials.values() if trial["epoch"] < found.settings.task["epochs"]
    ]
    yield Check("trials were stopped early", bool(early), f"{len(early)}")


def _paused(found: Findings) -> Iterator[Check]:
    restarts = _restarts(found)
    yield Check("trials were paused and taken up again", bool(restarts), f"{restarts}")


def _ended_in_pause(found: Findings) -> Iterator[Check]:
    """Tune gives no result with the end of a paused trial: its curve was there before."""
    stopped = [row for row in found.events.of("outcome") if row["stopped"]]
    yield Check("trials were stopped by the scheduler", bool(stopped), f"{len(stopped)}")


def _copied(found: Findings) -> Iterator[Check]:
    yield from _paused(found)
    epochs, bad = list(range(1, found.settings.task["epochs"] + 1)), []
    for name, curve in found.driver["seen"].items():
        losses = [found.evaluated()[name][epoch]["loss"] for epoch in epochs]
        if curve["epochs"] != epochs or curve["columns"]["loss"] != losses:
            bad.append(f"{name}: {curve['epochs']}")
    yield Check("the callback's curves are whole, the last life of each epoch", not bad, f"{bad}")


def _out_of_time(found: Findings) -> Iterator[Check]:
    cut, ended = found.driver["unfinished"], found.driver["evidence"]
    yield Check("trials were cut off", bool(cut), f"{len(cut)}, {len(ended)} ended")


def _odd_values(found: Findings) -> Iterator[Check]:
    outcomes, bad = found.outcomes(), []
    for name, row in outcomes.items():
        columns = row["curve"]["columns"]
        small = found.trials[name]["config"]["lr"] < 0.01
        loss = columns.get("loss", [])
        if [loss[0], loss[1]] != [None, None]:  # gaps: nothing that is a number came
            bad.append(f"{name}: {loss}")
        if small and row["score"] is not None and row["curve"]["epochs"][-1] == 4:
            bad.append(f"{name}: score {row['score']} after NaN")
    yield Check("no metric and strings are gaps, NaN is no score", not bad, f"{bad[:2]}")


def _full(found: Findings) -> Iterator[Check]:
    yield Check("the disk was full", "cannot write its ledger" in _log(found))


def _gone(found: Findings) -> Iterator[Check]:
    yield Check("the deletion was said", "was deleted while" in _log(found))
    numbers = [row["n"] for row in found.events.rows]
    following = list(range(numbers[0], numbers[0] + len(numbers)))
    yield Check("everything after it is in a new file", numbers == following, f"{len(numbers)}")


def _no_model(found: Findings) -> Iterator[Check]:
    tally = found.driver["tally"]
    yield Check("no call succeeded", not tally["calls"].get("ok"), f"{tally['calls']}")
    served = sum(tally["fallbacks"].values())
    yield Check("each empty slot is counted", served > 0, f"{tally['fallbacks']}")


CHECKS: dict[str, Particular] = {
    "node": _moved,
    "two_nodes": _moved,
    "trial": _killed,
    "guide": _no_guide,
    "driver": _restored,
    "driver_often": _restored,
    "driver_early": _restored,
    "driver_first": _begun_anew,
    "interrupt": _interrupted,
    "raises": _raises,
    "asha": _stopped,
    "pause": _paused,
    "hyperband": _ended_in_pause,
    "pbt": _copied,
    "time_budget": _out_of_time,
    "values": _odd_values,
    "full_disk": _full,
    "gone_folder": _gone,
    "dead_model": _no_model,
}
