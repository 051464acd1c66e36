"""Which libraries' trainings `Modulator` carries: the four checks of `optimizers.py`, as a table.

Plain: a run without advice has the bits of a run without a modulator. NaN: one batch of NaN undoes
that epoch alone and the run goes on, finite. Rollback: after an undone epoch model and optimizer
have the bits of the epoch's start. Resume: from the library's own checkpoint, under an adjustment,
the same bits. "plain neither": the library alone does not resume with the same bits.

    pip install accelerate transformers peft lightning bitsandbytes schedulefree prodigyopt
    python -m experiments.modulation.libraries [--only NAME]
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.modulation import library_refusals, optimizers
from experiments.modulation.catalog_of_optimizers import catalog
from experiments.modulation.library_loops import (
    Course,
    Plan,
    Train,
    accelerated,
    by_hand,
    bytes_held,
    full,
    lora,
    quantised,
)
from experiments.modulation.library_trainers import in_lightning, in_trainer, lora_in_trainer
from experiments.modulation.optimizers import CHECKS, HARM, MOVE
from raymimic import Adjustment

_OPTIMIZERS = ("bitsandbytes", "schedulefree", "prodigyopt")
_QUIET = ("raymimic", "lightning", "lightning.pytorch", "accelerate", "transformers")


def trainings() -> Iterator[tuple[str, tuple[str, ...], Train]]:
    """Name, the packages that it needs, and the training."""
    yield "accelerate, AdamW, schedule, 2 batches a step", ("accelerate",), accelerated
    for name in _OF_TRAINER:
        needs = ("transformers", *_OF_TRAINER[name])
        yield f"transformers Trainer, {name}", needs, in_trainer(name)
    both = ("transformers", "peft")
    yield "peft, LoRA on GPT-2, AdamW", both, by_hand(lora)
    yield "peft, LoRA in Trainer, adamw_torch", both, in_trainer("adamw_torch", lora_in_trainer)
    for kind in ("Linear8bitLt", "Linear4bit"):
        needs = ("peft", "bitsandbytes")
        yield f"peft, LoRA on bitsandbytes {kind}", needs, by_hand(quantised(kind))
    yield "Lightning, ModulatorCallback, 2 batches a step", ("lightning",), in_lightning


_OF_TRAINER: dict[str, tuple[str, ...]] = {
    "adamw_torch": (),
    "adamw_torch_fused": (),
    "adafactor": (),
    "sgd": (),
    "rmsprop": (),
    "adagrad": (),
    "schedule_free_adamw": ("schedulefree",),
    "schedule_free_sgd": ("schedulefree",),
    "adamw_8bit": ("bitsandbytes",),
    "lion_8bit": ("bitsandbytes",),
    "paged_adamw_32bit": ("bitsandbytes",),
}


# -- the checks ------------------------------------------------------------------------------------


def plain(train: Train) -> str:
    return "yes" if _same(train(Plan()), train(Plan(answers=()))) else "no"


def recovers(train: Train) -> str:
    course = train(Plan(answers=(), bad=3))
    finite = all(bool(torch.isfinite(t).all()) for t in course.marks[-1] if t.is_floating_point())
    moved = not _equal(course.marks[2], course.marks[4])
    undone = _rollbacks(course) == 1.0 and _equal(_weights(course, 1), _weights(course, 2))
    return "yes" if finite and moved and undone else "no"


def rollback(train: Train) -> str:
    course = train(Plan(answers=(Adjustment(), Adjustment(), HARM), worse=4))
    if _rollbacks(course) != 1.0:
        return "no rollback"
    moved = not _equal(course.marks[3], course.marks[4])
    return "yes" if _equal(course.marks[2], course.marks[3]) and moved else "no"


def resume(train: Train) -> str:
    if _resumed(train, (Adjustment(), MOVE)):
        return "yes"
    return "no" if _resumed(train, None) else "plain neither"


def _resumed(train: Train, answers: tuple[Adjustment, ...] | None) -> bool:
    """Ended after the second epoch, when the second answer has come, and gone on with anew."""
    whole = train(Plan(answers))
    with tempfile.TemporaryDirectory() as folder:
        train(Plan(answers, last=2, folder=Path(folder)))
        rest = train(Plan(answers and (), folder=Path(folder), resume=True))
    return len(rest.marks) == 3 and _same(whole, rest)


def _same(one: Course, other: Course) -> bool:
    return _equal(one.marks[-1], other.marks[-1])


def _equal(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _weights(course: Course, epoch: int) -> list[torch.Tensor]:
    """The model's part of an epoch's bits."""
    return course.marks[epoch][: len(course.parts[0].state_dict())]


def _rollbacks(course: Course) -> float:
    assert course.modulator is not None
    return course.modulator.metrics()["raymimic/rollbacks"]


def row(train: Train) -> list[str]:
    """What each check gives; an error is named."""
    found = []
    for check in (plain, recovers, rollback, resume):
        try:
            found.append(check(train))
        except Exception as error:  # noqa: BLE001 - a cell of the table
            logging.getLogger(__name__).info("%s", traceback.format_exc())
            found.append(f"{type(error).__name__}: {str(error)[:60]}")
    return found


def _missing(packages: tuple[str, ...]) -> str:
    return ", ".join(name for name in packages if importlib.util.find_spec(name) is None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a row's name")
    parser.add_argument("--verbose", action="store_true", help="print what errors were raised")
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO if options.verbose else logging.CRITICAL)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    print(f"| library | {' | '.join(CHECKS)} |\n|{'---|' * (1 + len(CHECKS))}")
    print_rows(options.only.lower())


def print_rows(only: str) -> None:
    """Every row whose name has ``only`` in it, as it comes."""
    for name, packages, train in trainings():
        if only in name.lower():
            gone = _missing(packages)
            cells = [f"NOT INSTALLED: {gone}"] * len(CHECKS) if gone else row(train)
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    for make in catalog():
        if make.name.startswith(_OPTIMIZERS) and only in make.name.lower():
            print(f"| {make.name} | {' | '.join(optimizers.row(make))} |", flush=True)
    for name, said in library_refusals.said():
        if only in name.lower():
            print(f"refused: {name}: {said}", flush=True)
    if only in "memory" and not _missing(("transformers", "peft")):
        for name, build in (("full", full), ("LoRA", lora)):
            train = by_hand(lambda build=build: build(n_layer=4, n_embd=256))
            trained, count, size = bytes_held(train(Plan(answers=(), last=1)))
            print(f"memory: {name}: {size:.1f} bytes a trained parameter, {trained} of {count}")


if __name__ == "__main__":
    main()
