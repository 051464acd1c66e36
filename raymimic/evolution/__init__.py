"""Guided Evolution: programs as candidates, changed block by block, trained in a sandbox."""

from raymimic.evolution.engine import Evolution, Settings
from raymimic.evolution.individuals import Individual
from raymimic.evolution.output import write_results
from raymimic.evolution.planning import Shares
from raymimic.evolution.program import Program
from raymimic.evolution.purse import Budget
from raymimic.evolution.sandbox.limits import Limits
from raymimic.evolution.sealed import test_front
from raymimic.evolution.seeds import seed_program
from raymimic.evolution.task import TrainingTask
from raymimic.records import Objective

__all__ = [
    "Budget",
    "Evolution",
    "Individual",
    "Limits",
    "Objective",
    "Program",
    "Settings",
    "Shares",
    "TrainingTask",
    "seed_program",
    "test_front",
    "write_results",
]
