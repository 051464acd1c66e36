"""The keyless mutator: every edit happens, changes what it says, and mostly survives the gates."""

from __future__ import annotations

import ast
import random

import pytest

from raymimic.evolution import Program, seed_program
from raymimic.evolution.edits import EDITS, RuleMutator
from raymimic.evolution.gates import check

BLOCK = """
class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.conv1 = nn.Conv1d(size, 16, 5, stride=2, padding=2)
        self.conv2 = nn.Conv1d(16, 16, 3)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = self.norm(self.conv2(x))
        return self.drop(x)
"""


def results(kind):
    found = {}
    for number in range(60):
        tree = ast.parse(BLOCK)
        said = EDITS[kind](tree, random.Random(number))
        found[said] = ast.unparse(tree)
    return found


@pytest.mark.parametrize(
    ("kind", "said", "holds"),
    [
        ("width", "width 16 -> 32", "nn.Conv1d(32, 32, 3)"),
        ("kernel size", "kernel of Conv1d 5 -> 7", "16, 7, stride=2, padding=3"),
        ("kernel size", "kernel of Conv1d 3 -> 5", "nn.Conv1d(16, 16, 5, padding=1)"),
        ("rate", "0.5 -> 0.25", "nn.Dropout(0.25)"),
        ("activation", "activation relu -> gelu", "functional.gelu("),
        ("normalisation", "BatchNorm1d taken out", "nn.Identity()"),
        ("normalisation", "BatchNorm1d -> nn.GroupNorm(1, 16)", "nn.GroupNorm(1, 16)"),
        ("dropout", "nn.Dropout(0.5) -> nn.Dropout(0.1)", "nn.Dropout(0.1)"),
        ("dropout", "nn.Dropout(0.1) at self.conv2", "nn.Conv1d(16, 16, 3), nn.Dropout(0.1)"),
        ("residual", "residual around self.norm(self.conv2(x))", "x = x + self.norm("),
        ("order", "x = self.norm(self.conv2(x)) now before x = functional.relu(self.conv1(x))", ""),
    ],
)
def test_an_edit_does_what_it_says(kind, said, holds):
    found = results(kind)
    assert said in found, list(found)
    assert holds in found[said]


def test_normalisation_is_put_after_a_bare_convolution():
    bare = BLOCK.replace("        self.norm = nn.BatchNorm1d(16)\n", "")
    tree = ast.parse(bare)
    assert EDITS["normalisation"](tree, random.Random(0)).startswith("BatchNorm1d after self.conv")
    assert "nn.BatchNorm1d(16))" in ast.unparse(tree)


def test_a_residual_can_be_taken_back():
    tree = ast.parse(BLOCK.replace("x = self.norm", "x = x + self.norm"))
    said = {EDITS["residual"](ast.parse(ast.unparse(tree)), random.Random(n)) for n in range(20)}
    assert "no residual around self.norm(self.conv2(x))" in said


def test_an_edit_with_nothing_to_change_says_so():
    for edit in EDITS.values():
        assert edit(ast.parse("x = y"), random.Random(0)) is None


@pytest.mark.parametrize("name", ["conv1d", "exquisite-net-v2"])
def test_all_edits_occur_and_the_same_seed_makes_the_same_child(name):
    seed, kinds = seed_program(name), set()
    for number in range(150):
        child, block, said = RuleMutator().mutate(seed, random.Random(number))
        assert child == RuleMutator().mutate(seed, random.Random(number))[0]
        assert child.changed(seed) == (block,)
        assert check(child, seed, {seed.identity}) is None
        kinds.add(said.partition(":")[0])
    assert kinds >= {"width", "kernel size", "rate", "activation", "normalisation", "dropout"}


def test_a_program_with_nothing_to_edit_has_no_children():
    program = Program.parse("# EVOLVE-BLOCK-START a\nx = y\n# EVOLVE-BLOCK-END\n")
    assert RuleMutator().mutate(program, random.Random(0)) is None
