"""A program to evolve: a source file whose marked blocks may change and whose rest may not.

The markers are those of AlphaEvolve and OpenEvolve, so that their files work as they are::

    import torch                      # fixed
    # EVOLVE-BLOCK-START stem         # a block; without a name it is called by what it defines
    class Stem(nn.Module): ...
    # EVOLVE-BLOCK-END
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from raymimic.errors import ProgramError

_START = re.compile(r"^[ \t]*#\s*EVOLVE-BLOCK-START\b[ \t]*(.*?)[ \t]*$")
_END = re.compile(r"^[ \t]*#\s*EVOLVE-BLOCK-END\b.*$")


@dataclass(frozen=True)
class Part:
    """A stretch of a file. ``name`` is a block's, None for what is fixed."""

    text: str
    name: str | None = None


@dataclass(frozen=True)
class Program:
    """A file cut into its parts; ``source`` puts it together again, byte for byte."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, source: str) -> Program:
        """Cut a file at its markers; raises `ProgramError` for a file that cannot be evolved."""
        parts: list[Part] = []
        lines: list[str] = []
        name: str | None = None
        for number, line in enumerate(source.splitlines(keepends=True), start=1):
            start, end = _START.match(line), _END.match(line)
            if start and name is None:
                parts.append(Part("".join([*lines, line])))
                lines, name = [], start.group(1)
            elif end and name is not None:
                text = "".join(lines)
                parts.append(Part(text, name or _first_name(text, number)))
                lines, name = [line], None
            elif start or end:
                raise ProgramError(f"line {number}: EVOLVE-BLOCK-START and -END must alternate")
            else:
                lines.append(line)
        if name is not None:
            raise ProgramError(f"the block {name!r} has no EVOLVE-BLOCK-END")
        parts.append(Part("".join(lines)))
        program = cls(tuple(parts))
        program._check()
        return program

    @classmethod
    def read(cls, path: str | Path) -> Program:
        """`parse` a file."""
        try:
            return cls.parse(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ProgramError(f"a program must be a Python file: {path}: {error}") from None

    def _check(self) -> None:
        names = [part.name for part in self.parts if part.name is not None]
        if not names:
            raise ProgramError(
                "a program needs at least one block between the lines "
                "'# EVOLVE-BLOCK-START name' and '# EVOLVE-BLOCK-END'"
            )
        if len(set(names)) < len(names):
            raise ProgramError(f"blocks must have different names, got {names}")
        try:
            ast.parse(self.source)
        except SyntaxError as error:
            raise ProgramError(f"line {error.lineno}: {error.msg}") from None

    @cached_property
    def source(self) -> str:
        """The whole file."""
        return "".join(part.text for part in self.parts)

    @property
    def blocks(self) -> Mapping[str, str]:
        """The blocks' texts by name, in the file's order."""
        return {part.name: part.text for part in self.parts if part.name is not None}

    def with_block(self, name: str, text: str) -> Program:
        """The program with one block replaced; not checked."""
        text = text if text.endswith("\n") else text + "\n"
        return Program(
            tuple(replace(part, text=text) if part.name == name else part for part in self.parts)
        )

    @cached_property
    def identity(self) -> str:
        """SHA-256 of what the program means: its syntax tree, without what changes nothing.

        Layout, comments, docstrings and the order of keyword arguments do not count. Raises
        SyntaxError for a program that does not parse.
        """
        return hashlib.sha256(canonical(self.source).encode()).hexdigest()

    def changed(self, other: Program) -> tuple[str, ...]:
        """Names of the blocks whose meaning differs in ``other``."""
        mine, theirs = self.blocks, other.blocks
        return tuple(
            name
            for name, text in mine.items()
            if name in theirs and text != theirs[name] and _differ(text, theirs[name])
        )


def canonical(source: str) -> str:
    """A syntax tree as text, without docstrings and positions, keyword arguments sorted."""
    return ast.dump(_Canonical().visit(ast.parse(source)), annotate_fields=False)


class _Canonical(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if all(keyword.arg is not None for keyword in node.keywords):
            node.keywords.sort(key=lambda keyword: keyword.arg or "")
        return node

    def _without_docstring(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        body: list[ast.stmt] = node.body  # type: ignore[attr-defined]
        kept = [statement for statement in body if not _is_text(statement)]
        node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = _without_docstring


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _differ(one: str, other: str) -> bool:
    try:
        return canonical(one) != canonical(other)
    except SyntaxError:
        return True


def _first_name(text: str, line: int) -> str:
    try:
        names = top_names(text)
    except SyntaxError:
        names = {}
    if not names:
        raise ProgramError(
            f"the block that ends in line {line} has no name and defines nothing: write "
            "'# EVOLVE-BLOCK-START name'"
        )
    return next(iter(names))


def top_names(text: str) -> dict[str, str]:
    """What a block offers to the others: name -> signature.

    A function's or class's signature is its parameters (a class: those of ``__init__`` and
    ``forward``), a variable's is empty. Raises SyntaxError for a text that does not parse.
    """
    names: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names[node.name] = _parameters(node)
        elif isinstance(node, ast.ClassDef):
            names[node.name] = "; ".join(
                f"{method.name}({_parameters(method)})"
                for method in node.body
                if isinstance(method, ast.FunctionDef) and method.name in ("__init__", "forward")
            )
        elif isinstance(node, ast.Assign):
            names |= {target.id: "" for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names[node.target.id] = ""
    return names


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """A function's required parameters: those with a default may come, go and change."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    named = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return ", ".join(
        [one.arg for one in required] + [f"*, {one.arg}" for one, default in named if not default]
    )
