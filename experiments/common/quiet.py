"""Thousands of searches would fill pages."""

from __future__ import annotations

import logging
import warnings


def silence() -> None:
    """No log lines or warnings of the libraries in this process."""
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
