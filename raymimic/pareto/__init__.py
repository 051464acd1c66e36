"""Several objectives at once: arrays of losses in, indices out. Less is better everywhere."""

from raymimic.pareto.dominance import Front, front, ranks
from raymimic.pareto.hypervolume import boxes, hypervolume, reference_of, volumes
from raymimic.pareto.nsga2 import crowding, select_nsga2, tournament
from raymimic.pareto.spea2 import select_spea2

__all__ = [
    "Front",
    "boxes",
    "crowding",
    "front",
    "hypervolume",
    "ranks",
    "reference_of",
    "select_nsga2",
    "select_spea2",
    "tournament",
    "volumes",
]
