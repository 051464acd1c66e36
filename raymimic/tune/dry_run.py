"""Runs a user's script up to the moment its search would begin, and no further.

So the exact first prompt of any script can be shown without spending anything.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raymimic.errors import RaymimicError

_active = False


class Reached(BaseException):
    """Carries the searcher out of the script; no `except Exception` of the script may stop it."""

    def __init__(self, searcher: Any) -> None:
        self.searcher = searcher  # an LLMSearcher, which imports this module


def is_on() -> bool:
    """Whether a dry run is on: the searcher then raises `Reached` once it knows everything."""
    return _active


@contextmanager
def on() -> Iterator[None]:
    """Raise `Reached` where a search would begin inside."""
    global _active  # the script reaches the searcher only through the process
    _active = True
    try:
        yield
    finally:
        _active = False


def searcher_of(script: Path, arguments: Sequence[str] = ()) -> Any:
    """Run ``script`` as its main program until its `LLMSearcher` would begin; return that.

    Raises `RaymimicError` if the script ends without starting a search with an `LLMSearcher`.
    """
    before, sys.argv = sys.argv, [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    try:
        with on():
            runpy.run_path(str(script), run_name="__main__")
    except Reached as reached:
        return reached.searcher
    finally:
        sys.argv = before
        sys.path.remove(str(script.parent))
    raise RaymimicError(
        f"{script} must start a search with LLMSearcher and a non-empty param_space, it ended "
        "without one; give the script that calls Tuner.fit() or tune.run()"
    )
