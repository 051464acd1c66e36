"""Whole evolutions under a real Ray Tune: schedulers, restore, kill -9, the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_program
from minds import EditingLLM, rows
from ray import cloudpickle, tune
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler
from tiny_program import PROGRAM, labels_of_test, tiny_task

from raymimic import GuidedEvolutionSearch, LLMScheduler, program_trainable
from raymimic.evolve.run import EvolveSettings, run_evolve

# Workers cannot import these files; their functions travel by value.
cloudpickle.register_pickle_by_value(tiny_program)

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_here", "quiet_ray", "sandboxed")]


@pytest.fixture
def program(tmp_path):
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


def fit(search, trainable, *, samples=6, concurrent=2, scheduler=None, **settings):
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", search_alg=search, num_samples=samples,
            max_concurrent_trials=concurrent, scheduler=scheduler, reuse_actors=True, **settings,
        ),
        run_config=tune.RunConfig(verbose=0),
    ).fit()  # fmt: skip


@pytest.mark.parametrize(
    ("scheduler", "concurrent"),  # each trial at once is a process that imports torch
    [
        (None, 2),
        (ASHAScheduler(time_attr="training_iteration", grace_period=1, max_t=4), 1),
        (HyperBandScheduler(time_attr="training_iteration", max_t=4), 2),
        (LLMScheduler(), 1),
    ],
    ids=["none", "ASHA", "HyperBand", "LLMScheduler"],
)
def test_programs_are_trained_and_scored_under_any_scheduler(
    tmp_path, program, scheduler, concurrent
):
    task = tiny_task(epochs=4)
    search = GuidedEvolutionSearch(
        program, llm=EditingLLM(), task=task, seed=0, ledger=tmp_path / "ledger.jsonl"
    )
    trainable = program_trainable(task, checkpoint=True)
    results = fit(search, trainable, concurrent=concurrent, scheduler=scheduler)
    search.evolution.close()
    state = search.evolution.state
    assert results.num_errors == 0
    assert len(state.of_status("done", "stopped")) == 6, state.individuals
    assert max(one.values["accuracy"] for one in search.front()) > 0.8
    assert all(
        "landlock" in r.metrics["sandbox"] or "bubblewrap" in r.metrics["sandbox"] for r in results
    )
    assert "EDIT_1" in "".join(one.source for one in state.individuals.values())
    if scheduler is None:
        assert search.test_front(labels_of_test())


def test_a_failing_program_ends_its_trial_alone(tmp_path):
    task = tiny_task()
    source = PROGRAM.replace("return self.linear(x)", "return self.linear(x).nothing()")
    (tmp_path / "bad.py").write_text(source)
    # Without a task: the smoke test that would have caught its children is left out.
    bad = GuidedEvolutionSearch(
        tmp_path / "bad.py", llm="none", seed=0, ledger=tmp_path / "bad.jsonl"
    )
    results = fit(bad, program_trainable(task), samples=12)
    assert results.num_errors == 0
    assert len(results) <= 10  # it gives up after eight failures and what was under way
    assert "AttributeError" in bad.evolution.state.individuals[0].error


def test_a_trainable_of_ones_own_under_tune_run(tmp_path, program):
    def train(config):
        length = len(config["program"])
        for epoch in range(2):
            tune.report({"score": length / 1000 + epoch, "length": length})

    search = GuidedEvolutionSearch(
        program, llm=EditingLLM(), objectives=[("length", "min")], seed=0,
        ledger=tmp_path / "ledger.jsonl",
    )  # fmt: skip
    tune.run(
        train, metric="score", mode="max", search_alg=search, num_samples=5,
        max_concurrent_trials=2, verbose=0, config={"constant": 1}, reuse_actors=True,
    )  # fmt: skip
    state = search.evolution.state
    assert len(state.of_status("done")) == 5
    assert [(goal.name, goal.mode) for goal in state.objectives] == [
        ("score", "max"), ("length", "min"),
    ]  # fmt: skip


def test_the_command_shows_a_front_writes_it_and_goes_on(tmp_path, program):
    import numpy as np

    task = tiny_task()
    np.savez(
        tmp_path / "data.npz", x_train=task.x_train, y_train=task.y_train, x_valid=task.x_valid,
        y_valid=task.y_valid, x_test=task.x_test, y_test=labels_of_test(),
    )  # fmt: skip
    said: list[str] = []
    settings = {
        "program": str(program), "data": str(tmp_path / "data.npz"), "llm": "none", "epochs": 2,
        "out": tmp_path / "out", "concurrent": 1,
    }  # fmt: skip
    run_evolve(EvolveSettings(trials=3, **settings), said.append)
    text = "\n".join(said)
    assert "program 0 (seed)" in text
    assert "front: " in text
    assert "test accuracy" in text
    for name in ("evolution.md", "front.svg", "best/program_0000.py", "ledger.jsonl"):
        assert (tmp_path / "out" / name).exists() or name.startswith("best")
    said.clear()
    search = run_evolve(EvolveSettings(trials=4, **settings), said.append)
    assert "holds 3 evaluated programs" in said[0]
    assert len(search.evolution.state.of_status("done")) == 4
    assert len(rows(tmp_path / "out", "individual_start")) == 4


DRIVER = """
import sys
sys.path[:0] = [{here!r}]
from minds import EditingLLM
from tiny_program import tiny_task
import ray
from ray import cloudpickle, tune
from raymimic import GuidedEvolutionSearch
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, address="local")

def train(config):
    import time
    for epoch in range(3):
        time.sleep(0.1)
        tune.report({{"accuracy": len(config["program"]) / 10000 + epoch / 10, "parameters": 1.0}})

search = GuidedEvolutionSearch({program!r}, llm=EditingLLM(), seed=0, ledger={ledger!r})
done = len(search.evolution.state.of_status("done"))
tune.run(train, metric="accuracy", mode="max", search_alg=search, num_samples=8 - done,
         max_concurrent_trials=2, verbose=0, reuse_actors=True)
search.evolution.close()
print("FINISHED", len(search.evolution.state.of_status("done")))
"""


def test_after_kill_9_in_mid_run_nothing_paid_or_evaluated_is_done_again(tmp_path, program):
    script = tmp_path / "driver.py"
    ledger = tmp_path / "ledger.jsonl"
    here = str(Path(__file__).parent)
    script.write_text(DRIVER.format(here=here, program=str(program), ledger=str(ledger)))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": environment}
    first = subprocess.Popen(command, start_new_session=True, **quiet)
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if ledger.exists() and ledger.read_text().count('"individual_end"') >= 3:
            break
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)  # the driver and its Ray
    first.wait()
    done = {row["individual"] for row in rows(tmp_path, "individual_end")}
    assert 3 <= len(done) < 8
    second = subprocess.run(command, timeout=240, check=True, **quiet)
    assert b"FINISHED 8" in second.stdout
    ends = [row["individual"] for row in rows(tmp_path, "individual_end")]
    assert len(ends) == len(set(ends)) == 8
    calls = [(row["plan"], row["step"]) for row in rows(tmp_path, "call")]
    assert len(calls) == len(set(calls))
