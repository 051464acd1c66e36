"""Merging: each method against its formula on numbers worked out by hand, and whole checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from raymimic.errors import MergeError  # noqa: E402
from raymimic.merging import (  # noqa: E402
    Average,
    Checkpoint,
    Dare,
    ModelStock,
    TaskArithmetic,
    Ties,
    groups_of,
    merge_files,
    merge_states,
    task_vectors,
)

BASE = {"w": torch.tensor([1.0, 1.0, 1.0, 1.0]), "steps": torch.tensor(7)}
ONE = {"w": torch.tensor([3.0, 0.0, 1.5, 1.0]), "steps": torch.tensor(9)}
TWO = {"w": torch.tensor([2.0, 4.0, 1.0, 0.0]), "steps": torch.tensor(9)}
MODELS = {"one": ONE, "two": TWO}  # task vectors (2, -1, .5, 0) and (1, 3, 0, -1)


@pytest.mark.parametrize(
    ("method", "gained"),
    [
        (Average(), [1.5, 1.0, 0.25, -0.5]),
        (TaskArithmetic([1.0, 0.5]), [2.5, 0.5, 0.5, -0.5]),
        # of 4 elements the largest 2 stay: (2, -1, 0, 0) and (0 or 1, 3, 0, 0 or -1)
        (Ties(density=1.0), [1.5, 3.0, 0.5, -1.0]),
        (Ties(density=0.25), [2.0, 3.0, 0.0, 0.0]),
        (Ties(density=1.0, scale=2.0, weights=[1.0, 3.0]), [2.5, 6.0, 1.0, -2.0]),
        (Dare([1.0, 1.0], density=1.0), [3.0, 2.0, 0.5, -1.0]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_method_gains_what_its_formula_says(method: Any, gained: list[float]) -> None:
    merged = merge_states(BASE, MODELS, method)
    torch.testing.assert_close(merged["w"], BASE["w"] + torch.tensor(gained))
    assert merged["steps"] == 7


def test_dropped_elements_are_a_share_and_keep_the_mean() -> None:
    base = {"w": torch.zeros(100_000)}
    models = {"one": {"w": torch.ones(100_000)}}
    merged = merge_states(base, models, Dare([1.0], density=0.25))["w"]
    assert set(merged.unique().tolist()) == {0.0, 4.0}
    assert merged.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(merged, merge_states(base, models, Dare([1.0], density=0.25))["w"])
    assert not torch.equal(merged, merge_states(base, models, Dare([1.0], 0.25, seed=1))["w"])


@pytest.mark.parametrize(
    ("second", "share"),
    [([1.0, 0.0], 1.0), ([0.0, 1.0], 0.0), ([-1.0, 0.0], 0.0), ([0.5, 3**0.5 / 2], 2 / 3)],
)
def test_model_stock_goes_as_far_as_the_angle_says(second: list[float], share: float) -> None:
    base = {"w": torch.zeros(2)}
    first, other = torch.tensor([1.0, 0.0]), torch.tensor(second)
    merged = merge_states(base, {"a": {"w": first}, "b": {"w": other}}, ModelStock())
    torch.testing.assert_close(merged["w"], share * (first + other) / 2)


def test_a_layer_is_trimmed_as_one() -> None:
    names = ["emb.w", "layers.0.w", "layers.0.b", "layers.1.w"]
    assert list(groups_of(names, "layer")) == ["emb.w", "layers.0", "layers.1"]
    base = {"layers.0.w": torch.zeros(2, 1), "layers.0.b": torch.zeros(2)}
    model = {"layers.0.w": torch.tensor([[9.0], [8.0]]), "layers.0.b": torch.tensor([1.0, 2.0])}
    each = merge_states(base, {"m": model}, Ties(density=0.5))
    whole = merge_states(base, {"m": model}, Ties(density=0.5), by="layer")
    assert each["layers.0.b"].tolist() == [0.0, 2.0]
    assert whole["layers.0.b"].tolist() == [0.0, 0.0]
    assert whole["layers.0.w"].tolist() == [[9.0], [8.0]]


def test_the_bases_dtype_stays_and_sums_are_made_in_float32() -> None:
    base = {"w": torch.full((2,), 1.0, dtype=torch.bfloat16)}
    models = {name: {"w": torch.full((2,), 1.5, dtype=torch.bfloat16)} for name in "ab"}
    merged = merge_states(base, models, Average())["w"]
    assert merged.dtype == torch.bfloat16
    assert task_vectors(base, models)["a"]["w"].dtype == torch.float32


@pytest.mark.parametrize(
    ("method", "models", "words"),
    [
        (Average(), {"a": {"w": torch.zeros(3)}}, r"'w' must have the shape \(4,\), got \(3,\)"),
        (Average(), {"a": {}}, "got none"),
        (Average(), {}, "at least one model"),
        (TaskArithmetic([1.0]), MODELS, "one number for each of the 2 models, got 1"),
        (ModelStock(), {"one": ONE}, "at least 2 models"),
    ],
)
def test_what_cannot_be_merged_says_why(method: Any, models: Any, words: str) -> None:
    with pytest.raises(MergeError, match=words):
        merge_states(BASE, models, method)


@pytest.mark.parametrize("density", [0.0, 1.5, float("nan")])
def test_a_density_is_a_share(density: float) -> None:
    with pytest.raises(MergeError, match="density must be above 0"):
        Ties(density=density)


# -- on disk ---------------------------------------------------------------------------------------


def write(folder: Path, state: dict[str, Any], shards: int) -> Path:
    """As Hugging Face writes a checkpoint."""
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text("{}")
    names = list(state)
    if shards == 1:
        save_file(state, folder / "model.safetensors")
        return folder
    where = {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: state[name] for name in names[number::shards]}, folder / file)
        where |= dict.fromkeys(names[number::shards], file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


@pytest.mark.parametrize("shards", [1, 3])
def test_files_are_merged_as_states_are(tmp_path: Path, shards: int) -> None:
    pytest.importorskip("safetensors", reason='needs pip install "raymimic[merging]"')
    generator = torch.Generator().manual_seed(0)
    states = [
        {f"layers.{n}.w": torch.randn(4, 3, generator=generator) for n in range(5)}
        for _ in range(3)
    ]
    states[0]["ids"] = states[1]["ids"] = states[2]["ids"] = torch.arange(3)
    base, *models = [
        write(tmp_path / str(number), state, shards if number != 1 else 1)
        for number, state in enumerate(states)
    ]
    out = merge_files(base, models, Ties(density=0.5), tmp_path / "out")
    merged = dict(Checkpoint(out))
    expected = merge_states(states[0], dict(enumerate(states[1:])), Ties(density=0.5))
    assert merged.keys() == expected.keys()
    assert all(torch.equal(merged[name], expected[name]) for name in expected)
    assert (out / "config.json").is_file()
    assert len(list(out.glob("*.safetensors"))) == shards


def test_a_layer_that_lies_in_two_shards_is_one_group(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='needs pip install "raymimic[merging]"')
    generator = torch.Generator().manual_seed(0)
    states = [
        {
            f"layers.{n}.{name}": torch.randn(4, 3, generator=generator).to(dtype)
            for n in range(3)
            for name, dtype in (("w", torch.bfloat16), ("v", torch.float32))
        }
        for _ in range(3)
    ]  # the shards are dealt name by name: each layer lies in two of the four
    base, *models = [write(tmp_path / str(number), state, 4) for number, state in enumerate(states)]
    out = merge_files(base, models, Ties(density=0.3), tmp_path / "out", by="layer")
    expected = merge_states(states[0], dict(enumerate(states[1:])), Ties(density=0.3), by="layer")
    merged = dict(Checkpoint(out))
    assert all(torch.equal(merged[name], expected[name]) for name in states[0])
    assert {merged[name].dtype for name in merged} == {torch.bfloat16, torch.float32}


MEASURED = """
import resource, sys
import torch
from raymimic.merging import Average, Ties, merge_files
base, models, out = sys.argv[1], sys.argv[2:-1], sys.argv[-1]

