"""Evolutions without Tune: one process trains one candidate after the other."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from raymimic.errors import CandidateError
from raymimic.evolution import Evolution, Objective, Program, Settings, TrainingTask, events
from raymimic.evolution.edits import RANDOM, edit_once
from raymimic.evolution.gates import check
from raymimic.evolution.individuals import Individual
from raymimic.evolution.operators import RULE
from raymimic.evolution.sandbox.client import Runner
from raymimic.evolution.sealed import seal
from raymimic.evolution.smoke import SmokeTest
from raymimic.llm import LLM

OBJECTIVES = (Objective("accuracy", "max"), Objective("parameters", "min"))
_MOST_EDITS = 8  # of the seed in a random candidate


def evolve(
    program: Program,
    task: TrainingTask,
    ledger: Path,
    evaluations: int,
    *,
    llm: LLM | None = None,
    settings: Settings | None = None,
    at_once: int = 1,
    say: Callable[[str], None] = print,
) -> Evolution:
    """Evaluate until ``evaluations`` programs have ended; a ledger that is there goes on.

    An interrupt or SIGTERM ends it before: what was trained by then is kept.

    ``at_once`` children are asked for side by side, the next ones only when the last of them is
    being trained: for a model that is slow to answer, and to answer one after the other.
    """
    made = Evolution(program, OBJECTIVES, llm=llm, task=task, settings=settings, ledger=ledger)
    made.release_running()
    runner = Runner(task)
    pending = waited = False  # is a batch of questions under way; was there time for it
    with until_stopped(say):
        while len(made.state.of_status("done", "failed")) < evaluations and made.why_over is None:
            trial = f"t{len(made.state.individuals)}_{len(made.state.by_trial)}"
            waiting = len(made.state.of_status("waiting"))
            left = evaluations - len(made.state.of_status("done", "failed")) - waiting
            may_ask = waiting <= 1 and (not pending or at_once == 1)
            ahead = min(at_once, left) if may_ask else 0
            found = made.ask(trial, ahead)
            if found is None:
                pending = ahead > 0 or (pending and not (waited and not made.state.plans))
                made.wait(5)
                waited = True
                continue
            waited = False
            pending = not made.state.of_status("waiting") and (pending or ahead > 0)
            say(_told(_train(made, runner, found, trial)))
    runner.close()
    made.close()
    return made


def random_search(
    program: Program,
    task: TrainingTask,
    ledger: Path,
    evaluations: int,
    *,
    seed: int,
    say: Callable[[str], None] = print,
) -> Evolution:
    """The control: each candidate is the seed with one to eight random edits; no selection."""
    made = Evolution(program, OBJECTIVES, settings=Settings(seed=seed), ledger=ledger)
    made.begin()
    made.release_running()
    smoke, runner = SmokeTest(task), Runner(task)
    number = sum(one.children + one.rejected.total() for one in made.state.tally.values())
    with until_stopped(say):
        while len(made.state.of_status("done", "failed")) < evaluations:
            if not made.state.of_status("waiting"):
                _add_random(made, smoke, random.Random(f"{seed}/{number}"), number)
                number += 1
                continue
            found = made.state.of_status("waiting")[0]
            trial = f"t{found.id}"
            made.note(events.individual_start(found.id, trial))
            say(_told(_train(made, runner, found, trial)))
    smoke.close()
    runner.close()
    made.close()
    return made


@contextlib.contextmanager
def until_stopped(say: Callable[[str], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end what is done here, and nothing else."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        say("stopped before the end; the same command goes on with what is missing")
    finally:
        signal.signal(signal.SIGTERM, before)


def _add_random(made: Evolution, smoke: SmokeTest, rng: random.Random, number: int) -> None:
    child, said = made.state.seed, []
    for _ in range(rng.randint(1, _MOST_EDITS)):
        edited = edit_once(child, RANDOM, rng)
        assert edited is not None
        child = edited.program
        said.append(edited.said)
    refused = check(child, made.state.seed, made.state.identities) or smoke.check(child.source)
    if refused is None:
        one = Individual(-1, child.source, RULE, (0,), (), "; ".join(said))
        made.note(events.child(one, number))
    else:
        made.note(
            events.reject(number, RULE, refused.gate, refused.reason, block="", repaired=False)
        )


def _train(made: Evolution, runner: Runner, found: Individual, trial: str) -> Individual:
    curve: list[float] = []
    metrics: dict[str, float] = {}
    error, tested = "", None
    try:
        for epoch in runner.evaluate(found.source):
            metrics = epoch.metrics
            curve.append(metrics["accuracy"])
            if epoch.test_predictions is not None:
                tested = seal(epoch.test_predictions)
    except CandidateError as failure:
        error = f"{failure.reason}: {failure}"
    status = "failed" if error else "done"
    ended = made.tell(trial, metrics, curve, status=status, error=error, test_predictions=tested)
    assert ended is not None
    return ended


def _told(one: Individual) -> str:
    if one.status == "failed":
        return f"{one.id} failed: {one.error.splitlines()[-1]}"
    values = f"{one.values['accuracy']:.3f} @ {one.values['parameters']:,.0f}"
    return f"{one.id} {values} ({one.operator} of {one.parents}) {one.rationale[:70]}"
