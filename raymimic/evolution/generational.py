"""Paper mode: the generations of Guided Evolution as published.

Generation 0 are mutations of the seed, without Evolution of Thought. Each next one: elites by
SPEA2, parents by NSGA-II and tournaments, neighbours crossed in both directions with probability
0.35, each child mutated with probability 0.8; what is neither crossed nor mutated is no new
program. Other than in the published code the seed is an individual, selection sees validation
only, and no program is tried twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from raymimic.evolution import events
from raymimic.evolution.events import Row
from raymimic.evolution.individuals import Individual, Plan, Step
from raymimic.evolution.objectives import losses
from raymimic.evolution.operators import RULE, Known
from raymimic.evolution.planning import Shares, crossover_step, mutation_step, snapshot
from raymimic.evolution.state import State
from raymimic.pareto import select_nsga2, select_spea2, tournament

Family = tuple[tuple[int, ...], list[Step]]
"""A child's parents and the steps that make it."""

START, PARENTS = 144, 44
_MUTATION = 0.8


@dataclass(frozen=True)
class Generational:
    """``start`` mutants of the seed, then generations from ``parents`` parents."""

    shares: Shares
    seed: int
    start: int = START
    parents: int = PARENTS

    def plan(self, state: State, wanted: int, *, keyless: bool) -> list[Row]:
        """Events of the next generation once the last one has ended; none before."""
        del wanted
        if state.plans or state.of_status("waiting", "running"):
            return []
        known = snapshot(state)
        rng = random.Random(f"{self.seed}/generation/{state.generation}/{state.next_plan}")
        members = self._members(state)
        if not members or state.next_plan == 0:
            chances = Shares(self.shares.crossover, 0.0, self.shares.voices)
            made: list[Family] = [
                ((0,), [mutation_step(known, (0,), chances, rng)]) for _ in range(self.start)
            ]
            return self._rows(state, made, 0, keyless=keyless)
        values = losses(members, state.objectives)
        elites = [members[row].id for row in select_spea2(values, self.parents)]
        ordered = [members[row] for row in select_nsga2(values, len(members))]
        rows = tournament(losses(ordered, state.objectives), self.parents, rng)
        parents = [ordered[row].id for row in rows]
        number = state.generation + 1
        made = self._offspring(known, parents, rng)
        return [
            events.generation(number, elites, parents),
            *self._rows(state, made, number, keyless=keyless),
        ]

    def _members(self, state: State) -> list[Individual]:
        """Last generation's measured children, and the elites before them."""
        return [
            one
            for one in state.scored()
            if one.generation == state.generation or one.id in state.elites
        ]

    def _offspring(self, known: Known, parents: list[int], rng: random.Random) -> list[Family]:
        made: list[Family] = [((one,), []) for one in parents]
        for place in range(0, len(parents) - 1, 2):
            if rng.random() >= self.shares.crossover:
                continue
            one, other = parents[place : place + 2]
            for here, pair in ((place, (one, other)), (place + 1, (other, one))):
                step = crossover_step(known, pair, rng)
                if step is not None:
                    made[here] = (pair, [step])
        for family, steps in made:
            if rng.random() < _MUTATION:
                steps.append(mutation_step(known, family, self.shares, rng))
        return [(family, steps) for family, steps in made if steps]

    def _rows(
        self,
        state: State,
        made: list[Family],
        generation: int,
        *,
        keyless: bool,
    ) -> list[Row]:
        if keyless:
            made = [(family[:1], [Step(RULE, "")]) for family, _ in made]
        return [
            events.plan(Plan(state.next_plan + number, family, tuple(steps), generation))
            for number, (family, steps) in enumerate(made)
        ]
