"""The search space: what may be tried, and the only gate through which a configuration enters."""

from raymimic.space.choice import Choice, distinct
from raymimic.space.conditions import Condition, Dimension
from raymimic.space.ranges import FloatRange, IntRange, Normal
from raymimic.space.space import SearchSpace

__all__ = [
    "Choice",
    "Condition",
    "Dimension",
    "FloatRange",
    "IntRange",
    "Normal",
    "SearchSpace",
    "distinct",
]
