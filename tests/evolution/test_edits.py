"""The keyless mutator: every edit happens, changes what it says, and mostly survives the gates."""

from __future__ import annotations

import ast
import random

import pytest

from raymimic.evolution import Program, seed_program
from raymimic.evolution.edits import PRACTICE, RANDOM, RuleMutator, edit_once
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
        said = RANDOM[kind](tree, random.Random(number))
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
    assert RANDOM["normalisation"](tree, random.Random(0)).startswith("BatchNorm1d after self.conv")
    assert "nn.BatchNorm1d(16))" in ast.unparse(tree)


def test_a_residual_can_be_taken_back():
    tree = ast.parse(BLOCK.replace("x = self.norm", "x = x + self.norm"))
    said = {RANDOM["residual"](ast.parse(ast.unparse(tree)), random.Random(n)) for n in range(20)}
    assert "no residual around self.norm(self.conv2(x))" in said


def test_an_edit_with_nothing_to_change_says_so():
    for edit in (*RANDOM.values(), *PRACTICE.values()):
        assert edit(ast.parse("x = y"), random.Random(0)) is None


@pytest.mark.parametrize(
    ("kind", "holds", "block"),
    [
        ("schedule", "OneCycleLR(optimizer, [", "optimizer"),
        ("weight decay", "AdamW(model.parameters(), lr=0.002, weight_decay=0.0", "optimizer"),
        ("normalise", "stride=2, padding=1), nn.BatchNorm1d(25))", "features"),
        ("deepen", "x = x + self.extra1(x)", "features"),
        ("separate", "groups=25), nn.Conv1d(25, 25, 1))", "features"),
        ("stride", "padding=2), nn.MaxPool1d(2))", "features"),
        ("stride", "nn.Conv1d(in_channels, 25, 5, padding=2)\n", "features"),
        ("pool", "torch.cat([x.flatten(2).mean(2), x.flatten(2).amax(2)], 1))", "head"),
        ("pool", "nn.Linear(channels, classes)", "head"),
    ],
)
def test_practice_does_what_it_says_to_the_small_seed(kind, holds, block):
    seed = seed_program("conv1d")
    found = [edit_once(seed, {kind: PRACTICE[kind]}, random.Random(n)) for n in range(30)]
    assert {one.blocks for one in found} == {(block,)}
    assert any(holds in one.program.blocks[block] for one in found), found[0].program.source


def test_what_deepens_a_grouped_convolution_is_depthwise():
    made = edit_once(
        seed_program("exquisite-net-v2"), {"deepen": PRACTICE["deepen"]}, random.Random(1)
    )
    assert "3, padding=1, groups=channels, bias=False)" in made.program.blocks[made.blocks[0]]


def test_a_layer_is_taken_out_of_a_sequence():
    seed = seed_program("exquisite-net-v2")
    said = [
        edit_once(seed, {"remove": PRACTICE["remove"]}, random.Random(n)).said for n in range(30)
    ]
    assert "remove: without DFSEBV2(384)" in said


@pytest.mark.parametrize("kind", ["schedule", "weight decay", "normalise", "pool"])
def test_practice_is_followed_once(kind):
    edit = {kind: PRACTICE[kind]}
    once = edit_once(seed_program("conv1d"), edit, random.Random(0))
    assert edit_once(once.program, edit, random.Random(0)) is None


@pytest.mark.parametrize("name", ["conv1d", "exquisite-net-v2"])
def test_all_edits_occur_and_the_same_seed_makes_the_same_child(name):
    seed, kinds = seed_program(name), set()
    for number in range(150):
        child = RuleMutator().mutate(seed, random.Random(number))
        if number < 20:
            assert child == RuleMutator().mutate(seed, random.Random(number))
        assert set(child.program.changed(seed)) <= set(child.blocks)
        assert check(child.program, seed, {seed.identity}) is None
        kinds |= {said.partition(":")[0] for said in child.said.split("; ")}
    assert kinds >= {*RANDOM, "normalise", "deepen"} - {"residual", "order"}
    assert ("schedule" in kinds) == (name == "conv1d")  # the other one has it


def test_a_chain_of_edits_mostly_runs():
    """Twelve children in a row, each of the one before: most still build and learn a step."""
    torch = pytest.importorskip("torch")
    from raymimic.evolution.sandbox.training import load

    ran = tried = 0
    for number in range(6):
        program = seed_program("conv1d")
        for step in range(6):
            child = RuleMutator().mutate(program, random.Random(f"{number}/{step}"))
            names = load(child.program.source)
            tried += 1
            try:
                model = names["build_model"]((1, 40), 10)
                optimizer, schedule = names["build_optimizer"](model, 3)
                model(torch.zeros(4, 1, 40)).sum().backward()
            except (RuntimeError, ValueError):
                continue
            optimizer.step()
            if schedule is not None:
                schedule.step()
            ran += 1
            program = child.program
    assert ran > 0.7 * tried, f"{ran} of {tried}"


def test_a_program_with_nothing_to_edit_has_no_children():
    program = Program.parse("# EVOLVE-BLOCK-START a\nx = y\n# EVOLVE-BLOCK-END\n")
    assert RuleMutator().mutate(program, random.Random(0)) is None
