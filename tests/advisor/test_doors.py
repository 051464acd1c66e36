"""The rooms of the advisor are entered through their doors."""

from __future__ import annotations

import ast
from pathlib import Path

import raymimic

PACKAGE = Path(raymimic.__file__).parent


def test_no_file_outside_a_room_imports_from_its_inside():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                parts = node.module.split(".")
                if parts[:2] == ["raymimic", "advisor"] and len(parts) == 4:
                    inside = PACKAGE / "advisor" / parts[2]
                    own_door = path == PACKAGE / "advisor" / "propose" / "__init__.py"
                    room = parts[2] in ("judge", "adjust", "lessons")
                    assert not room or own_door or path.is_relative_to(inside), (path, node.module)
