"""A program that cheats gains nothing: what counts is what its state predicts elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from tiny_program import PROGRAM, labels_of_test, tiny_task, with_model_code

from raymimic.errors import CandidateError, SandboxError
from raymimic.evolution import Limits
from raymimic.evolution.sealed import seal, unseal


def last(runner, source):
    return list(runner.evaluate(source))[-1]


def model_of(code: str) -> str:
    """The program with another body; ``code`` is the class's methods, indented."""
    start, end = PROGRAM.index('    """From 8'), PROGRAM.index("# EVOLVE-BLOCK-END\n\n\ndef build")
    return PROGRAM[:start] + code + PROGRAM[end:]


def test_an_honest_program_is_scored_and_counted(sandboxed):
    epoch = last(sandboxed, PROGRAM)
    assert epoch.epoch == 2
    assert epoch.metrics["accuracy"] > 0.85
    assert epoch.metrics["train_accuracy"] > 0.85
    assert epoch.metrics["loss"] < 0.5
    assert epoch.metrics["parameters"] == 8 * 2 + 2
    assert (epoch.test_predictions == labels_of_test()).mean() > 0.85
    assert (unseal(seal(epoch.test_predictions)) == epoch.test_predictions).all()
    assert last(sandboxed, PROGRAM).metrics == epoch.metrics  # the same seed, the same numbers


def test_patched_losses_and_scores_change_nothing(sandboxed):
    patched = """
import torch, numpy as np
torch.nn.functional.cross_entropy = lambda logits, y: logits.sum() * 0.0
torch.Tensor.argmax = lambda self, *a, **k: torch.zeros(1)
np.load = None
"""
    assert last(sandboxed, PROGRAM).metrics["accuracy"] > 0.85
    with pytest.raises(CandidateError):  # np.load is needed to read its own state
        last(sandboxed, with_model_code(patched))
    unlearned = last(sandboxed, with_model_code(patched.replace("np.load = None", "")))
    assert unlearned.metrics["accuracy"] < 0.8


def test_constants_are_no_hit(sandboxed):
    constant = model_of(
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.zero = nn.Parameter(torch.zeros(1))\n"
        "        self.classes = classes\n"
        "    def forward(self, x):\n"
        "        return self.zero * torch.zeros(len(x), self.classes)\n"
    )
    assert last(sandboxed, constant).metrics["accuracy"] == 0.0


def test_validation_labels_are_nowhere(sandboxed):
    hunt = """
import gc, glob, os, torch
found = glob.glob('../*.npz') + glob.glob('../../*.npz') + glob.glob('*.npz')
held = [name for name in found if name != 'state.npz']
arrays = [o for o in gc.get_objects() if type(o).__name__ in ('ndarray', 'Tensor')]
labels = [a for a in arrays if len(a.shape) == 1 and a.shape[0] == 80]
if held or labels:
    raise AssertionError(f'FOUND {held} {labels}')
"""
    assert last(sandboxed, with_model_code(hunt)).metrics["accuracy"] > 0.85


def test_a_named_score_is_not_believed(sandboxed):
    said = """
import os, json
line = json.dumps({'event': 'epoch', 'epoch': 2, 'accuracy': 1.0}) + chr(10)
print(line)
os.write(2, line.encode())
"""
    assert last(sandboxed, with_model_code(said)).metrics["accuracy"] <= 1.0
    assert [e.epoch for e in sandboxed.evaluate(with_model_code(said))] == [1, 2]


def test_an_epoch_that_is_only_said_to_be_over_fails(sandboxed):
    """The one open pipe of the training says that a state is there: the runner looks."""
    said = """
import os
for handle in range(3, 64):
    try:
        os.write(handle, b'..')
    except OSError:
        pass
"""
    with pytest.raises(CandidateError) as caught:
        last(sandboxed, with_model_code(said))
    assert caught.value.reason == "bad arrays"
    assert last(sandboxed, PROGRAM).metrics["accuracy"] > 0.85


def test_sleeping_to_the_limit_gains_nothing(sandboxed, monkeypatch):
    short = replace(sandboxed.task, limits=replace(sandboxed.task.limits, seconds=2))
    monkeypatch.setattr(sandboxed, "task", short)
    with pytest.raises(CandidateError) as caught:
        last(sandboxed, with_model_code("import time; time.sleep(10**6)"))
    assert caught.value.reason == "time limit"


