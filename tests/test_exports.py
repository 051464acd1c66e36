"""The one public door: each name stands once in the stub, exists, and is all there is."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import raymimic


def named_in_the_stub() -> list[str]:
    tree = ast.parse(Path(raymimic.__file__).with_suffix(".pyi").read_text())
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return [alias.asname or alias.name for node in imports for alias in node.names]


def test_the_door_has_the_names_of_its_stub_and_no_other():
    names = named_in_the_stub()
    assert raymimic.__all__ == sorted(names)
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(raymimic))


@pytest.mark.parametrize("name", named_in_the_stub())
def test_a_public_name_is_there(name):
    assert getattr(raymimic, name).__name__ == name


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="LLMSercher"):
        raymimic.LLMSercher  # noqa: B018


def test_rooms_export_sorted_names_that_exist():
    for found in pkgutil.iter_modules(raymimic.__path__):
        room = importlib.import_module(f"raymimic.{found.name}")
        names = getattr(room, "__all__", [])
        assert names == sorted(names), found.name
        assert all(hasattr(room, name) for name in names), found.name
