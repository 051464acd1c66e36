"""Restores a saved search in a process of its own and says what that took, as JSON.

python -m experiments.scale.restore CHECKPOINT
"""

from __future__ import annotations

import json
import os
import sys
import time

from experiments.common.fake_tune import SPACE, FakeTrial
from experiments.scale.meter import load, resident_bytes
from experiments.scale.world import METRIC, MODE
from raymimic import LLMScheduler, LLMSearcher


def main(path: str) -> None:
    before = resident_bytes()
    searcher = LLMSearcher(SPACE, METRIC, MODE, llm="none", ledger=os.devnull)
    scheduler = LLMScheduler(METRIC, MODE, searcher=searcher)
    wall, cpu = time.perf_counter(), time.process_time()
    searcher.restore(path)
    row = {"restore_wall_s": time.perf_counter() - wall, "restore_cpu_s": time.process_time() - cpu}
    wall = time.perf_counter()
    scheduler.on_trial_add(None, FakeTrial("first"))  # takes in what the searcher knows
    row["scheduler_wall_s"] = time.perf_counter() - wall
    row["restored_mb"] = (resident_bytes() - before) / 1e6
    row["restored_ended"] = len(searcher.evidence().trials)
    print(json.dumps({**row, "load": load()}))


if __name__ == "__main__":
    main(sys.argv[1])
