"""The one public door: what it offers exists, is sorted, and is all there is."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import raymimic


def test_all_names_exist_sorted_and_are_listed():
    assert raymimic.__all__ == sorted(raymimic.__all__)
    for name in raymimic.__all__:
        assert getattr(raymimic, name).__name__ == name
    assert set(raymimic.__all__) <= set(dir(raymimic))


def test_a_wrong_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LLMSercher'"):
        raymimic.LLMSercher  # noqa: B018


def test_rooms_export_sorted_names_that_exist():
    for found in pkgutil.iter_modules(raymimic.__path__):
        room = importlib.import_module(f"raymimic.{found.name}")
        names = getattr(room, "__all__", [])
        assert names == sorted(names), found.name
        assert all(hasattr(room, name) for name in names), found.name
