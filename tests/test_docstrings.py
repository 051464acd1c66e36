"""Each public class has an example in its docstring, and it runs as it stands there."""

from __future__ import annotations

import doctest
import inspect

import pytest

import raymimic

CLASSES = [
    name
    for name in raymimic.__all__
    if inspect.isclass(getattr(raymimic, name))
    and not issubclass(getattr(raymimic, name), Exception)
]
WITH_RAY = {"Guide", "Raymimic"}


def examples_of(name: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(getattr(raymimic, name).__doc__ or "")


@pytest.mark.parametrize("name", sorted(set(CLASSES) - WITH_RAY))
def test_the_example_of_a_class_shows_what_it_says(name, tmp_path, monkeypatch):
    run(name, tmp_path, monkeypatch)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
@pytest.mark.parametrize("name", sorted(WITH_RAY))
def test_the_example_of_a_class_that_starts_ray_shows_what_it_says(name, tmp_path, monkeypatch):
    run(name, tmp_path, monkeypatch)


def run(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # ledgers go to the home folder
    monkeypatch.chdir(tmp_path)
    assert examples_of(name), f"{name} has no example in its docstring"
    found = doctest.DocTestFinder(recurse=False).find(getattr(raymimic, name), name, globs={})
    said: list[str] = []
    for test in found:
        result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
        assert result.failed == 0, "".join(said)
