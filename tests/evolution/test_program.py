"""Programs, their identity, the gates and the two seeds."""

from __future__ import annotations

import pytest
from tiny_program import PROGRAM

from raymimic.errors import ProgramError
from raymimic.evolution import Program, seed_program
from raymimic.evolution.gates import check

SEED = Program.parse(PROGRAM)


def test_a_file_is_cut_at_its_markers_and_put_together_again():
    assert list(SEED.blocks) == ["optimizer", "body"]
    assert SEED.source == PROGRAM
    changed = SEED.with_block("body", "class Body: pass")
    assert changed.blocks["optimizer"] == SEED.blocks["optimizer"]
    assert changed.changed(SEED) == ("body",)
    assert Program.parse(changed.source) == changed


def test_a_block_without_a_name_is_called_by_what_it_defines():
    text = "# EVOLVE-BLOCK-START\ndef act(x):\n    return x\n# EVOLVE-BLOCK-END\n"
    assert list(Program.parse(text).blocks) == ["act"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\n", "at least one block"),
        ("# EVOLVE-BLOCK-START a\nx = 1\n", "has no EVOLVE-BLOCK-END"),
        ("# EVOLVE-BLOCK-END\n", "must alternate"),
        ("# EVOLVE-BLOCK-START a\nx = (\n# EVOLVE-BLOCK-END\n", "line 2"),
        ("# EVOLVE-BLOCK-START\npass\n# EVOLVE-BLOCK-END\n", "has no name"),
        (2 * "# EVOLVE-BLOCK-START a\nx = 1\n# EVOLVE-BLOCK-END\n", "different names"),
    ],
)
def test_a_file_that_cannot_be_evolved_is_refused_in_words(source, said):
    with pytest.raises(ProgramError, match=said):
        Program.parse(source)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("lr=0.05)", "lr=0.05)  # a comment", True),
        ("lr=0.05", "lr = 5e-2", True),
        ('"""From 8 numbers to classes."""', '"""Says something else."""', True),
        ("Adam(model.parameters(), lr=0.05)", "Adam(params=model.parameters(), lr=0.05)", False),
        ("lr=0.05", "lr=0.06", False),
        ("nn.Linear(8, classes)", "nn.Linear(8, classes, bias=False)", False),
    ],
)
def test_identity_is_what_a_program_means(old, new, same):
    assert old in PROGRAM
    assert (Program.parse(PROGRAM.replace(old, new)).identity == SEED.identity) == same


def test_the_order_of_keyword_arguments_does_not_count():
    one = PROGRAM.replace("lr=0.05", "lr=0.05, eps=1e-6")
    other = PROGRAM.replace("lr=0.05", "eps=1e-6, lr=0.05")
    assert Program.parse(one).identity == Program.parse(other).identity


BODY = SEED.blocks["body"]


@pytest.mark.parametrize(
    ("block", "gate", "said"),
    [
        ("class Body(nn.Module:\n", "parses", "does not parse"),
        (f"{BODY}x = (\n", "parses", "does not parse"),
        (BODY.replace("class Body", "class Other"), "same names", "must define 'Body'"),
        (BODY.replace("forward(self, x)", "forward(self, x, y)"), "same names", "required"),
        (f"{BODY}def build_optimizer(): pass\n", "same names", "belongs to the block 'optimizer'"),
        (f"import os\n{BODY}", "imports", "got os"),
        (f"from subprocess import run\n{BODY}", "imports", "got subprocess"),
        (BODY + "#" * 30_000, "size", "at most 24000 characters"),
        (BODY.replace("classes.", "classes!"), "duplicate", "already tried"),
        ("[" * 5000 + BODY, "parses", "does not parse"),
    ],
)
def test_each_gate_refuses_in_words(block, gate, said):
    found = check(SEED.with_block("body", block), SEED, {SEED.identity})
    assert (found.gate, said in found.reason) == (gate, True), found


def test_a_child_with_a_new_default_and_a_helper_passes():
    block = BODY.replace("(self, classes)", "(self, classes, width=16)") + "def helper(): pass\n"
    assert check(SEED.with_block("body", f"import math\n{block}"), SEED, {SEED.identity}) is None


@pytest.mark.parametrize(
    ("name", "shape", "parameters"),
    [("exquisite-net-v2", (3, 32, 32), 518_230), ("conv1d", (1, 40), 5_210)],
)
def test_a_seed_has_its_published_number_of_parameters(name, shape, parameters):
    torch = pytest.importorskip("torch")
    names: dict[str, object] = {"__name__": "program"}
    program = seed_program(name)
    exec(program.source, names)
    model = names["build_model"](shape, 10)
    assert sum(one.numel() for one in model.parameters()) == parameters
    assert model(torch.zeros(2, *shape)).shape == (2, 10)
    assert "optimizer" in program.blocks


def test_a_missing_file_is_said():
    with pytest.raises(ProgramError, match=r"must be a Python file: nowhere\.py"):
        seed_program("nowhere.py")
