"""Merge checkpoints on disk: memory holds the tensors of one group, of the base and each model.

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
        self.file_of = {name: file for file, names in self.shards.items() for name in names}

    def __getitem__(self, name: str) -> torch.Tensor:
        with _open(self.file_of[name]) as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.file_of)

    def __len__(self) -> int:
        return len(self.file_of)


def merge_files(
    base: str | os.PathLike[str],
    models: Sequence[str | os.PathLike[str]],
    method: Method,
    out: str | os.PathLike[str],
    *,
    by: By = "tensor",
) -> Path:
    """Write the merged checkpoint into the folder ``out``, in the base's shards; return it.

    The base's configuration and tokenizer files go along. The result begins as a copy of the base,
    into which each merged tensor is written, so a group may lie in several shards and no shard is
    ever held whole. Raises `MergeError` for checkpoints of different architectures and for an
    ``out`` that is one of them.
    """
    start = Checkpoint(base)
    others = {os.fspath(path): Checkpoint(path) for path in models}
    folder = Path(out)
    if any(folder.resolve() == one.path.resolve() for one in (start, *others.values())):
        raise MergeError(f"out must be another folder than the models', got {str(folder)!r}")
    folder.mkdir(parents=True, exist_ok=True)
    parts = {file: _Copy(file, folder / f"{file.name}.part") for file in start.shards}
    for group, names in groups_of(start, by).items():
        tensors = {name: start[name] for name in names}
        floating = {name: one for name, one in tensors.items() if one.is_floating_point()}
        if floating:
            for name, merged in merge_group(group, floating, others, method).items():
                parts[start.file_of[name]].write(name, merged)
    for file in start.shards:
        os.replace(folder / f"{file.name}.part", folder / file.name)
    if start.path.is_dir():
        for pattern in _COPIED:
            for copied in start.path.glob(pattern):
                shutil.copyfile(copied, folder / copied.name)
    return folder


class _Copy:
    """A copy of a safetensors file whose tensors can be overwritten by others of their kind.

    The format: the header's length in 8 bytes (little-endian), the header as JSON with each
    tensor's place among the bytes that follow.
    """

    def __init__(self, file: Path, copy: Path) -> None:
        shutil.copyfile(file, copy)
        self._path = copy
        with open(copy, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            self._header = json.loads(opened.read(length))
        self._data = 8 + length

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Put ``tensor`` in the place of the one of this name, of the same shape and dtype."""
        begin, _ = self._header[name]["data_offsets"]
        content = tensor.contiguous().flatten().view(torch.uint8).numpy()
        with open(self._path, "r+b") as opened:
            opened.seek(self._data + begin)
            opened.write(memoryview(content))


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
