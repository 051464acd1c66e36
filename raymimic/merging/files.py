"""Merge checkpoints on disk, one shard at a time: memory holds a shard and one group's tensors.

Folders as Hugging Face writes them: ``model.safetensors``, or shards with
``model.safetensors.index.json``. A single ``*.safetensors`` file serves as well.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from raymimic.errors import MergeError, MissingExtra
from raymimic.merging.grouping import By, groups_of
from raymimic.merging.merge import merge_group
from raymimic.merging.methods import Method

_INDEX, _WHOLE = "model.safetensors.index.json", "model.safetensors"
_COPIED = ("*.json", "*.txt", "*.model", "*.jinja")  # configuration and tokenizer of the base


class Checkpoint(Mapping[str, torch.Tensor]):
    """A checkpoint's tensors by name, each read when it is asked for and not kept.

    Raises `MergeError` for a path that holds none.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.shards = _shards(self.path)
        self._file_of = {name: file for file, names in self.shards.items() for name in names}

    def __getitem__(self, name: str) -> torch.Tensor:
        with _open(self._file_of[name]) as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)


def merge_files(
    base: str | os.PathLike[str],
    models: Sequence[str | os.PathLike[str]],
    method: Method,
    out: str | os.PathLike[str],
    *,
    by: By = "tensor",
) -> Path:
    """Write the merged checkpoint into the folder ``out``, in the base's shards; return it.

    The base's configuration and tokenizer files go along. A layer is merged as the shards hold it:
    one that lies in two shards is two groups. Raises `MergeError` for checkpoints of different
    architectures and for an ``out`` that is one of them.
    """
    start = Checkpoint(base)
    others = {os.fspath(path): Checkpoint(path) for path in models}
    folder = Path(out)
    if any(folder.resolve() == one.path.resolve() for one in (start, *others.values())):
        raise MergeError(f"out must be another folder than the models', got {str(folder)!r}")
    folder.mkdir(parents=True, exist_ok=True)
    for file, names in start.shards.items():
        _save(_merged_shard(start, names, others, method, by), folder / file.name)
    if start.path.is_dir():
        for pattern in _COPIED:
            for copied in start.path.glob(pattern):
                shutil.copyfile(copied, folder / copied.name)
    return folder


def _merged_shard(
    base: Checkpoint,
    names: Sequence[str],
    models: Mapping[str, Checkpoint],
    method: Method,
    by: By,
) -> dict[str, torch.Tensor]:
    merged: dict[str, torch.Tensor] = {}
    for group, members in groups_of(names, by).items():
        tensors = {name: base[name] for name in members}
        floating = {name: one for name, one in tensors.items() if one.is_floating_point()}
        merged |= tensors
        if floating:
            merged |= merge_group(group, floating, models, method)
    return merged


def _shards(path: Path) -> dict[Path, list[str]]:
    """The files of a checkpoint with the names that each holds."""
    files = [path] if path.is_file() else _files_in(path)
    shards = {}
    for file in files:
        with _open(file) as opened:
            shards[file] = list(opened.keys())
    return shards


def _files_in(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.is_file():
        names: dict[str, str] = json.loads(index.read_text())["weight_map"]
        return [folder / name for name in sorted(set(names.values()))]
    if (folder / _WHOLE).is_file():
        return [folder / _WHOLE]
    raise MergeError(
        f"a checkpoint must be a *.safetensors file or a folder with {_WHOLE} or {_INDEX}, got "
        f"{str(folder)!r}; model.save_pretrained(folder) writes one"
    )


def _open(file: Path) -> Any:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtra(
            'checkpoints on disk need safetensors: pip install "raymimic[merging]"'
        ) from None
    try:
        return safe_open(file, framework="pt")
    except (SafetensorError, OSError) as error:
        raise MergeError(f"{str(file)!r} cannot be read as safetensors: {error}") from None


def _save(tensors: dict[str, torch.Tensor], file: Path) -> None:
    from safetensors.torch import save_file

    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    part = file.with_name(f"{file.name}.part")
    save_file(whole, part, metadata={"format": "pt"})
    os.replace(part, file)
