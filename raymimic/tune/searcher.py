"""`LLMSearcher`: a Ray Tune searcher whose proposals come with a reason.

The controller's thread only pops from a queue and notes results; the advisor (a language model or
the keyless rules) answers in a background thread. Whatever fails there, the search goes on: a slot
that nobody can serve in time gets a random configuration, and the ledger says why.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search import UNDEFINED_METRIC_MODE, UNDEFINED_SEARCH_SPACE, Searcher

from raymimic.advisor import (
    Advisor,
    SearchEvidence,
    TrialRecord,
    choose_advisor,
    describe_advisor,
)
from raymimic.errors import ConfigError
from raymimic.ledger import Ledger
from raymimic.llm import LLM
from raymimic.records import Budget, Config, Mode, Proposal
from raymimic.summary import Tally
from raymimic.tune import dry_run, resume
from raymimic.tune.asking import Asking
from raymimic.tune.domains import RaySpace
from raymimic.tune.evaluated import evaluated_record
from raymimic.tune.feed import Feed
from raymimic.tune.journal import Journal
from raymimic.tune.results import ANONYMOUS_METRIC, config_of, epoch_of, metrics_of, restarted
from raymimic.tune.state import SearchState

logger = logging.getLogger(__name__)

# Tune passes num_samples=-1 as sys.maxsize.
_NO_LIMIT = 2**31


class LLMSearcher(Searcher):
    """Searches hyperparameters with an advisor that reads every learning curve.

    Use it as any Ray Tune searcher: ``TuneConfig(search_alg=LLMSearcher())`` or
    ``tune.run(search_alg=LLMSearcher())``. Set ``max_concurrent_trials`` so that Tune asks for
    that many configurations at once.

    Args:
        space: Search space as Tune's ``param_space``; usually left to Tune.
        metric: Name of the metric; usually left to Tune.
        mode: "min" or "max"; usually left to Tune.
        points_to_evaluate: Configurations to run first, in this order.
        llm: "auto" (a key in ANTHROPIC_API_KEY or OPENAI_API_KEY, a server in OPENAI_BASE_URL,
            else the keyless heuristic), "anthropic:MODEL", "openai:MODEL", "none", or an `LLM` or
            `Advisor` object.
        instruction: What the advisor should know about the task, in your words.
        batch_size: Configurations a question to a model wants; by default as many as run at once.
        timeout: Longest a question may take, in seconds.
        patience: Longest wait in seconds for an answer while no trial runs (Tune hears neither
            Ctrl-C nor its time budget then); after that a random configuration is served.
        seed: Makes fallbacks and the heuristic repeatable.
        ledger: File for the record of all decisions; by default a new one in
            ``~/ray_results/raymimic/``.

    Raises:
        SpaceError, ConfigError: the space or a point in ``points_to_evaluate`` cannot be searched.
        LLMSetupError: ``llm`` names no model.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        *,
        llm: str | LLM | Advisor = "auto",
        instruction: str = "",
        batch_size: int | None = None,
        timeout: float = 60.0,
        patience: float = 30.0,
        seed: int | None = None,
        ledger: str | None = None,
    ) -> None:
        _check_arguments(metric, mode, batch_size, timeout, patience)
        super().__init__(metric=metric, mode=mode)
        self._metric: str | None = metric
        self._mode: str | None = mode
        self._seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        advisor = choose_advisor(llm, seed=self._seed, timeout=timeout)
        self._feed = Feed(
            Asking(advisor, timeout), seed=self._seed, batch_size=batch_size, patience=patience
        )
        self._journal = Journal(Ledger(ledger or resume.default_ledger_path()))
        self._instruction = instruction
        self._points = [dict(point) for point in points_to_evaluate or ()]
        self._given: list[dict[str, Any]] = []
        self._trials_total: int | None = None
        self._seconds_total: float | None = None
        self._seconds_before = 0.0
        self._begun: float | None = None
        self._started_at: dict[str, float] = {}
        self._summarised = False
        self.attended = False  # a `RaymimicCallback` is there and will call `finish`
        self._ray_space: RaySpace | None = None
        self._state: SearchState | None = None
        if space is not None:
            self._ray_space = RaySpace.from_ray(dict(space), whole=True)

    # -- what Tune tells before the run --------------------------------------------------------

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric, mode, space and budget from Tune; False if a space was already given."""
        offered = RaySpace.from_ray(config)
        if self._ray_space is not None and offered.space.dimensions and self._state is None:
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        samples = spec.get("num_samples")
        self._trials_total = samples if samples and 0 < samples < _NO_LIMIT else None
        self._seconds_total = spec.get("time_budget_s")
        if self._ray_space is None:
            self._ray_space = offered
        for point in [*self._points, *(given["parameters"] for given in self._given)]:
            _checked(self._ray_space, point)  # a bad point is said before the first trial runs
        if dry_run.is_on():
            self._journal = Journal(Ledger(os.devnull))
            raise dry_run.Reached(self)
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Learn how many trials run at once; Tune's limiter still does the limiting."""
        self._feed.concurrency = max_concurrent
        return False

    def _ready(self) -> SearchState:
        """Return the search's state; it begins once space, metric and mode are known."""
        if self._state is not None:
            return self._state
        if self._ray_space is None:
            raise RuntimeError(
                UNDEFINED_SEARCH_SPACE.format(cls=type(self).__name__, space="space")
            )
        if self._mode not in ("min", "max"):
            raise RuntimeError(
                UNDEFINED_METRIC_MODE.format(
                    cls=type(self).__name__, metric=self._metric, mode=self._mode
                )
            )
        self._metric = self._metric or ANONYMOUS_METRIC
        mode: Mode = "min" if self._mode == "min" else "max"
        self._state = SearchState(self._ray_space.space, self._metric, mode)
        self._begin(self._state)
        return self._state

    def _begin(self, state: SearchState) -> None:
        advisor = self._feed.asking.advisor
        logger.info("raymimic: %s. Ledger: %s", describe_advisor(advisor), self.ledger.path)
        self._journal.note(
            "search",
            metric=state.metric,
            mode=state.mode,
            advisor=advisor.name,
            space=state.space.to_json(),
            trials_total=self._trials_total,
            seconds_total=self._seconds_total,
            concurrency=self._feed.concurrency,
            batch=self._feed.batch,
            instruction=self._instruction,
            seed=self._seed,
        )
        for point in self._points:
            self._enqueue_point(state, point)
        for given in self._given:
            self._add_evaluated(state, **given)
        self._points, self._given = [], []

    # -- proposals -----------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next configuration, or None while one is on its way."""
        state = self._ready()
        queued = self._feed.next(state, self._journal, self._budget(state), self._instruction)
        if queued is None:
            return None
        state.start(trial_id, queued.proposal)
        self._started_at[trial_id] = time.monotonic()
        self._journal.start(trial_id, queued)
        self._ask_if_low(state, due=False)
        assert self._ray_space is not None
        return self._ray_space.nest(queued.proposal.config)

    def _ask_if_low(self, state: SearchState, *, due: bool) -> None:
        self._feed.ask_if_low(state, self._budget(state), self._instruction, due=due)

    def _budget(self, state: SearchState) -> Budget:
        if self._begun is None:
            self._begun = time.monotonic()
        return Budget(
            trials_total=self._trials_total,
            trials_started=state.started,
            seconds_total=self._seconds_total,
            seconds_used=self._seconds_before + time.monotonic() - self._begun,
            concurrency=self._feed.concurrency,
        )

    # -- results -------------------------------------------------------------------------------

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep one epoch of a running trial."""
        state = self._ready()
        if not state.knows(trial_id) and not self._adopt(state, trial_id, result):
            return
        self._keep(state, trial_id, result)

    def _keep(self, state: SearchState, trial_id: str, result: Mapping[str, Any]) -> None:
        epoch = epoch_of(result) or state.epochs(trial_id) + 1
        state.record(trial_id, epoch, metrics_of(result), restarted(result))

    def _adopt(self, state: SearchState, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Take on a trial that Tune restarted under a new id; False if it is none of ours."""
        assert self._ray_space is not None
        try:
            config = _checked(self._ray_space, config_of(result))
        except ConfigError:
            return False
        proposal = Proposal(config, "restarted by Tune under a new id", "user")
        queued = state.enqueue(proposal, len(state.ended), first=True)
        self._journal.proposal(state.space, queued)
        self._journal.start(trial_id, state.queue.popleft())
        state.start(trial_id, proposal)
        self._started_at[trial_id] = time.monotonic()
        return True

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a trial's last epoch (it comes only here) and its outcome."""
        state = self._ready()
        if not state.knows(trial_id):
            return
        if result:
            self._keep(state, trial_id, result)
        begun = self._started_at.pop(trial_id, time.monotonic())
        record = state.end(trial_id, failed=error, seconds=time.monotonic() - begun)
        if record is not None:
            self._journal.outcome(record)
        everything = self._trials_total is not None and state.started >= self._trials_total
        if not error:  # after an error the text comes next (`note_error`): a question can wait
            self._feed.collect(state, self._journal)
            self._ask_if_low(state, due=not everything)
        if everything and not state.running and not self.attended:
            self.finish()

    def note_error(self, trial_id: str, text: str) -> None:
        """Keep the text of a trial's error: a callback has it, Tune does not give it to searchers.

        Called by `RaymimicCallback`.
        """
        state = self._ready()
        record = state.ended_record(trial_id)
        if record is not None:
            state.put(resume.with_error(record, text))
            self._journal.note("error", trial_id=trial_id, text=text)

    def finish(self) -> str:
        """Write the summary to the ledger and the log (once) and return it."""
        text = self.summary()
        if not self._summarised:
            self._summarised = True
            self._journal.note("summary", text=text)
            self.ledger.flush()
            logger.info("%s", text)
        return text

    # -- evidence from elsewhere ---------------------------------------------------------------

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Add a trial evaluated elsewhere; ``intermediate_values`` are the metric's epochs.

        Raises `ConfigError` if the point does not fit the space (once the space is known).
        """
        given: dict[str, Any] = {
            "parameters": dict(parameters),
            "value": value,
            "error": error,
            "pruned": pruned,
            "intermediate_values": intermediate_values,
        }
        if self._ray_space is None or self._mode is None:
            self._given.append(given)  # the space comes with the run
        else:
            self._add_evaluated(self._ready(), **given)

    def _add_evaluated(
        self, state: SearchState, parameters: dict[str, Any], **outcome: Any
    ) -> None:
        assert self._ray_space is not None
        config = _checked(self._ray_space, parameters)
        record = evaluated_record(state, config, **outcome)
        state.add_evaluated(record)
        self._journal.evaluated(state.space, record)

    def _enqueue_point(self, state: SearchState, point: Mapping[str, Any]) -> None:
        assert self._ray_space is not None
        config = _checked(self._ray_space, point)
        proposal = Proposal(config, "given in points_to_evaluate", "user")
        self._journal.proposal(state.space, state.enqueue(proposal, len(state.ended)))

    # -- what others may read ------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """The record of every decision of this search; ``ledger.path`` is its file."""
        return self._journal.ledger

    @property
    def tally(self) -> Tally:
        """Running totals: trials by source, fallbacks, calls, tokens, cost (`summary.Tally`)."""
        return self._journal.tally

    def trial(self, trial_id: str) -> TrialRecord | None:
        """What is known of a trial: source, rationale, and once ended score and diagnosis."""
        state = self._ready()
        return state.running.get(trial_id) or state.ended_record(trial_id)

    def evidence(self) -> SearchEvidence:
        """All that the advisor would be shown now."""
        state = self._ready()
        return state.view(self._budget(state), self._instruction)()

    def next_question(self) -> tuple[SearchEvidence, int]:
        """The evidence of the next question and how many configurations it would ask for."""
        evidence = self.evidence()
        left = evidence.budget.trials_left
        batch = self._feed.batch
        return evidence, max(1, batch if left is None else min(batch, left))

    def summary(self) -> str:
        """The search so far in plain words."""
        return f"{self._journal.tally.text()}\nLedger: {self.ledger.path}"

    # -- save and restore ----------------------------------------------------------------------

    def save(self, checkpoint_path: str) -> None:
        """Write everything known to ``checkpoint_path``; called by Tune while it runs."""
        resume.save(checkpoint_path, self._snapshot())

    def restore(self, checkpoint_path: str) -> None:
        """Take up a saved search; what its ledger knows beyond the checkpoint comes back, too."""
        self._take_up(resume.load(checkpoint_path))

    def _snapshot(self) -> resume.Snapshot:
        used = time.monotonic() - self._begun if self._begun is not None else 0.0
        return resume.Snapshot(
            metric=self._metric,
            mode=self._mode,
            ray_space=self._ray_space,
            state=self._state,
            journal=self._journal,
            ledger_next=self._journal.ledger.next,
            points=self._points,
            given=self._given,
            seed=self._seed,
            trials_total=self._trials_total,
            seconds_total=self._seconds_total,
            seconds_used=self._seconds_before + used,
        )

    def _take_up(self, saved: resume.Snapshot) -> None:
        self._metric, self._mode = self._metric or saved.metric, self._mode or saved.mode
        self._points, self._given, self._seed = saved.points, saved.given, saved.seed
        self._trials_total = self._trials_total or saved.trials_total
        self._seconds_total = self._seconds_total or saved.seconds_total
        self._seconds_before, self._begun = saved.seconds_used, None
        self._journal, self._summarised = saved.journal, False
        self._ray_space = self._ray_space or saved.ray_space
        self._state = saved.state
        if self._state is not None and self._ray_space is not None:
            resume.bring_up_to_date(self._state, self._ray_space.space, saved)
            logger.info(
                "raymimic: restored %d ended trials, %d running, %d proposals waiting. Ledger: %s",
                len(self._state.ended),
                len(self._state.running),
                len(self._state.queue),
                self.ledger.path,
            )


def _checked(ray_space: RaySpace, nested: Mapping[str, Any]) -> Config:
    """Return a user's own configuration, which must fit as it is; raises `ConfigError`."""
    config, repairs = ray_space.space.check(ray_space.flatten(nested))
    if repairs:
        raise ConfigError(list(repairs))
    return config


def _check_arguments(
    metric: Any, mode: Any, batch_size: int | None, timeout: float, patience: float
) -> None:
    """Raise ValueError for arguments that cannot work."""
    for name, value in (("metric", metric), ("mode", mode)):
        if isinstance(value, (list, tuple)):
            raise ValueError(
                f"LLMSearcher optimises one metric, got {name}={value!r}; "
                "combine several into one number in the trainable"
            )
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1 or None, got {batch_size!r}")
    if timeout <= 0 or patience < 0:
        raise ValueError(
            f"timeout must be above 0 s and patience at least 0 s, got {timeout=}, {patience=}"
        )
