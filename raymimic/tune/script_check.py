"""``raymimic check``: one epoch of a script's training, and what a search of it would take."""

from __future__ import annotations

import ast
import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ray import tune

from raymimic.advisor import build_request
from raymimic.curves import find_pair
from raymimic.curves.pairs import is_test, role_of
from raymimic.errors import RaymimicError
from raymimic.llm import PROVIDERS, cost, estimate_tokens, resolve_llm
from raymimic.records import Objective
from raymimic.space.reading import brief
from raymimic.summary import duration, show
from raymimic.tune.local_ray import start_ray
from raymimic.tune.results import BOOKKEEPING, number_of
from raymimic.tune.script import Script, read_script
from raymimic.tune.script_run import RunSettings, prepare, unknown_metric
from raymimic.tune.searcher import LLMSearcher


@dataclass
class _First(tune.Callback):
    """What the trial has reported: the first time, or all of it where it returns a result."""

    result: dict[str, Any] | None = None

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Mapping[str, Any], **info: Any
    ) -> None:
        del iteration, trials, trial, info
        self.result = {**(self.result or {}), **result}


def check_script(settings: RunSettings, epochs: int | None, limit: float) -> Iterator[str]:
    """Yield what is found out, line by line; ``limit`` is the most seconds the epoch may take.

    Raises `RaymimicError` where the script cannot be searched, or its training fails or does not
    report within ``limit``.
    """
    script = read_script(settings.script, settings.metric, settings.mode)
    yield f"{script.path}: {script.name} is trained, {', '.join(script.space)} are given"
    prepare(script)
    slots = min(settings.concurrent or start_ray(), settings.trials)
    start_ray()
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        named = script.objectives or (Objective("score", "min"),)
        searcher = LLMSearcher(
            script.space, [one.name for one in named], [one.mode for one in named],
            llm="none", seed=0,
            ledger=Path(folder) / "ledger.jsonl",
        )  # fmt: skip
        evidence, wanted = searcher.next_question()
        config = searcher.suggest("check") or {}
        yield "Trying it with " + ", ".join(f"{k}={show(config[k])}" for k in config)
        first = _train(script, config, limit, Path(folder))
    assert first.result is not None
    reported = _reported(first.result)
    yield from _described(reported)
    yield from _judged(script, reported)
    unread = _unread(script)
    if unread:
        yield f"Warning: {script.path} names {', '.join(unread)} in the space alone: is it read?"
    yield _time(script, first, epochs, settings.trials, slots)
    yield _price(build_request(evidence, wanted), wanted, settings)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines of a search that is none, and of a failure that is said in our words."""
    loggers = {logging.getLogger("raymimic"): logging.WARNING}
    loggers[logging.getLogger("ray.tune.tune")] = logging.CRITICAL
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)


def _train(script: Script, config: dict[str, Any], limit: float, folder: Path) -> _First:
    """Train one configuration until its first report (to its end, if it returns one)."""
    first = _First()
    stop = {} if script.returns else {"training_iteration": 1}
    grid = tune.Tuner(
        script.trainable,
        param_space=config,
        tune_config=tune.TuneConfig(num_samples=1, time_budget_s=limit),
        run_config=tune.RunConfig(
            name="check", storage_path=str(folder), callbacks=[first], stop=stop, verbose=0
        ),
    ).fit()
    if first.result is None:
        error = str(grid.errors[0]).strip().splitlines()[-1] if grid.errors else ""
        if not error:
            raise RaymimicError(
                f"{script.name} must report within {duration(limit)}, nothing came; give it longer "
                "with --seconds, or let it report after less work"
            )
        raise RaymimicError(f"{script.name} fails: {error}{_cure(error, config)}")
    return first


def _cure(error: str, config: Mapping[str, Any]) -> str:
    """For a key that the configuration does not have: what it has."""
    if not error.startswith("KeyError: "):
        return ""
    with contextlib.suppress(ValueError, SyntaxError):
        key = ast.literal_eval(error.removeprefix("KeyError: "))
        alike = get_close_matches(str(key), config, 1)
        meant = f"; did you mean {alike[0]}?" if alike else ""
        return f": if that is a setting, the space has {', '.join(config)} only{meant}"
    return ""


def _reported(result: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What the user's code reported, nested names joined by "/"."""
    found: dict[str, Any] = {}
    for key, value in result.items():
        name = f"{prefix}{key}"
        if name == "config" or name in BOOKKEEPING:
            continue
        found |= _reported(value, f"{name}/") if isinstance(value, Mapping) else {name: value}
    return found


