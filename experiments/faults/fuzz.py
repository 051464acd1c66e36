"""Mutilated replies through the real reply path: every one is a decision or a counted rejection.

    python -m experiments.faults.fuzz [--replies 60000] [--seed 0] [--out DIR]

Half of the replies answer `LLMAdvisor.propose` and go on through a search's admission (checked,
mended, deduplicated, written to the ledger); half answer `LLMAdvisor.adjust` and are applied to a
small torch model as `Modulator` does it. A reply that is no JSON object is followed by another,
since it is asked for once more. What may come out is checked here anew, with none of the code under
test: types, bounds, categories by identity, known names, finite numbers, finite weights. Writes
fuzz.json into --out; an exception or a value out of bounds is printed and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from experiments.faults.mutations import mutilated
from raymimic import LLMAdvisor, ScriptedLLM
from raymimic.advisor import OPERATIONS, SearchEvidence
from raymimic.errors import AdvisorError
from raymimic.ledger import Ledger
from raymimic.modulation.guard import Limits
from raymimic.modulation.optimizers import Optimizers
from raymimic.modulation.record import Record
from raymimic.modulation.steering import Steering
from raymimic.search.admission import Admission
from raymimic.search.session import Session
from raymimic.space import Choice, FloatRange, IntRange, Normal, SearchSpace
from raymimic.summary import Journal
from raymimic.testing.runs import evidence as run_evidence

KERNEL = object()
SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "net/width": IntRange(8, 512, step=8),
        "dropout": FloatRange(0.0, 0.5, step=0.1),
        "shift": Normal(0.0, 1.0),
        "optimizer": Choice(("sgd", "adam", None)),
        "batch": Choice((16, 32, 64)),
        "kernel": Choice((KERNEL, "../../x", True)),
    }
)
AGAIN_AFTER = 500
"""Replies before a new search begins: otherwise most were repeats."""


def _network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Dropout(0.1), torch.nn.Linear(16, 3)
    )


class Fuzz:
    """Counts what becomes of replies and keeps what should not have happened."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self.wrong: list[str] = []

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.wrong.append(what)

    def one(self, kind: str, number: int) -> None:
        """One reply; nothing it may cause escapes."""
        if number % AGAIN_AFTER == 0:
            (self.start_search if kind == "propose" else self.start_training)(number)
        sound = self.proposals() if kind == "propose" else self.adjustment()
        texts = [mutilated(self.rng, sound) for _ in range(2)]
        begun, cpu_begun = time.perf_counter(), time.thread_time()
        try:
            (self.propose if kind == "propose" else self.adjust)(texts)
        except Exception:  # noqa: BLE001 - what must not happen is what is looked for
            self.wrong.append(traceback.format_exc())
        cpu, wall = time.thread_time() - cpu_begun, time.perf_counter() - begun
        for name, spent in ((f"{kind}, wall", wall), (f"{kind}, CPU", cpu)):
            self.slowest[name] = max(self.slowest.get(name, 0.0), 1e3 * spent)

    def reject(self, kind: str, error: AdvisorError) -> None:
        self.check(bool(error.calls) and not error.permanent, f"not counted: {error!r}")
        self.counts[f"{kind} rejected"] += 1
        self.reasons[error.reason] += 1

    # -- propose -------------------------------------------------------------------------------

    def start_search(self, number: int) -> None:
        self.session = Session(Journal(Ledger(os.devnull)), seed=number, space=SPACE)
        self.session.begin("val_loss", "min", "fuzz", batch=4)
        self.state = self.session.state

    def propose(self, texts: list[str]) -> None:
        evidence = SearchEvidence(SPACE, "val_loss", "min", drops=tuple(self.state.drops))
        try:
            advice = LLMAdvisor(ScriptedLLM(texts)).propose(evidence, 4)
        except AdvisorError as error:
            self.reject("propose", error)
            return
        self.counts["propose read"] += 1
        self.check(len(advice.proposals) <= 4 and len(advice.drops) <= 17, "more than asked for")
        admission = Admission(advice, 4, 0)
        while not admission.go_on(self.session, 16):
            pass
        for queued in self.state.queue:
            self.admitted(queued.proposal)
        admitted = sum(queued.proposal.source == "llm" for queued in self.state.queue)
        self.state.queue.clear()
        self.counts["model's configurations, refused"] += len(advice.proposals) - admitted
        self.counts["items dropped while reading"] += len(advice.drops)

    def proposals(self) -> dict[str, Any]:
        configs = [SPACE.show(SPACE.sample(self.rng)) for _ in range(self.rng.choice([1, 3, 8]))]
        more = {"rationale": "trial t1 overfits", "expected": 0.5}
        return {"proposals": [{"config": config, **more} for config in configs]}

    def admitted(self, proposal: Any) -> None:
        """Everything that may reach a trainable."""
        config, text = proposal.config, proposal.rationale
        source = "random" if proposal.source == "random" else "model's"
        how = "repaired" if proposal.repairs else "as they came"
        self.counts[f"{source} configurations, {how}"] += 1
        self.check(list(config) == list(SPACE.dimensions), f"keys {list(config)}")
        for name, dimension in SPACE.dimensions.items():
            self.check(inside(dimension, config[name]), f"{name} = {config[name]!r}")
        self.check(text.isprintable() and len(text) <= 2000, f"rationale {text!r}")
        expected = proposal.expected
        self.check(expected is None or math.isfinite(expected), f"expected {expected!r}")
        self.check(len(proposal.repairs) <= 40, f"{len(proposal.repairs)} repairs")

    # -- adjust --------------------------------------------------------------------------------

    def adjust(self, texts: list[str]) -> None:
        try:
            advice = LLMAdvisor(ScriptedLLM(texts)).adjust(self.run)
        except AdvisorError as error:
            self.reject("adjust", error)
            return
        asked = advice.adjustment
        self.counts["adjust read"] += 1
        self.counts["adjust read, nothing asked for"] += asked.empty
        self.counts["adjust items dropped while reading"] += len(advice.drops)
        self.check(set(asked.knobs) <= {"lr", "dropout"}, f"knobs {asked.knobs}")
        self.check(all(map(math.isfinite, asked.knobs.values())), f"knobs {asked.knobs}")
        self.check(asked.alpha is None or math.isfinite(asked.alpha), f"alpha {asked.alpha}")
        for operation in asked.operations:
            low, high = OPERATIONS[operation.kind].bounds or (1.0, 1.0)
            self.check(low <= operation.amount <= high, f"{operation}")
            self.check(operation.toward in self.run.anchors, f"{operation}")
        for text in (asked.rationale, asked.review, *advice.drops):
            self.check(text.isprintable(), f"text {text!r}")
        self.apply(asked)

    def adjustment(self) -> dict[str, Any]:
        rng = self.rng
        kinds = ["pull", "shrink", "lr_gain", "noise", "freeze", "unfreeze", "delta", "scale"]
        operations = [
            {
                "kind": rng.choice(kinds), "params": rng.choice(["*", "0.weight", "3.*", "3.bias"]),
                "amount": rng.choice([0.05, 0.1, 0.5, 1.0]), "toward": rng.choice(["best", None]),
                "values": rng.choice([None, [0.1, 0.2, 0.3], [[0.1] * 4] * 16]),
            }
            for _ in range(rng.randrange(4))
        ]  # fmt: skip
        knobs = {"lr": rng.choice([0.002, None]), "dropout": rng.choice([0.2, None])}
        return {
            "review": "it helped", "rationale": "plateau since epoch 4", "knobs": knobs,
            "alpha": rng.choice([0.2, None]), "operations": operations,
        }  # fmt: skip

    def start_training(self, _: int) -> None:
        self.model = _network()
        optimizer = torch.optim.Adam(self.model.parameters(), lr=0.001)
        self.steering = Steering(self.model, Optimizers(optimizer), {}, Limits(), ema=None)
        for parameter in self.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        self.optimizer = optimizer
        optimizer.step()
        self.record = Record("val_loss", "min", epoch=1, steps_per_epoch=1)
        self.run = run_evidence(layers=self.steering.layers())

    def apply(self, asked: Any) -> None:
        """One interval of training under it, then back to its start."""
        past = self.steering.go_on(asked, 1, self.record, seed=0)
        self.optimizer.step()
        lr = self.optimizer.param_groups[0]["lr"]
        finite = all(bool(p.isfinite().all()) for p in self.model.parameters())
        self.check(finite, f"weights not finite after {asked}")
        self.check(0 < lr < 1 and past is not None, f"lr {lr} after {asked}")
        self.counts["adjust applied with something changed"] += bool(past and past.applied)
        self.counts["adjust parts dropped or clipped while applying"] += len(past.dropped)
        self.steering.roll_back()


