"""The fault matrix: fault, what happened, what was lost, counts."""

from __future__ import annotations

from typing import Any

from experiments.faults.checks import Findings
from experiments.faults.harness import Run
from experiments.faults.stub import StubModel
from raymimic import read_events


def counts(found: Findings, stub: StubModel, run: Run) -> dict[str, Any]:
    """The numbers of one run."""
    lines = [row for rows in found.truth.values() for row in rows if "epoch" in row]
    distinct = {(name, row["epoch"]) for name, rows in found.truth.items()
                for row in rows if "epoch" in row}  # fmt: skip
    resumed = sum(
        max(0, sum("came" in row and "epoch" not in row for row in rows) - 1)
        for rows in found.truth.values()
    )
    tally = found.driver.get("tally", {})
    return {
        "trials": len(found.trials),
        "errors": sum(bool(trial["error"]) for trial in found.trials.values()),
        "epochs": len(distinct),
        "repeated_epochs": len(lines) - len(distinct),
        "restarts": resumed,
        "forgotten_by_tune": len(set(found.driver.get("evidence", {})) - set(found.trials)),
        "failed_questions": sum(
            len(read_events(path).of("fallback"))
            for path in (found.out / "modulation").glob("*.jsonl")
        ),
        "unfinished": len(found.driver.get("unfinished", [])),
        "started": tally.get("started", {}),
        "fallbacks": tally.get("fallbacks", {}),
        "stub_calls": stub.received,
        "guide": found.driver.get("spent"),
        "ledger_lost": found.driver.get("ledger_lost"),
        **{name: value for name, value in run.facts.items() if name != "exit"},
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The matrix as a table."""
    lines = [
        "| fault | what happened | trials (failed) | restarts | epochs trained (of them twice) "
        "| model calls: stub / guide | checks | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["counts"]
        happened = "; ".join(text.partition(": ")[2] for text in row["happened"]) or "-"
        guide = found.get("guide")
        known = guide["calls"] if isinstance(guide, dict) else guide or "-"
        epochs = found.get("epochs", 0) + found.get("repeated_epochs", 0)
        lost = _LOST.get(row["case"], "nothing")
        lost = "**" + "; ".join(row["failed"]) + "**" if row["failed"] else lost
        for name, words in _BESIDES.items():
            if found.get(name):
                happened += f"; {found[name]} {words}"
        lines.append(
            f"| {row['fault']} | {happened} | {found.get('trials')} ({found.get('errors')}) "
            f"| {found.get('restarts')} | {epochs} ({found.get('repeated_epochs')}) "
            f"| {found.get('stub_calls')} / {known} | {len(row['checks'])} | {lost} |"
        )
    done = sum(len(row["checks"]) for row in rows)
    failed = sum(len(row["failed"]) for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    lines += ["", f"{len(rows)} runs, {done} checks, {failed} failed, {seconds:.0f} s."]
    return "\n".join(lines) + "\n"


_BESIDES = {
    "forgotten_by_tune": "trials that Tune forgot are kept as evidence",
    "unfinished": "trials cut off, their curves kept",
    "failed_questions": "questions of trainings without an answer",
}

# What no check of ours can save: Tune's own gaps, and the fault's own damage.
_LOST = {
    "driver": "nothing evaluated; Tune's grid lacks the trials that it forgot",
    "driver_first": "nothing evaluated; Tune runs one trial in the place of 8, raymimic warns",
    "gone_folder": "the ledger's events before the deletion",
}