def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024

merge_files(base, models, Ties(density=0.5), out + "_warm")  # whatever is loaded once
open("/proc/self/clear_refs", "w").write("5")  # the peak is now what is held
before = peak()
merge_files(base + "_large", [one + "_large" for one in models], Ties(density=0.5), out, by="layer")
print(peak() - before)
"""


def test_a_merge_needs_less_memory_than_the_largest_shard(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='needs pip install "raymimic[merging]"')
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the peak of a process's memory is read from Linux's /proc")
    paths = []
    for number, name in enumerate(("base", "a", "b")):
        paths.append(str(write(tmp_path / name, {"layers.0.w": torch.ones(64, 64)}, 1)))
        large = {f"layers.{n}.w": torch.full((256, 256), float(number)) for n in range(192)}
        write(tmp_path / f"{name}_large", large, 3)
    shard = max(file.stat().st_size for file in (tmp_path / "base_large").glob("*.safetensors"))
    command = [sys.executable, "-c", MEASURED, *paths, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shard > 16e6
    assert int(done.stdout) < shard


def test_a_path_without_a_checkpoint_says_what_must_lie_there(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='needs pip install "raymimic[merging]"')
    with pytest.raises(MergeError, match="save_pretrained"):
        Checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no such thing")
    with pytest.raises(MergeError, match="cannot be read as safetensors"):
        Checkpoint(tmp_path)


def test_the_result_never_overwrites_a_model(tmp_path: Path) -> None:
    pytest.importorskip("safetensors", reason='needs pip install "raymimic[merging]"')
    base = write(tmp_path / "base", {"w": torch.ones(1)}, 1)
    with pytest.raises(MergeError, match="another folder"):
        merge_files(base, [base], Average(), base)
