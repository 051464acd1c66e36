"""No study imports another one, what they share imports none, and nothing imports the tests."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

import experiments
from raymimic.errors import MissingExtra

FOLDER = Path(experiments.__file__).parent
TESTS = FOLDER.parent / "tests"
MODULES = sorted(FOLDER.rglob("*.py"))
HELPERS = {path.stem for path in TESTS.rglob("*.py")} | {"tests"}


def imported(path: Path) -> set[str]:
    """Absolute names that a module imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def study_of(path: Path) -> str:
    return path.relative_to(FOLDER).parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_study_imports_itself_and_what_is_common(path: Path) -> None:
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "experiments":
            assert rest[0] in {"common", study_of(path)}, f"imports {name}"
        assert first not in HELPERS, f"imports {name}"
    assert "sys.path" not in path.read_text()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_what_a_study_takes_from_the_package_is_there(path: Path) -> None:
    """Without importing the study, which may need what is not installed."""
    for name in imported(path):
        if name.startswith("raymimic."):
            module, _, taken = name.rpartition(".")
            try:
                found = importlib.import_module(module)
            except MissingExtra:  # the library that it adapts is not here
                continue
            assert hasattr(found, taken) or importlib.util.find_spec(name), name


@pytest.mark.parametrize("path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.name)
def test_no_test_looks_for_studies_by_their_path(path: Path) -> None:
    if path != Path(__file__):
        assert "sys.path.insert" not in path.read_text()
    if path.parent != TESTS / "experiments":
        assert not any(name.split(".")[0] == "experiments" for name in imported(path))


def test_the_lab_book_runs_studies_as_modules() -> None:
    text = (FOLDER / "README.md").read_text()
    for word in text.split("python -m ")[1:]:
        module = word.split()[0]
        assert (FOLDER.parent / f"{module.replace('.', '/')}.py").is_file(), module
    assert "python experiments/" not in text
