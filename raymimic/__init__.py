"""raymimic: a Ray Tune searcher that reads learning curves and says why.

Everything a user needs is importable from here; `__init__.pyi` names it, and each room is imported
on first use.
"""

from __future__ import annotations

import logging

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"


def _speak() -> None:
    """Show this package's one-line announcements, as Ray and Optuna show theirs.

    A program that sets up logging for itself before the import keeps its own way.
    """
    logger = logging.getLogger("raymimic")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


_speak()
