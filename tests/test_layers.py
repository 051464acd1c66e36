"""Imports point down, and heavy packages stay in their rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import raymimic

PACKAGE = Path(raymimic.__file__).parent

# From the top down: a room may import those after it, never those before it.
ROOMS = [
    "cli", "testing", "report", "evolve", "invent", "demo", "tune", "modulation", "search",
    "scheduling", "invention", "evolution", "merging", "advisor", "llm", "curves", "summary",
    "events", "ledger", "mending", "rows", "inquiry", "feasibility", "space", "pareto",
    "records", "foreign", "errors",
]  # fmt: skip

# The engines: they know nothing of Ray, and nothing of each other; but invention has evolution's
# programs, gates and sandbox.
NO_RAY = ["search", "scheduling", "evolution", "invention"]

# Who alone may import what at module level.
HEAVY = {
    "ray": {"tune", "demo", "evolve", "invent"},
    "torch": {"demo", "modulation", "evolution", "merging"},
    "sklearn": {"demo"},
}
HEAVY["plotly"] = set()
HEAVY |= {"optuna": set(), "anthropic": set(), "openai": set(), "torchvision": set()}


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path, *, top_level: bool) -> set[str]:
    """Absolute names that a module imports; names below ``raymimic`` keep their room."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in tree.body if top_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    here = ROOMS.index(room_of(path))
    for name in imported(path, top_level=False):
        package, _, rest = name.partition(".")
        room = rest.partition(".")[0]
        if package == "raymimic" and room in ROOMS:
            assert ROOMS.index(room) >= here, f"{path.name} imports {name}, a room above its own"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_packages_stay_in_their_rooms(path):
    for name in imported(path, top_level=True):
        package = name.partition(".")[0]
        assert room_of(path) in HEAVY.get(package, {room_of(path)}), f"{path.name} imports {name}"


@pytest.mark.parametrize("room", NO_RAY)
def test_the_engines_know_no_ray(room):
    known = {room, "evolution"} if room == "invention" else {room}
    others = {f"raymimic.{other}" for other in NO_RAY if other not in known}
    for path in (PACKAGE / room).rglob("*.py"):
        for name in imported(path, top_level=False):
            assert name.partition(".")[0] != "ray", f"{path.name} imports {name}"
            assert not name.startswith(tuple(others)), f"{path.name} imports {name}"


def test_an_event_is_written_by_its_function_alone():
    """Whoever writes "start" to a ledger does it with `events.start`: one place for its fields."""
    homes = [PACKAGE / "events.py", PACKAGE / "modulation" / "events.py"]
    written = {
        node.args[0].value
        for home in homes
        for node in ast.walk(ast.parse(home.read_text()))
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
    }
    assert {"search", "start", "stop", "run"} <= written
    for path in modules():
        for node in () if path in homes else ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                first = node.args[0]
                named = isinstance(first, ast.Constant) and first.value in written
                writes = node.func.attr in ("append", "note", "_note")
                assert not (named and writes), f"{path.name} writes {ast.unparse(first)} by hand"


def test_every_module_has_a_room():
    assert {room_of(path) for path in modules()} == set(ROOMS)


def test_importing_raymimic_and_its_searcher_loads_no_sdk_and_no_torch():
    code = (
        "import sys, raymimic; raymimic.LLMSearcher, raymimic.HeuristicAdvisor; "
        "print([n for n in ('torch', 'anthropic', 'openai', 'optuna') if n in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_no_file_is_longer_than_400_lines():
    long = {str(path): len(path.read_text().splitlines()) for path in modules()}
    assert {path: count for path, count in long.items() if count > 400} == {}
