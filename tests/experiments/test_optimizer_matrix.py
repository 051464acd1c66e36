"""Four checks for each optimizer of `torch.optim`, and for one of each library that is here.

The whole matrix is `python -m experiments.modulation.optimizers`.
"""

from __future__ import annotations

import importlib.util
import warnings

import pytest

from experiments.modulation.catalog_of_optimizers import Make, catalog
from experiments.modulation.optimizers import PACKAGES, row

MADE = {make.name: make for make in catalog()}
OF_TORCH = [make for make in MADE.values() if not make.name.startswith(PACKAGES)]
ONE_EACH = {
    "prodigyopt": ["prodigyopt Prodigy"],
    "schedulefree": ["schedulefree AdamWScheduleFree"],
    "lion_pytorch": ["lion_pytorch Lion"],
    "pytorch_optimizer": ["pytorch_optimizer Lookahead(AdamW)", "pytorch_optimizer SAM(SGD)"],
    "bitsandbytes": ["bitsandbytes AdamW8bit"],
    "torch_optimizer": ["torch_optimizer AdaMod"],
}


def check(make: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = row(make)
    assert found == ["yes", "not harmed" if make.name == "Rprop" else "yes", "yes", "yes"]


@pytest.mark.parametrize("make", OF_TORCH, ids=lambda make: make.name)
def test_an_optimizer_of_torch_passes_all_checks(make):
    check(make)


@pytest.mark.parametrize("package", PACKAGES)
def test_optimizers_of_a_library_pass_all_checks(package):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: its optimizers are NOT checked")
    for name in ONE_EACH[package]:
        check(MADE[name])