def _described(reported: Mapping[str, Any]) -> Iterator[str]:
    yield "Reported:" if reported else "Reported: nothing"
    width = max(map(len, reported), default=0)
    for name, value in reported.items():
        number = number_of(value)
        kind = f"{type(value).__name__}, not a number" if number is None else "number"
        shown = brief(value, 30) if number is None else show(number)
        yield f"  {name:<{width}}  {shown}  ({kind})"


def _judged(script: Script, reported: Mapping[str, Any]) -> Iterator[str]:
    """What is to be said of the metric and of the pairs of training and validation readings."""
    numbers = tuple(name for name, value in reported.items() if number_of(value) is not None)
    held_out = [name for name in numbers if role_of(name) == "held_out" and not is_test(name)]
    if not script.objectives:
        choose = ", ".join(held_out or numbers) or "a number that the training reports"
        yield f"Warning: no metric is named; --metric NAME, for example {choose}"
    elif all(one.name in numbers for one in script.objectives):
        yield f"{'Metric' if len(script.objectives) == 1 else 'Metrics'}: {script.goal}"
    for metric in (one.name for one in script.objectives):
        if metric not in reported:
            yield f"Warning: {unknown_metric(metric, list(numbers))}"
        elif metric not in numbers:
            yield f"Warning: the metric {metric} must be a number, got {brief(reported[metric])}"
        yield from _role(metric)
    if not held_out:
        yield 'Warning: no validation metric by its name ("val_loss", "valid/acc", "eval_loss")'
    pair = find_pair(numbers, script.objectives[0].name if script.objectives else "")
    if pair is None:
        yield "Warning: no pair of a training and a validation metric: overfitting stays unseen"
    else:
        yield f"Pair: {pair.train} with {pair.held_out}; overfitting is read from it"


def _role(metric: str) -> Iterator[str]:
    """What a metric's name says against choosing by it."""
    if is_test(metric):
        yield (
            f"Warning: {metric} is a test metric by its name: what is chosen by it has no test "
            "left; split validation data off the training data"
        )
    elif role_of(metric) == "train":
        yield f"Warning: {metric} is measured on training data: the search would reward overfitting"


def _unread(script: Script) -> list[str]:
    """Keys of the space that the script's text names but once: where the space is written."""
    nodes = list(ast.walk(ast.parse(script.path.read_bytes())))
    if any(_hands_on(node) for node in nodes):
        return []
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [key for key in script.space if texts.count(key) == 1]


def _hands_on(node: ast.AST) -> bool:
    """Whether other code, which we do not see, gets a whole configuration."""
    if isinstance(node, ast.keyword):
        return node.arg is None or _is_config(node.value)  # f(**config), f(settings=config)
    return isinstance(node, ast.Call) and any(map(_is_config, node.args))


def _is_config(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("config", "cfg", "params")


def _time(script: Script, first: _First, epochs: int | None, trials: int, slots: int) -> str:
    assert first.result is not None
    seconds = float(first.result.get("time_total_s", 0.0))
    rounds = -(-trials // slots)
    if script.returns:
        whole = f"A training took {_about(seconds)}"
        return (
            f"{whole}; {trials} trials, {slots} at once: {_about(seconds * rounds)}, and the time "
            "that processes take to start"
        )
    said = f"The first epoch took {_about(seconds)}, what comes once before it included"
    epochs = epochs or script.epochs
    if epochs is None:
        return f"{said}; --epochs N says what the search would take"
    return (
        f"{said}; {epochs} epochs, {trials} trials, {slots} at once: "
        f"{_about(seconds * epochs * rounds)}, less what is stopped early, and the time that "
        "processes take to start"
    )


def _about(seconds: float) -> str:
    return "less than a second" if seconds < 1 else f"about {duration(seconds)}"


def _price(request: Any, wanted: int, settings: RunSettings) -> str:
    """The bill of all questions, as large as the first one: later ones show more trials."""
    llm = resolve_llm(settings.llm)
    model = llm.model if llm is not None else PROVIDERS["anthropic"].provider.model
    questions = -(-settings.trials // wanted)
    tokens = estimate_tokens(request.system + request.user)
    price = cost(model, tokens, request.max_tokens)
    paid = "of unknown price" if price is None else f"about ${price * questions:.4f}"
    said = "No model is set, nothing is paid; with" if llm is None else "With"
    return (
        f"{said} {model}: {questions} questions to propose, the first of about {tokens:,} tokens "
        f"and at most {request.max_tokens:,} back: {paid} (later ones are longer, answers shorter)"
    )
