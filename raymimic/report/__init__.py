"""Reads a run's ledger and shows it: a page, a live page, stories in words, tables for others.

Ledgers are all it needs, so it works on a finished, a running and a killed run. Imports no Ray.
"""

from raymimic.report.find import find_ledgers
from raymimic.report.reading import read_run
from raymimic.report.run import Run, Trial

__all__ = ["Run", "Trial", "find_ledgers", "read_run"]
