"""`LLMSearcher`: a Ray Tune searcher whose proposals come with a reason.

The controller's thread only pops from a queue and notes results; whoever proposes answers in a
background thread. Whatever fails there, the search goes on, and the ledger says why.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from ray import cloudpickle
from ray.tune.search import Searcher

from raymimic import events
from raymimic.advisor import (
    Advisor,
    StatisticalAdvisor,
    choose_advisor,
    describe_advisor,
    read_lessons,
)
from raymimic.errors import ConfigError
from raymimic.foreign import trace_text
from raymimic.ledger import UPLOADED, Ledger
from raymimic.llm import LLM
from raymimic.records import Config, EpochReport, Mode, Objective
from raymimic.search import checkpoint
from raymimic.search.closing import finish_at_exit
from raymimic.search.elsewhere import add_evaluated
from raymimic.search.question import ProposalInquiry
from raymimic.search.queue import ProposalQueue
from raymimic.search.session import Session
from raymimic.search.state import Queued
from raymimic.summary import Journal
from raymimic.tune import dry_run
from raymimic.tune.arguments import budget_seconds, check_arguments, check_told, most_epochs
from raymimic.tune.blind import FirstScore
from raymimic.tune.domains import RaySpace
from raymimic.tune.given import Constraints, Given, read_constraints
from raymimic.tune.guarded import guarded
from raymimic.tune.objectives import check_agrees, read_objectives
from raymimic.tune.results import ANONYMOUS_METRIC, Reports, config_of, is_mean, seconds_of
from raymimic.tune.steered import Steered
from raymimic.tune.telling import Telling
from raymimic.tune.trainable_text import describe_trainable

logger = logging.getLogger(__name__)


class LLMSearcher(Steered, Telling, Searcher):
    """Searches hyperparameters with an advisor that reads every learning curve.

    Use it as any Ray Tune searcher: ``TuneConfig(search_alg=LLMSearcher())`` or
    ``tune.run(search_alg=LLMSearcher())``. Set ``max_concurrent_trials`` so that Tune asks for
    that many configurations at once.

    >>> from ray import tune
    >>> from raymimic import LLMSearcher
    >>> space = {"lr": tune.loguniform(1e-5, 1.0)}
    >>> searcher = LLMSearcher(space, "loss", "min", llm="none", seed=0)
    >>> searcher.suggest("t1")
    {'lr': 0.001}

    Args:
        space: Search space as Tune's ``param_space``; usually left to Tune.
        metric: Name of the metric; usually left to Tune. A list, with a list of modes, for several
            objectives: the search then looks for the front of trials that no other beats in one
            without losing in another. Tune itself takes one metric: leave it out there, or name
            one of these.
        mode: "min" or "max"; usually left to Tune.
        points_to_evaluate: Configurations to run first, in this order.
        llm: "auto" (a key in ANTHROPIC_API_KEY or OPENAI_API_KEY, a server in OPENAI_BASE_URL,
            else keyless), "none", "anthropic:MODEL", "openai:MODEL", "transformers:FOLDER",
            "llamacpp:FILE.gguf" or an `LLM` object: it shares the trials with a Gaussian process
            (`MixtureAdvisor`). An `Advisor` object is used as it is.
        instruction: What the advisor should know about the task, in your words.
        constraints: ``["width * depth <= 2048", predicate, {"memory_gb": "<= 16"}]``. A text
            compares parameters (arithmetic, comparisons, and, or, not, in), a function gets a
            configuration as the trainable does (its searched part) and returns whether it may be
            tried; both hold for every proposal. A dict limits metrics of the results (<=, <, >=,
            >): the search learns where they are kept, and the best trial keeps them.
        belief: Where you think the best values lie: ``{"lr": (3e-4, 1.0), "opt": "adamw"}`` has
            centre and standard deviation of a number (in decades on a logarithmic scale) and the
            favourite, or a weight each, of categories. It is tried first and guides all proposals
            until results overrule it; published practice that it contradicts is tried second. Of
            other parameters practice, lessons or the model say it.
        lessons: What an earlier search learnt: the file that `write_lessons` (or ``raymimic
            lessons``) wrote, or its text. On a similar space its best ones are tried first.
        batch_size: Configurations a question to a model wants; by default as many as run at once.
        timeout: Longest a question may take, in seconds.
        patience: How long a free slot waits for an answer, in seconds since the question, before
            the statistical proposer stands in. By default a twentieth of what the search is
            expected to take and 30 s at most; the first trial waits for no model.
        seed: Makes the keyless part repeatable.
        ledger: File for the record of all decisions; by default one in the experiment's folder.

    Raises:
        SpaceError, ConfigError: the space, one of ``points_to_evaluate``, ``constraints`` or
            ``belief`` cannot be searched.
        LessonsError: ``lessons`` is no such file.
        LLMSetupError: ``llm`` names no model.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        *,
        llm: str | LLM | Advisor = "auto",
        instruction: str = "",
        constraints: Constraints = (),
        belief: Mapping[str, Any] | None = None,
        lessons: str | os.PathLike[str] | None = None,
        batch_size: int | None = None,
        timeout: float = 60.0,
        patience: float | None = None,
        seed: int | None = None,
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        check_arguments(batch_size, timeout, patience, instruction, seed)
        first, its_mode, self._others = read_objectives(metric, mode)
        super().__init__(metric=first, mode=its_mode)
        self._metric: str | None = first
        self._mode: str | None = its_mode
        seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        proposer = choose_advisor(llm, seed=seed, timeout=timeout)
        self._advised_by = describe_advisor(proposer, llm)
        self._queue = ProposalQueue(
            ProposalInquiry(proposer, timeout),
            ProposalInquiry(StatisticalAdvisor(seed), timeout),
            batch_size=batch_size,
            patience=patience,
        )
        self._space = None if space is None else RaySpace.from_ray(space, whole=True)
        journal = Journal(Ledger.at(ledger, secrets.token_hex(4)))
        learnt = None if lessons is None else read_lessons(lessons)
        searched = None if self._space is None else self._space.space
        self._session = Session(journal, seed, instruction, learnt, belief, space=searched)
        points = [dict(point) for point in points_to_evaluate or ()]
        self._given = Given(points, [], *read_constraints(constraints))
        self.reports = Reports(self._keep, self._epochs)
        self._first_score = FirstScore()
        self._summarised = False
        self.attended = False  # a `RaymimicCallback` is there and will call `finish`
        self.max_t: int | None = None  # epochs after which an `LLMScheduler` ends a training

    # -- what Tune tells before the run --------------------------------------------------------

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric, mode, space and budget from Tune; False if another space was given.

        A second run with the same searcher goes on with what the first has found.
        """
        if self._others:
            check_agrees(self.objectives, metric, mode)
            metric = mode = None
        session, offered = self._session, RaySpace.from_ray(config)
        if offered.space.dimensions and not session.takes(offered.space):
            return False
        self._metric, self._mode = metric or self._metric, mode or self._mode
        most = [known for known in (most_epochs(spec), self.max_t) if known is not None]
        session.limit(spec.get("num_samples"), budget_seconds(spec), min(most, default=None))
        self._summarised = False
        self._space = self._space or offered
        session.space = session.space or self._space.space
        self._given.check(session, self._space)  # what is bad is said before the first trial runs
        if dry_run.is_on():
            session.journal = Journal(Ledger(os.devnull))
            raise dry_run.Reached(self)
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Learn how many trials run at once; Tune's limiter still does the limiting."""
        self._session.concurrency = max_concurrent
        return False

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is optimised; ``metric`` and ``mode`` are those of the first."""
        mode: Mode = "max" if self._mode == "max" else "min"
        return (Objective(self._metric or ANONYMOUS_METRIC, mode), *self._others)

    def _ready(self) -> Session:
        """Return the session; it begins once space, metric and mode are known."""
        session, first = self._session, self.objectives[0]
        self.reports.metric = first.name
        limited = (limit.metric for limit in self.limits)
        self.reports.others = (*(other.name for other in self._others), *limited)
        session.steering.listens = self._queue.advisor.remote
        if session.begun:
            session.listen()
            return session
        check_told(type(self).__name__, self._space, self._metric, self._mode)
        assert self._space is not None
        self._metric = first.name
        logger.info("raymimic: %s. Ledger: %s", self._advised_by, self.ledger.where)
        self._given.check(session, self._space)
        advisor, batch = self._queue.advisor.name, self._queue.batch(session)
        session.begin(first.name, first.mode, advisor, batch, self._others)
        self._given.hand_over(session, self._space)
        session.listen()
        return session

    def _flat(self, nested: Mapping[str, Any]) -> Config:
        """The searched part of a configuration as a user writes it, not yet checked."""
        assert self._space is not None, "nobody asks before the space is known"
        return self._space.flatten(nested)

    # -- proposals -----------------------------------------------------------------------------

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return the next configuration, None while one is on its way, FINISHED if you wished so.

        Raises RuntimeError where space or mode were never given; a fault of ours costs no more than
        a random configuration.
        """
        session, queued = self._ready(), None
        try:
            orders = session.steering.obey(session)
            if orders.ending:
                return self.say_ended()
            queued = None if orders.paused else self._queue.next(session)
            if queued is not None:
                session.start(trial_id, queued)
                self._queue.ask_if_low(session, due=False)
        except Exception as error:  # noqa: BLE001 - raised, it would end the whole experiment
            self.fault("suggest", error)
            if not session.state.knows(trial_id):
                queued = self._start_at_random(session, trial_id)
        if queued is None:
            return None
        assert self._space is not None
        return self._space.nest(queued.proposal.config)

    @guarded
    def _start_at_random(self, session: Session, trial_id: str) -> Queued:
        queued = self._queue.at_random(session, "crash", "the searcher failed")
        session.start(trial_id, queued)
        return queued

    # -- results -------------------------------------------------------------------------------

    @guarded
    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep one epoch of a running trial."""
        session = self._ready()
        if not session.state.knows(trial_id):
            try:
                adopted = session.adopt(self._flat(config_of(result)))
            except ConfigError:
                return  # none of ours
            session.start(trial_id, adopted)
        self.reports.hear("searcher", trial_id, result)

    @guarded
    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Keep a trial's last epoch (it comes only here) and its outcome."""
        session = self._ready()
        session.steering.obey(session)
        state = session.state
        if not state.knows(trial_id):
            return
        # The result of a scheduler's or a criterion's stop comes only here, and a paused trial that
        # is stopped has none; a function that returns has its last result repeated.
        reports = self.reports
        stopped = not error and (not result or reports.is_news("searcher", trial_id, result))
        if result and is_mean(result):  # nobody says when a run of repeated trials is over
            finish_at_exit(self.finish)
        if result:
            reports.last("searcher", trial_id, result)
        reports.forget(trial_id)
        session.end(trial_id, failed=error, trained=seconds_of(result or {}), stopped=stopped)
        if not error:
            named = [objective.name for objective in self.objectives]
            self._first_score.look(named, state.curve(trial_id), result or {}, session.limits)
            # After an error its text comes next (`note_error`): there a question can wait.
            self._queue.trial_ended(session)
        if not session.trials_left and not state.running and not self.attended:
            self.finish()

    def _keep(self, report: EpochReport) -> None:
        state = self._ready().state
        state.record(report.trial_id, report.epoch, report.metrics, report.restarted, report.pace)

    def _epochs(self, trial_id: str) -> int:
        return self._ready().state.epochs(trial_id)

    def on_pause(self, trial_id: str) -> None:
        """A trial waits: nothing to us; `HyperBandForBOHB` needs a searcher that hears it."""

    def on_unpause(self, trial_id: str) -> None:
        """A trial goes on; as `on_pause`."""

    @guarded
    def note_trainable(self, trainable: Any) -> None:
        """Keep what the trainable says of itself, of which Tune tells a searcher nothing."""
        self._session.task = describe_trainable(trainable)

    @guarded
    def note_error(self, trial_id: str, text: str) -> None:
        """Keep the text of a trial's error, which Tune gives `RaymimicCallback` and no searcher."""
        self._ready().note_error(trial_id, text)

    def note(self, event: str, /, **fields: Any) -> None:
        """Keep an event of the `LLMScheduler` that works beside this searcher."""
        self._session.journal.append(event, **fields)

    def fault(self, hook: str, error: Exception) -> None:
        """Keep that raymimic itself failed in a hook; the search goes on without what it did."""
        events.fault(self._session.journal.append, hook=hook, error=error)
        if self.tally.faults.total() == 1:
            trace = trace_text(error)
            logger.warning("raymimic failed in %s (said once; it goes on).\n%s", hook, trace)

    # -- evidence from elsewhere ---------------------------------------------------------------

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float | Sequence[float],
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Add a trial evaluated elsewhere; ``intermediate_values`` are the metric's epochs.

        With several objectives ``value`` has one number for each, in their order.
        Raises `ConfigError` if the point does not fit the space (once the space is known).
        """
        outcome: dict[str, Any] = {
            "value": value,
            "error": error,
            "pruned": pruned,
            "intermediate_values": intermediate_values,
        }
        if self._space is None or self._mode is None:
            self._given.trials.append((dict(parameters), outcome))  # the space comes with the run
        else:
            add_evaluated(self._ready(), self._flat(parameters), **outcome)

    # -- save and restore ----------------------------------------------------------------------

    def save(self, checkpoint_path: str) -> None:
        """Write everything known to ``checkpoint_path``; called by Tune while it runs."""
        own = (self._metric, self._mode, self._others, self._space, self._given)
        checkpoint.save(checkpoint_path, self._session, own, dumps=cloudpickle.dumps)

    @guarded
    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """As Tune's own, but a full disk does not end the run: the last checkpoint stays."""
        if not self.attended:  # nobody else knows the folder: what lies here is uploaded
            self.ledger.settle(checkpoint_dir, UPLOADED)
        super().save_to_dir(checkpoint_dir, session_str)

    def restore(self, checkpoint_path: str) -> None:
        """Take up a saved search; what its ledger knows beyond the checkpoint comes back, too.

        Raises ValueError for a file that is no checkpoint, or one of another layout, `LedgerError`
        for a ledger of another layout, and `SpaceError` where this object was given other
        constraints.
        """
        saved = checkpoint.load(checkpoint_path)
        metric, mode, others, space, given = saved.adapter
        self._given.agree(given)
        self._given = given
        self._others = self._others or others
        self._metric, self._mode = self._metric or metric, self._mode or mode
        self._space = self._space or space
        self._session = checkpoint.resume(saved, offered=self._session)
        self._summarised = False
