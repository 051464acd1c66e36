"""Breaks real Ray runs on a small cluster, one fault a run, and checks that nothing was lost.

    python -m experiments.faults.run --out OUT [--cases node,driver]

A head and three worker nodes with fake GPUs run on this machine (`ray.cluster_utils.Cluster`).
Writes ``matrix.md`` and ``matrix.json`` into OUT, beside one folder a fault with ledger,
transcript, results and logs. Exits with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the cluster ends with us
    out = options.out.resolve()
    temporary = Path(tempfile.mkdtemp(prefix="faults-"))
    (temporary / "ray").mkdir()
    # Another Ray on this machine must neither be found nor find this one.
    os.environ.update(RAY_TMPDIR=str(temporary), RAY_USAGE_STATS_ENABLED="0")
    os.environ.pop("RAY_ADDRESS", None)
    try:
        rows = _run_all(options, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    from experiments.faults.report import markdown

    rows = _with_earlier(rows, out / "matrix.json")
    (out / "matrix.json").write_text(json.dumps(rows, indent=1))
    (out / "matrix.md").write_text(text := markdown(rows))
    print(text)
    return int(any(row["failed"] for row in rows))


def _run_all(options: argparse.Namespace, out: Path) -> list[dict[str, Any]]:
    from experiments.faults.cases import CASES, Bench
    from experiments.faults.harness import Lab
    from experiments.faults.stub import StubModel

    logging.getLogger("raymimic").setLevel(logging.WARNING)
    names = options.cases.split(",") if options.cases else list(CASES)
    lab, rows = Lab(workers=3), []
    try:
        with StubModel(latency=0.2).running() as stub:
            bench = Bench(lab, stub, out)
            for number, name in enumerate(names, start=1):
                title, function = CASES[name]
                print(f"[{number}/{len(names)}] {name}: {title}", flush=True)
                shutil.rmtree(out / name, ignore_errors=True)
                rows.append(_one(name, title, function, bench))
    finally:
        lab.shutdown()
    return rows


def _with_earlier(rows: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """The rows of an earlier call, too, where this one ran other cases."""
    from experiments.faults.cases import CASES

    earlier = json.loads(file.read_text()) if file.exists() else []
    known = {row["case"]: row for row in (*earlier, *rows)}
    return [known[name] for name in CASES if name in known]


def _one(name: str, title: str, function: Any, bench: Any) -> dict[str, Any]:
    from experiments.faults.checks import Check, Findings, common
    from experiments.faults.particular import particular
    from experiments.faults.report import counts

    begun = time.monotonic()
    row: dict[str, Any] = {"case": name, "fault": title, "happened": [], "counts": {}}
    try:
        run = function(bench)
        row["happened"] = run.happened
        checks = [Check("the driver ends by itself", run.facts["exit"] == 0)]
        found = Findings(run)
        checks += [*common(found, bench.stub), *particular(found)]
        row["counts"] = counts(found, bench.stub, run)
    except Exception:  # noqa: BLE001 - one broken run must not hide the others
        checks = [Check("the run can be read", False, traceback.format_exc())]
    for check in checks:
        if not check.ok:
            print(f"    FAILED {check.name}: {check.detail}", flush=True)
    row["seconds"] = round(time.monotonic() - begun, 1)
    row["checks"] = [[check.name, check.ok, check.detail] for check in checks]
    row["failed"] = [check.name for check in checks if not check.ok]
    print(f"    {row['seconds']} s, {len(checks)} checks, {len(row['failed'])} failed", flush=True)
    return row


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="a folder for everything")
    parser.add_argument(
        "--cases", default="", help="comma separated; default: all; the others keep their rows"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