def test_weights_outside_the_state_are_lost(sandboxed):
    hidden = model_of(
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.dummy = nn.Parameter(torch.zeros(1))\n"
        "        self.hidden = [torch.zeros(8, classes, requires_grad=True)]\n"
        "        if torch.get_num_threads():\n"
        "            self.parameters = lambda *a, **k: iter([self.dummy, *self.hidden])\n"
        "    def forward(self, x):\n"
        "        return x @ self.hidden[0] + self.dummy * 0 * torch.ones(len(x), 2)\n"
    ).replace("model.parameters()", "model.parameters()")
    found = last(sandboxed, hidden).metrics
    assert found["parameters"] == 1
    assert found["accuracy"] < 0.8


@pytest.mark.parametrize("kind", ["float64", "complex64"])
def test_two_weights_in_one_number_are_refused(sandboxed, kind):
    packed = model_of(
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(8, classes)\n"
        f"        self.register_buffer('packed', torch.zeros(4, dtype=torch.{kind}))\n"
        "    def forward(self, x):\n"
        "        return self.linear(x)\n"
    )
    with pytest.raises(CandidateError, match="must be one of"):
        last(sandboxed, packed)


def test_a_layer_called_running_mean_counts_and_a_batch_norm_does_not(sandboxed):
    disguised = model_of(
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.norm = nn.BatchNorm1d(8)\n"
        "        self.linear = nn.Linear(8, classes)\n"
        "        self.register_buffer('running_mean', torch.zeros(100))\n"
        "    def forward(self, x):\n"
        "        return self.linear(self.norm(x))\n"
    )
    assert last(sandboxed, disguised).metrics["parameters"] == 18 + 16 + 100


def test_predictions_that_are_not_finite_fail(sandboxed):
    broken = PROGRAM.replace("return self.linear(x)", "return self.linear(x) / 0")
    with pytest.raises(CandidateError) as caught:
        last(sandboxed, broken)
    assert caught.value.reason == "not finite"


def test_a_failing_program_says_where(sandboxed):
    broken = PROGRAM.replace("return self.linear(x)", "return self.linear(x).missing()")
    with pytest.raises(CandidateError, match=r"(?s)x\)\.missing.*AttributeError"):
        last(sandboxed, broken)


def test_a_wrong_shape_says_what_must_hold(sandboxed):
    broken = PROGRAM.replace("return self.linear(x)", "return self.linear(x)[:, :1]")
    with pytest.raises(CandidateError, match=r"\(samples, classes\) = \(20, 2\), got \(20, 1\)"):
        last(sandboxed, broken)


def test_a_state_that_is_no_array_file_is_refused(tmp_path):
    from raymimic.evolution.sandbox.arrays import read_arrays, read_shapes, write_arrays

    write_arrays(tmp_path / "good.npz", {"a": np.zeros(3, np.float32)})
    assert read_shapes(tmp_path / "good.npz", 10_000) == {"a": ((3,), "float32")}
    objects = np.array([print], dtype=object)
    with open(tmp_path / "pickle.npz", "wb") as file:
        np.savez(file, allow_pickle=True, a=objects)
    np.savez_compressed(tmp_path / "bomb.npz", a=np.zeros(10**6))
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "link.npz").symlink_to(tmp_path / "good.npz")
    for name in ("pickle", "bomb", "text", "link", "missing"):
        with pytest.raises(CandidateError):
            read_arrays(tmp_path / f"{name}.npz", 10_000_000)
    with pytest.raises(CandidateError, match="the limit is 10"):
        read_arrays(tmp_path / "good.npz", 10)


def test_a_paused_training_goes_on_where_it_was(sandboxed, tmp_path):
    whole = list(sandboxed.evaluate(PROGRAM))
    first = sandboxed.evaluate(PROGRAM, resumable=True)
    kept = tmp_path / "progress.pt"
    kept.write_bytes(next(first).resume.read_bytes())
    first.close()
    rest = list(sandboxed.evaluate(PROGRAM, resume=(1, kept)))
    assert [epoch.epoch for epoch in rest] == [2]
    assert rest[0].metrics == whole[1].metrics


def test_limits_must_be_positive():
    with pytest.raises(ValueError, match="above 0"):
        Limits(seconds=0)
    with pytest.raises(ValueError, match="as long"):
        replace(tiny_task(), y_valid=np.zeros(3, np.int64))


def test_a_runner_that_dies_is_said_and_the_next_candidate_gets_another(sandboxed):
    epochs = sandboxed.evaluate(with_model_code("import time; time.sleep(10**6)"))
    sandboxed.process.start()
    killer = threading.Timer(1.0, lambda: os.killpg(sandboxed.process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(SandboxError, match="runner died"):
        list(epochs)
    assert last(sandboxed, PROGRAM).metrics["accuracy"] > 0.85
