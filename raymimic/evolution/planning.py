"""How children are made: the shares of the operators, and the steady state.

Shares as published (Morris et al., GECCO 2024, and its code): of two children's parents 35% are
crossed; of mutations 25% are Evolution of Thought, and the others are spread evenly over plain
prompts and three personas.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raymimic.evolution import events
from raymimic.evolution.events import Row
from raymimic.evolution.individuals import Plan, Step
from raymimic.evolution.objectives import losses
from raymimic.evolution.operators import (
    CROSSOVER,
    OPERATORS,
    PERSONAS,
    PLAIN,
    RULE,
    THOUGHT,
    Known,
)
from raymimic.evolution.state import State
from raymimic.pareto import select_nsga2, select_spea2, tournament

# Half of the keyless mutator's children come of those that lead by the first objective: on a front
# of two objectives most individuals are small and weak.
_LEADERS, _DRAWN = 0.5, 5
_ELITES = 10  # individuals whose edits Evolution of Thought learns from, as published


@dataclass(frozen=True)
class Shares:
    """How often each operator is used.

    ``crossover`` is the probability that a child comes of two parents, ``thought`` that a mutation
    is Evolution of Thought; ``voices`` are the relative shares of "plain" and of each persona.

    >>> from raymimic import Shares
    >>> Shares(crossover=0.5).thought
    0.25
    """

    crossover: float = 0.35
    thought: float = 0.25
    voices: Mapping[str, float] = field(
        default_factory=lambda: {PLAIN: 1.0, **dict.fromkeys(PERSONAS, 1.0)}
    )

    def __post_init__(self) -> None:
        unknown = set(self.voices) - {PLAIN, *PERSONAS}
        if unknown or not sum(self.voices.values()) > 0 or min(self.voices.values()) < 0:
            raise ValueError(f"voices must be shares of {[PLAIN, *PERSONAS]}, got {self.voices}")
        if not (0 <= self.crossover <= 1 and 0 <= self.thought <= 1):
            raise ValueError(f"shares must be between 0 and 1, got {self}")


def snapshot(state: State) -> Known:
    """What operators may know of the evolution at this moment."""
    known = state.scored()
    best = select_spea2(losses(known, state.objectives), _ELITES)
    return Known(
        state.seed,
        state.objectives,
        dict(state.individuals),
        tuple(known[row].id for row in best),
        tuple(state.rejections),
        frozenset(state.identities),
    )


def crossover_step(known: Known, parents: tuple[int, ...], rng: random.Random) -> Step | None:
    """A crossover of two parents; None where they are equal."""
    chosen = OPERATORS[CROSSOVER].choose(known, parents, rng)
    return None if chosen is None else Step(CROSSOVER, *chosen)


def mutation_step(
    known: Known, parents: tuple[int, ...], shares: Shares, rng: random.Random
) -> Step:
    """A mutation by Evolution of Thought, or in one of the voices."""
    if rng.random() < shares.thought:
        chosen = OPERATORS[THOUGHT].choose(known, parents, rng)
        if chosen is not None:
            return Step(THOUGHT, *chosen)
    voice = rng.choices(list(shares.voices), list(shares.voices.values()))[0]
    name = PLAIN if voice == PLAIN else f"role play: {voice}"
    chosen = OPERATORS[name].choose(known, parents, rng)
    assert chosen is not None
    return Step(name, *chosen)


@dataclass(frozen=True)
class SteadyState:
    """Each child's parents come from the best individuals so far; nobody waits for a generation.

    ``population`` individuals are kept by NSGA-II; parents win binary tournaments among them.
    """

    shares: Shares
    population: int
    seed: int

    def plan(self, state: State, wanted: int, *, keyless: bool) -> list[Row]:
        """Events that plan ``wanted`` children."""
        known = snapshot(state)
        return [
            events.plan(self._plan(state, known, state.next_plan + number, keyless=keyless))
            for number in range(wanted)
        ]

    def _plan(self, state: State, known: Known, number: int, *, keyless: bool) -> Plan:
        rng = random.Random(f"{self.seed}/plan/{number}")
        first, second = self._parents(state, rng)
        if keyless:
            parent = self._leader(state, rng) if rng.random() < _LEADERS else first
            return Plan(number, (parent,), (Step(RULE, ""),))
        if rng.random() < self.shares.crossover:
            step = crossover_step(known, (first, second), rng)
            if step is not None:
                return Plan(number, (first, second), (step,))
        return Plan(number, (first,), (mutation_step(known, (first,), self.shares, rng),))

    def _leader(self, state: State, rng: random.Random) -> int:
        """The best by the first objective of a few individuals drawn at random."""
        pool = state.scored()
        if not pool:
            return 0
        drawn = rng.sample(range(len(pool)), min(_DRAWN, len(pool)))
        values = losses(pool, state.objectives)[:, 0]
        return pool[min(drawn, key=lambda row: float(values[row]))].id

    def _parents(self, state: State, rng: random.Random) -> Sequence[int]:
        pool = state.scored()
        if not pool:
            return (0, 0)
        values = losses(pool, state.objectives)
        kept = select_nsga2(values, self.population)
        return [pool[kept[row]].id for row in tournament(values[kept], 2, rng)]
