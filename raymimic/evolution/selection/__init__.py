"""Selection by several objectives: arrays of losses in, indices out. Less is better everywhere."""

from raymimic.evolution.selection.hypervolume import hypervolume
from raymimic.evolution.selection.nsga2 import crowding, select_nsga2, tournament
from raymimic.evolution.selection.pareto import front, ranks
from raymimic.evolution.selection.spea2 import select_spea2

__all__ = [
    "crowding",
    "front",
    "hypervolume",
    "ranks",
    "select_nsga2",
    "select_spea2",
    "tournament",
]
