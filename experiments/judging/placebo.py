"""How often a redirect that did nothing is called better or worse: placebos on recorded curves.

    python -m experiments.judging.placebo --tables TABLES [--seeds 10] [--trials 30] [--out OUT]

Recorded curves are drawn from tables and driven through `LLMScheduler`, ten side by side, with the
keyless rules and live knobs. The trials report every pushed value as taken over, but their curves
stay what they were: every verdict other than "within noise" is wrong. With ``--halves`` all values
after a push are halved, as a strong effect would do: there "better" is right. Only the first
redirect of a trial counts.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from ray.tune.schedulers import TrialScheduler

from experiments.common import tables
from experiments.common.fake_tune import FakeTrial
from experiments.judging.mailbox import use_fake_mailbox
from raymimic import Knob, LLMScheduler, read_events
from raymimic.tune import LiveKnobs

TASKS = ("ts_gru", "ts_lstm", "ts_irnn", "ts_vrnn_relu", "digits_noisy")
LIVE = LiveKnobs({"lr": Knob(1e-9, 1.0), "weight_decay": Knob(0.0, 1.0)})
SIDE_BY_SIDE = 10


def replay(curves: list[np.ndarray], halves: bool, ledger: Path) -> list[dict[str, Any]]:
    """Run the curves through a scheduler; the verdicts on what its redirects did."""
    mailbox = use_fake_mailbox()
    scheduler = LLMScheduler("loss", "min", knobs=LIVE, ledger=ledger)
    scheduler.set_search_properties(None, None)
    waiting, running = list(enumerate(curves)), {}
    while waiting or running:
        while waiting and len(running) < SIDE_BY_SIDE:
            index, curve = waiting.pop(0)
            trial = FakeTrial(f"t{index}")
            scheduler.on_trial_add(None, trial)
            running[trial.trial_id] = trial, curve, 0
        for name, (trial, curve, done) in list(running.items()):
            now = {"lr": 0.01, "weight_decay": 0.0, **mailbox.sent.get(name, {})}
            loss = float(curve[done]) / (2 if halves and name in mailbox.sent else 1)
            result = {"loss": loss, "training_iteration": done + 1}
            result |= {f"raymimic/live/{knob}": value for knob, value in now.items()}
            action = scheduler.on_trial_result(None, trial, result)
            running[name] = trial, curve, done + 1
            if action == TrialScheduler.STOP or done + 1 == len(curve):
                scheduler.on_trial_complete(None, trial, result)
                del running[name]
    scheduler.ledger.flush()
    if not ledger.exists():
        return []
    rows = read_events(ledger).of("verdict")
    return list({row["trial_id"]: row for row in reversed(rows)}.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--halves", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    logging.getLogger("raymimic").setLevel(logging.WARNING)
    found: dict[str, Any] = {}
    print("| task | redirects | better | within noise | worse | distance / margin, median |")
    print("|---|---|---|---|---|---|")
    for name in TASKS:
        task = tables.load(name, given.tables)
        kinds: Counter[str] = Counter()
        far: list[float] = []
        known = task._curves[task.metric]
        known = known[np.isfinite(known).all(axis=1)]
        for seed in range(given.seeds):
            rng = np.random.default_rng(seed)
            curves = list(known[rng.choice(len(known), given.trials, replace=False)])
            with tempfile.TemporaryDirectory() as folder:
                for row in replay(curves, given.halves, Path(folder) / "l.jsonl"):
                    kinds[row["verdict"]] += 1
                    if isinstance(row["after"], float) and row["margin"]:
                        far.append(abs(row["after"] - row["expected"]) / row["margin"])
        total = kinds.total() or 1
        cells = [f"{kinds[kind] / total:.0%}" for kind in ("better", "within noise", "worse")]
        middle = f"{np.median(far):.2f}" if far else "-"
        print(f"| {name} | {kinds.total()} | {' | '.join(cells)} | {middle} |", flush=True)
        found[name] = dict(kinds)
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
