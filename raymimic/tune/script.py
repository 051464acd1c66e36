"""Reads a user's script: what it trains and the space it wants searched, by their names."""

from __future__ import annotations

import ast
import runpy
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.tune.search.sample import Domain

from raymimic.curves.pairs import lower_is_better, words_of
from raymimic.errors import RaymimicError
from raymimic.records import Mode, Objective
from raymimic.tune import dry_run
from raymimic.tune.estimators import building, model_space
from raymimic.tune.objectives import read_objectives
from raymimic.tune.plain_space import plain_space
from raymimic.tune.returning import SCORE, reporting

TRAINABLES = ("train_fn", "trainable", "train")
SPACES = ("param_space", "search_space")
_EPOCHS = ("epochs", "num_epochs", "n_epochs", "max_epochs")
_LISTED = 8  # names of the script that an error shows


@dataclass(frozen=True)
class Script:
    """What a script defines.

    ``returns``: the training function returns its whole result at the end, so nothing can be
    stopped early; ``trainable`` reports it to Tune. ``objectives`` is empty where no metric is
    named. ``epochs`` is None where the script does not say how long a training is.
    """

    path: Path
    name: str
    trainable: Any
    space: dict[str, Any]
    returns: bool
    objectives: tuple[Objective, ...]
    epochs: int | None

    @property
    def goal(self) -> str:
        """What is searched for, in words."""
        better = {"min": "lower is better", "max": "higher is better"}
        if len(self.objectives) == 1:
            return f"{self.objectives[0].name}, {better[self.objectives[0].mode]}"
        return " and ".join(f"{one.name} ({better[one.mode]})" for one in self.objectives)


def read_script(path: Path, metric: str | None = None, mode: str | None = None) -> Script:
    """Run ``path`` as a module (``__name__`` is not "__main__") and take what it defines.

    The trainable is called `train_fn`, `trainable` or `train`; the space `param_space` or
    `search_space`, else it is made from `model`. ``metric`` and ``mode`` go before the script's own
    `metric`, `mode` and `minimize`; several are divided by commas. Raises `RaymimicError` where one
    is missing or the script fails.
    """
    names = _run(path)
    name = next((one for one in TRAINABLES if callable(names.get(one))), None)
    if name is None:
        raise RaymimicError(_missing(path, "the training: a function", TRAINABLES, names, callable))
    trainable, returns = names[name], _returns_a_value(path, name)
    objectives = _objectives(names, metric, mode, returns=returns)
    space = _space(path, names)
    if "model" in names and not any(one in names for one in SPACES):
        trainable = building(names["model"], trainable)
    return Script(
        path=path,
        name=name,
        trainable=reporting(trainable, objectives[0].name) if returns else trainable,
        space=space,
        returns=returns,
        objectives=objectives,
        epochs=_epochs(names, space),
    )


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RaymimicError(f"{path} must be a Python file, there is none of this name")
    folder = str(path.parent.absolute())
    sys.path.insert(0, folder)
    try:
        with dry_run.on():
            return runpy.run_path(str(path), run_name=path.stem)
    except dry_run.Reached:
        raise RaymimicError(
            f"{path} starts a search itself: run it as `python {path}`, or put the search under "
            '`if __name__ == "__main__":`'
        ) from None
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
        where = f"line {getattr(error, 'lineno', None) or line}"
        raise RaymimicError(
            f"{path} fails at {where} before anything is trained: {type(error).__name__}: {error}"
        ) from error


def _space(path: Path, names: Mapping[str, Any]) -> dict[str, Any]:
    for name in SPACES:
        space = names.get(name)
        if isinstance(space, Mapping) and space:
            return dict(space) if _has_domain(space) else plain_space(space)
    if names.get("model") is not None:
        return model_space(names["model"])
    raise RaymimicError(
        _missing(path, "what to search: a dict", SPACES, names, lambda v: isinstance(v, dict))
    )


def _has_domain(space: Mapping[str, Any]) -> bool:
    return any(
        isinstance(value, Domain) or (isinstance(value, Mapping) and _has_domain(value))
        for value in space.values()
    )


def _missing(path: Path, what: str, wanted: tuple[str, ...], names: Any, fits: Any) -> str:
    own = [n for n, value in names.items() if not n.startswith("_") and fits(value)]
    shown = ", ".join(own[:_LISTED]) or "nothing of the kind"
    return (
        f"{path} must define {what} named {' or '.join(wanted)}; it has {shown}. For example "
        'search_space = {"lr": (1e-5, 1e-1)} and def train_fn(config): return {"score": loss}'
    )


def _returns_a_value(path: Path, name: str) -> bool:
    """Whether the script's function of this name returns something itself."""
    for node in ast.parse(path.read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return any(isinstance(one, ast.Return) and one.value for one in _own(node))
    return False


def _own(function: ast.FunctionDef) -> list[ast.AST]:
    """The statements of a function without those of functions inside it."""
    inside: list[ast.AST] = list(function.body)
    for node in inside:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            inside.extend(ast.iter_child_nodes(node))
    return inside


def _objectives(
    names: Mapping[str, Any], metric: str | None, mode: str | None, *, returns: bool
) -> tuple[Objective, ...]:
    """What trials are judged by; a mode that nobody gives goes by the metric's name."""
    metrics = _listed(metric) or _listed(names.get("metric")) or [SCORE] * returns
    modes: list[str] = _listed(mode) or _listed(names.get("mode"))
    if not modes and isinstance(names.get("minimize"), bool):
        modes = ["min" if names["minimize"] else "max"]
    modes = modes or [_mode_by_name(one) for one in metrics]
    if not metrics:
        return ()
    if len(modes) != len(metrics):
        raise RaymimicError(
            f"there must be one mode for each metric, got {', '.join(modes)} for "
            f"{', '.join(metrics)}: --mode min,max or mode = [...] in the script, or none at all, "
            "and each goes by its name"
        )
    try:
        first, its_mode, others = read_objectives(metrics, modes)
    except ValueError as error:
        raise RaymimicError(str(error)) from None
    assert first is not None, "there is a metric"
    return (Objective(first, "min" if its_mode == "min" else "max"), *others)


def _listed(value: Any) -> list[str]:
    """Names that a user gave as a text with commas, or as a list; empty for anything else."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(one, str) for one in parts):
        return []
    return [one.strip() for one in parts if one.strip()]


def _mode_by_name(metric: str) -> Mode:
    # A bare score: neuropt's rule.
    return "min" if metric == SCORE or lower_is_better(words_of(metric)) else "max"


def _epochs(names: Mapping[str, Any], space: Mapping[str, Any]) -> int | None:
    for place in (space, names):
        for name, value in place.items():
            whole = isinstance(value, int) and not isinstance(value, bool)
            if name.lower() in _EPOCHS and whole and value > 0:
                return int(value)
    return None