def inside(dimension: Any, value: Any) -> bool:
    """Whether a value is one that the dimension allows, by its definition alone."""
    if isinstance(dimension, Choice):
        return any(value is mine for mine in dimension.values)
    if isinstance(dimension, IntRange):
        fits = type(value) is int and dimension.low <= value <= dimension.high
        return fits and value % dimension.step == 0
    if type(value) is not float or not math.isfinite(value):
        return False
    if isinstance(dimension, Normal):
        return True
    steps = 0.0 if dimension.step is None else value / dimension.step
    return dimension.low <= value <= dimension.high and abs(steps - round(steps)) < 1e-6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replies", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fuzz, begun = Fuzz(options.seed), time.perf_counter()
    for number in range(options.replies // 2):
        fuzz.one("propose", number)
        fuzz.one("adjust", number)
    told = {
        "replies": options.replies,
        "seed": options.seed,
        "seconds": round(time.perf_counter() - begun, 1),
        "counts": dict(sorted(fuzz.counts.items())),
        "rejected because": dict(fuzz.reasons.most_common()),
        "slowest_ms": {kind: round(ms, 1) for kind, ms in fuzz.slowest.items()},
        "wrong": len(fuzz.wrong),
    }
    print(json.dumps(told, indent=1))
    for what in fuzz.wrong[:5]:
        print(what, file=sys.stderr)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "fuzz.json").write_text(json.dumps(told, indent=1) + "\n")
    return 1 if fuzz.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
