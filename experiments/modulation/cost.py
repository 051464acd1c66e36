"""What the Modulator costs: step time beside the plain optimizer in one run, and memory.

    python -m experiments.modulation.cost --out OUT [--large] [--rounds 30] [--block 20]

Five trainings of the same network stand side by side and take turns, a block of steps each, in an
order that rotates: the plain optimizer, the same once more (its ratio is the noise of the
measurement), the Modulator without advice, with a delta on every parameter at every step, and the
same with a moving average of the weights. Ratios are of blocks of the same round. Two things are
timed: whole steps (forward, backward, optimizer) and the optimizer's part alone.

The CNN is the seed's, at batch 32. The transformer has 100 million parameters on a GPU or with
--large, 10 million otherwise. Writes cost.md and cost.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.modulation import mnist
from experiments.modulation.transformer import Transformer
from raymimic import Modulator
from raymimic.advisor import Adjustment, AdjustmentAdvice, Operation, RunEvidence

LANES = ("plain", "plain again", "idle", "active", "active, average kept")
_EMA = 0.99
Loss = Callable[[nn.Module], torch.Tensor]


class Always:
    """Says the same tiny operation on all parameters, or nothing."""

    remote = False

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.name, self._operations = "always", operations

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:  # noqa: ARG002
        return AdjustmentAdvice(Adjustment(alpha=0.1, operations=self._operations))


@dataclass
class Lane:
    """One of the trainings side by side. Times are seconds a step, by what was timed."""

    name: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    modulator: Modulator | None
    times: dict[str, list[float]] = field(default_factory=lambda: {"whole": [], "optimizer": []})
    ends: list[float] = field(default_factory=list)
    active_blocks: int = 0

    def step(self) -> None:
        (self.modulator or self.optimizer).step()


def lane(name: str, make: Callable[[], nn.Module], device: str) -> Lane:
    """Build a training of equal first weights."""
    torch.manual_seed(0)
    model = make().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    if name.startswith("plain"):
        return Lane(name, model, optimizer, None)
    said = (Operation("shrink", "*", 1e-4),) if name.startswith("active") else ()
    ema = _EMA if name.endswith("kept") else None
    return Lane(name, model, optimizer, Modulator(model, optimizer, llm=Always(said), ema=ema))


def measure(
    make: Callable[[], nn.Module], loss: Loss, device: str, rounds: int, block: int
) -> dict[str, Any]:
    """Let the lanes take turns; the first three rounds warm up and are not counted."""
    lanes = [lane(name, make, device) for name in LANES]
    for number in range(-3, rounds):
        for what in ("whole", "optimizer"):
            turn = number % len(lanes)
            for one in lanes[turn:] + lanes[:turn]:
                _turn(one, what, loss, device, block, number)
        print(f"\rround {max(0, number + 1)} of {rounds}", end="", flush=True)
    print()
    return {"lanes": [_told(one, lanes[0]) for one in lanes], **_checks(lanes, rounds)}


def _turn(one: Lane, what: str, loss: Loss, device: str, block: int, number: int) -> None:
    torch.manual_seed(number + 3)  # the same dropout in every lane
    active = one.modulator is not None and one.modulator.metrics()["raymimic/alpha"] > 0
    begun = _now(device)
    for _ in range(block):
        if what == "whole":
            one.optimizer.zero_grad()
            loss(one.model).backward()
        one.step()
    seconds = (_now(device) - begun) / block
    begun = _now(device)
    if one.modulator:  # ever better, so that nothing is put back
        one.modulator.epoch_end({"val_loss": 1.0 / (number * 2 + (what == "optimizer") + 8)})
    if number >= 0:
        one.times[what].append(seconds)
        one.ends.append(_now(device) - begun)
        one.active_blocks += active


def _now(device: str) -> float:
    if device == "cpu":
        return time.process_time()  # one thread: other programs on the machine do not count
    torch.cuda.synchronize()
    return time.perf_counter()


def _told(one: Lane, plain: Lane) -> dict[str, Any]:
    told: dict[str, Any] = {"name": one.name}
    for what, times in one.times.items():
        ratios = np.array(times) / np.array(plain.times[what])
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        told[what] = {
            "milliseconds": 1e3 * float(np.median(times)),
            "ratio": float(middle),
            "quartiles": [float(low), float(high)],
        }
    if one.modulator:
        told["epoch_end_milliseconds"] = 1e3 * float(np.median(one.ends))
        told["bytes_per_parameter"] = held(one)
    return told


def held(one: Lane) -> dict[str, float]:
    """Bytes a parameter, by device, of tensors in the modulator's state, without the model's."""
    own = {t.data_ptr() for t in tensors([one.model.state_dict(), one.optimizer.state_dict()])}
    count = sum(p.numel() for p in one.model.parameters())
    sizes: dict[str, float] = {}
    for pointer, tensor in {t.data_ptr(): t for t in tensors(one.modulator.state_dict())}.items():
        if pointer not in own:
            size = tensor.numel() * tensor.element_size() / count
            sizes[tensor.device.type] = sizes.get(tensor.device.type, 0.0) + size
    return sizes


def tensors(state: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested dicts, lists and tuples."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from tensors(value)
    elif isinstance(state, (list, tuple)):
        for value in state:
            yield from tensors(value)


def _checks(lanes: list[Lane], rounds: int) -> dict[str, Any]:
    plain, idle = lanes[0].model.state_dict(), lanes[2].model.state_dict()
    return {
        "parameters": sum(p.numel() for p in lanes[0].model.parameters()),
        "idle_equals_plain": all(torch.equal(plain[name], idle[name]) for name in plain),
        "active_share_of_blocks": [one.active_blocks / (2 * rounds) for one in lanes[3:]],
    }


def cases(device: str, large: bool) -> Iterator[tuple[str, Callable[[], nn.Module], Loss]]:
    """(name, network, loss of a fixed batch)."""
    images = torch.randn(32, 1, 28, 28).to(device)
    classes = torch.randint(10, (32,)).to(device)
    yield (
        "CNN, batch 32",
        lambda: mnist.network(0),
        lambda model: functional.cross_entropy(model(images), classes),
    )
    width, layers, words = (768, 12, 20_000) if large else (320, 6, 8_000)
    rows, length = (16, 256) if device == "cuda" else (4, 32)
    tokens = torch.randint(words, (rows, length)).to(device)
    yield (
        f"transformer, {rows} x {length} tokens",
        lambda: Transformer(width, layers, words),
        lambda model: functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()),
    )


def table(name: str, device: str, found: dict[str, Any]) -> list[str]:
    """One case for the report."""
    lines = [
        f"## {name}: {found['parameters']:,} parameters, {device}",
        "",
        "| | whole step, ms | ratio [quartiles] | optimizer alone, ms | ratio [quartiles] | "
        "epoch_end, ms | bytes a parameter |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in found["lanes"]:
        cells = [one["name"]]
        for what in ("whole", "optimizer"):
            low, high = one[what]["quartiles"]
            cells += [f"{one[what]['milliseconds']:.3f}"]
            cells += [f"{one[what]['ratio']:.3f} [{low:.3f}, {high:.3f}]"]
        sizes = one.get("bytes_per_parameter", {})
        cells += [f"{one['epoch_end_milliseconds']:.1f}" if sizes else ""]
        cells += [", ".join(f"{size:.1f} on {where}" for where, size in sizes.items())]
        lines.append(f"| {' | '.join(cells)} |")
    same = "bit-identical" if found["idle_equals_plain"] else "NOT IDENTICAL"
    shares = " and ".join(f"{share:.0%}" for share in found["active_share_of_blocks"])
    return [
        *lines,
        "",
        f"Idle and plain ended {same}; a delta was active in {shares} of blocks.",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--block", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shown = torch.cuda.get_device_name() if device == "cuda" else "one CPU core"
    lines, raw = ["# What the Modulator costs", "", "Medians over rounds.", ""], {}
    for name, make, loss in cases(device, options.large or device == "cuda"):
        raw[name] = measure(make, loss, device, options.rounds, options.block)
        lines += table(name, shown, raw[name])
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "cost.json").write_text(json.dumps({"device": shown, "cases": raw}, indent=1))
    (options.out / "cost.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
