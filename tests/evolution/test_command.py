"""The command's data and its errors; `test_under_tune` runs it."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_program import tiny_task

from raymimic import TrainingTask
from raymimic.cli import main
from raymimic.errors import ProgramError
from raymimic.evolve.data import make_task, read_data


def test_a_program_that_cannot_be_evolved_is_one_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["evolve", "nowhere.py", "--llm", "none"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("raymimic: a program must be a Python file: nowhere.py")
    assert said.count("\n") == 1


def test_digits_are_split_with_a_test_set():
    pytest.importorskip("sklearn")
    arrays = read_data("digits")
    assert {len(arrays["x_train"]), len(arrays["x_valid"]), len(arrays["x_test"])} == {
        1078, 359, 360,
    }  # fmt: skip
    task = make_task(arrays, epochs=3)
    assert (task.classes, task.epochs, task.x_train.shape[1:]) == (10, 3, (1, 64))


def test_data_from_a_file(tmp_path):
    task = tiny_task()
    given = {name: getattr(task, name) for name in ("x_train", "y_train", "x_valid", "y_valid")}
    np.savez(tmp_path / "data.npz", **given)
    read = TrainingTask.from_npz(tmp_path / "data.npz", epochs=7)
    assert (read.epochs, read.classes, read.x_test) == (7, 2, None)
    assert "x_test" not in read.inputs()
    with pytest.raises(ProgramError, match=r"digits, mnist1d or an npz file, got 'no\.npz'"):
        read_data("no.npz")
    with pytest.raises(ProgramError, match=r"missing: .*y_valid"):
        make_task({name: given[name] for name in ("x_train", "y_train", "x_valid")})
    np.savez(tmp_path / "part.npz", x_train=given["x_train"])
    with pytest.raises(ProgramError, match="must be an npz file with x_train"):
        TrainingTask.from_npz(tmp_path / "part.npz")
