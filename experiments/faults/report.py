"""The fault matrix: fault, what happened, what was lost, counts."""

from __future__ import annotations

from typing import Any

from checks import Findings
from harness import Run
from stub import StubModel


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
        "unfinished": len(found.driver.get("unfinished", [])),
        "started": tally.get("started", {}),
        "fallbacks": tally.get("fallbacks", {}),
        "stub_calls": stub.received,
        "guide": found.driver.get("spent"),
        "ledger_lost": found.driver.get("ledger_lost"),
        **{name: value for name, value in run.facts.items() if name != "exit"},
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """The matrix as a table, and every failed check below it."""
    lines = [
        "| fault | what happened | trials | epochs (repeated) | model calls: stub / guide | lost |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = row["counts"]
        happened = "; ".join(text.partition(": ")[2] for text in row["happened"]) or "-"
        guide = found.get("guide")
        known = guide["calls"] if isinstance(guide, dict) else guide or "-"
        lost = "nothing" if not row["failed"] else "**" + "; ".join(row["failed"]) + "**"
        lines.append(
            f"| {row['fault']} | {happened} | {found.get('trials')} "
            f"| {found.get('epochs')} ({found.get('repeated_epochs')}) "
            f"| {found.get('stub_calls')} / {known} | {lost} |"
        )
    done = sum(len(row["checks"]) for row in rows)
    failed = sum(len(row["failed"]) for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    lines += ["", f"{len(rows)} runs, {done} checks, {failed} failed, {seconds:.0f} s."]
    return "\n".join(lines) + "\n"
