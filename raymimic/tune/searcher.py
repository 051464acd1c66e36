"""`LLMSearcher`: a Ray Tune searcher whose proposals come with a reason.

The controller's thread only pops from a queue and notes results; the advisor (a language model or
the keyless rules, mixed with Optuna's samplers) answers in a background thread. Whatever fails
there, the search goes on: the samplers stand in for a model that failed, a slot that nobody can
serve in time gets a random configuration, and the ledger says why.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray.tune.search import UNDEFINED_METRIC_MODE, UNDEFINED_SEARCH_SPACE, Searcher

from raymimic.advisor import (
    Advisor,
    SearchEvidence,
    StatisticalAdvisor,
    TrialRecord,
    choose_advisor,
    describe_advisor,
    lessons_text,
    question_to_guide,
    read_lessons,
    write_lessons_file,
)
from raymimic.curves import Curve, CurveHistory
from raymimic.foreign import without_secrets
from raymimic.ledger import Ledger
from raymimic.llm import LLM
from raymimic.records import EpochReport, Mode
from raymimic.search import checkpoint as resume
from raymimic.search.journal import Journal
from raymimic.search.question import Asking
from raymimic.search.queue import Feed
from raymimic.search.session import Session
from raymimic.search.state import Queued, SearchState
from raymimic.summary import Tally
from raymimic.tune import dry_run
from raymimic.tune.arguments import check_arguments
from raymimic.tune.domains import RaySpace
from raymimic.tune.guarded import guarded
from raymimic.tune.results import (
    ANONYMOUS_METRIC,
    Reports,
    config_of,
    epoch_of,
    seconds_of,
)

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
            else the keyless heuristic), "anthropic:MODEL", "openai:MODEL", "none", or an `LLM`
            object: each shares the trials with Optuna's samplers (`MixtureAdvisor`). An `Advisor`
            object is used as it is.
        instruction: What the advisor should know about the task, in your words.
        lessons: What an earlier search learnt: the file that `write_lessons` (or ``raymimic
            lessons``) wrote, or its text. On a similar space its best configurations are tried
            first by the keyless advisor; a model reads all of it.
        batch_size: Configurations a question to a model wants; by default as many as run at once.
        timeout: Longest a question may take, in seconds.
        patience: How long a free slot waits for an answer, in seconds since the question; after
            that the statistical proposer stands in. (While no trial runs, Tune hears neither Ctrl-C
            nor its time budget.) By default a twentieth of what the search is expected to take and
            30 s at most, and the first trial of a search waits for no model: a model that hangs
            costs no more than that.
        seed: Makes fallbacks and the heuristic repeatable.
        ledger: File for the record of all decisions; by default a new one in
            ``~/ray_results/raymimic/``.

    Raises:
        SpaceError, ConfigError: the space or a point in ``points_to_evaluate`` cannot be searched.
        LessonsError: ``lessons`` is no such file.
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
        lessons: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
        timeout: float = 60.0,
        patience: float | None = None,
        seed: int | None = None,
        ledger: str | None = None,
    ) -> None:
        check_arguments(metric, mode, batch_size, timeout, patience)
        super().__init__(metric=metric, mode=mode)
        self._metric: str | None = metric
        self._mode: str | None = mode
        seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        self._session = Session(
            journal=Journal(Ledger(ledger or resume.default_ledger_path())),
            seed=seed,
            instruction=instruction,
            points=[dict(point) for point in points_to_evaluate or ()],
            lessons=None if lessons is None else read_lessons(lessons),
            ray_space=None if space is None else RaySpace.from_ray(dict(space), whole=True),
        )
        self._feed = Feed(
            Asking(choose_advisor(llm, seed=seed, timeout=timeout), timeout),
            Asking(StatisticalAdvisor(seed), timeout),
            batch_size=batch_size,
            patience=patience,
        )
        self.reports = Reports(self._keep, self._epochs)
        self._started_at: dict[str, float] = {}
        self._summarised = False
        self.attended = False  # a `RaymimicCallback` is there and will call `finish`

    # -- what Tune tells before the run --------------------------------------------------------

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric, mode, space and budget from Tune; False if another space was given.

        A second run with the same searcher goes on with what the first has found.
        """
        session, offered = self._session, RaySpace.from_ray(config)
        if offered.space.dimensions and not session.takes(offered.space):
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        samples: int = spec.get("num_samples") or _NO_LIMIT
        before = session.state.started if session.state else 0
        session.trials_total = before + samples if 0 < samples < _NO_LIMIT else None
        self._summarised = False
        session.seconds_total = spec.get("time_budget_s")
        session.ray_space = session.ray_space or offered
        for point in [*session.points, *(given["parameters"] for given in session.given)]:
            session.config_of(point)  # a bad point is said before the first trial runs
        if dry_run.is_on():
            session.journal = Journal(Ledger(os.devnull))
            raise dry_run.Reached(self)
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Learn how many trials run at once; Tune's limiter still does the limiting."""
        self._session.concurrency = max_concurrent
        return False

    def _ready(self) -> SearchState:
        """Return the search's state; it begins once space, metric and mode are known."""
        session = self._session
        if session.state is not None:
            return session.state
        name = type(self).__name__
        if session.ray_space is None:
            raise RuntimeError(UNDEFINED_SEARCH_SPACE.format(cls=name, space="space"))
        if self._mode is None:
            raise RuntimeError(
                UNDEFINED_METRIC_MODE.format(cls=name, metric=self._metric, mode=self._mode)
            )
        self._metric = self._metric or ANONYMOUS_METRIC
        advisor = self._feed.asking.advisor
        logger.info("raymimic: %s. Ledger: %s", describe_advisor(advisor), self.ledger.path)
        mode: Mode = "min" if self._mode == "min" else "max"
        return session.begin(self._metric, mode, advisor, self._feed.batch(session.concurrency))

    # -- proposals -----------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next configuration, or None while one is on its way."""
        state, session = self._ready(), self._session
        try:
            queued = self._feed.next(session, state)
        except Exception as error:  # noqa: BLE001 - raised, it would end the whole experiment
            self.fault("suggest", error)
            queued = self._feed.at_random(session, state, "crash", "the searcher failed")
        if queued is None:
            return None
        self._start(state, trial_id, queued)
        self._ask_ahead()
        assert session.ray_space is not None
        return session.ray_space.nest(queued.proposal.config)

    @guarded
    def _ask_ahead(self) -> None:
        self._feed.ask_if_low(self._session, self._ready(), due=False)

    def _start(self, state: SearchState, trial_id: str, queued: Queued) -> None:
        state.start(trial_id, queued.proposal)
        self._started_at[trial_id] = time.monotonic()
        self._session.journal.start(trial_id, queued)

    # -- results -------------------------------------------------------------------------------

    @guarded
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep one epoch of a running trial."""
        state = self._ready()
        if not state.knows(trial_id):
            adopted = self._session.adopt(state, config_of(result))
            if adopted is None:
                return
            self._start(state, trial_id, adopted)
        self.reports.hear("searcher", trial_id, self._numbered(trial_id, result))

    @guarded
    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a trial's last epoch (it comes only here) and its outcome."""
        state, session = self._ready(), self._session
        if not state.knows(trial_id):
            return
        # The result of a scheduler's or a criterion's stop comes only here, and a paused trial that
        # is stopped has none; a function that returns has its last result repeated.
        news = not result or self.reports.is_news("searcher", trial_id, result)
        stopped = not error and news
        if result:
            self.reports.last("searcher", trial_id, self._numbered(trial_id, result))
        self.reports.forget(trial_id)
        begun = self._started_at.pop(trial_id, None)
        # One that began before a restore: Tune knows how long it trained.
        trained = seconds_of(result or {})
        seconds = trained if begun is None else time.monotonic() - begun
        record = state.end(trial_id, failed=error, seconds=seconds, stopped=stopped)
        if record is not None:
            session.journal.outcome(record)
        if not error:  # after an error its text comes next (`note_error`): a question can wait
            self._feed.trial_ended(session, state)
        if session.all_started and not state.running and not self.attended:
            self.finish()

    def _keep(self, report: EpochReport) -> None:
        """Add an epoch to its trial's curve."""
        self._ready().record(report.trial_id, report.epoch, report.metrics, report.restarted)

    def _epochs(self, trial_id: str) -> int:
        return self._ready().epochs(trial_id)

    def _numbered(self, trial_id: str, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """The result with its epoch, where Tune does not say it."""
        name = self.reports.time_attr
        known = epoch_of(result, name) is not None
        return result if known else {**result, name: self._epochs(trial_id) + 1}

    @guarded
    def note_error(self, trial_id: str, text: str) -> None:
        """Keep the text of a trial's error: a callback has it, Tune does not give it to searchers.

        Called by `RaymimicCallback`.
        """
        state = self._ready()
        record = state.ended_record(trial_id)
        if record is not None:
            text = without_secrets(text)
            state.put(replace(record, error=text))
            self._session.journal.note("error", trial_id=trial_id, text=text)

    def note(self, event: str, **fields: Any) -> None:
        """Keep an event of the `LLMScheduler` that works beside this searcher."""
        self._session.journal.note(event, **fields)

    def fault(self, hook: str, error: Exception) -> None:
        """Keep that raymimic itself failed in a hook; the search goes on without what it did."""
        self._session.journal.note("fault", hook=hook, text=f"{type(error).__name__}: {error}")
        if self.tally.faults.total() == 1:
            logger.warning(
                "raymimic failed in %s (said once; the search goes on).", hook, exc_info=error
            )

    def finish(self) -> str:
        """Write the summary to the ledger and the log (once) and return it."""
        session = self._session
        if self._summarised:
            return self.summary()
        self._summarised = True
        if session.state is not None:
            for record in session.evidence(session.state).running:
                session.journal.unfinished(record)
        text = self.summary()
        session.journal.note("summary", text=text)
        self.ledger.flush()
        logger.info("%s", text)
        return text

    def write_lessons(self, path: str | os.PathLike[str]) -> None:
        """Write what this search learnt to ``path``, for people and for ``lessons=`` of the next.

        A Markdown file of at most about 6,000 characters; one that is there is replaced. Raises
        `LessonsError` before any trial has ended.
        """
        write_lessons_file(path, lessons_text(self.evidence()))

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
        if self._session.ray_space is None or self._mode is None:
            self._session.given.append(given)  # the space comes with the run
        else:
            self._session.add_evaluated(self._ready(), **given)

    # -- what others may read ------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger:
        """The record of every decision of this search; ``ledger.path`` is its file."""
        return self._session.journal.ledger

    @property
    def tally(self) -> Tally:
        """Running totals: trials by source, fallbacks, calls, tokens, cost (`summary.Tally`)."""
        return self._session.journal.tally

    def trial(self, trial_id: str) -> TrialRecord | None:
        """What is known of a trial: source, rationale, and once ended score and diagnosis."""
        state = self._ready()
        return state.running.get(trial_id) or state.ended_record(trial_id)

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch of a trial reported so far, None before the first."""
        history = self._ready().history
        return history.curve(trial_id) if trial_id in history else None

    @property
    def history(self) -> CurveHistory:
        """Every epoch that was reported since the search began, or was restored and runs on."""
        return self._ready().history

    def evidence(self) -> SearchEvidence:
        """All that the advisor would be shown now."""
        return self._session.evidence(self._ready())

    def next_question(self) -> tuple[SearchEvidence, int]:
        """The evidence of the next question and how many configurations it would ask for."""
        evidence = self.evidence()
        wanted = evidence.budget.cap(self._feed.batch(self._session.concurrency))
        return question_to_guide(evidence, wanted, self._session.seed)

    def summary(self) -> str:
        """The search so far in plain words."""
        return f"{self.tally.text()}\nLedger: {self.ledger.path}"

    # -- save and restore ----------------------------------------------------------------------

    def save(self, checkpoint_path: str) -> None:
        """Write everything known to ``checkpoint_path``; called by Tune while it runs."""
        resume.save(checkpoint_path, self._session, self._metric, self._mode)

    @guarded
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As Tune's own, but a full disk does not end the run: the last checkpoint stays."""
        super().save_to_dir(checkpoint_dir, session_str)

    def restore(self, checkpoint_path: str) -> None:
        """Take up a saved search; what its ledger knows beyond the checkpoint comes back, too."""
        saved = resume.load(checkpoint_path)
        self._metric, self._mode = self._metric or saved.metric, self._mode or saved.mode
        self._session = resume.take_up(saved, offered=self._session)
        self._summarised = False
        if self._session.state is not None:
            logger.info(
                "raymimic: restored %d ended trials, %d running, %d proposals waiting. Ledger: %s",
                len(self._session.state.ended),
                len(self._session.state.running),
                len(self._session.state.queue),
                self.ledger.path,
            )
