"""The frozen records that pass between rooms."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Config = dict[str, Any]
"""A configuration: flat dimension name ("model/width") -> the user's own value object."""

Mode = Literal["min", "max"]
Source = Literal["llm", "heuristic", "statistical", "random", "user"]
TrialStatus = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Proposal:
    """One configuration to try, and why.

    ``expected`` is the metric's predicted final value, where the advisor states one.
    ``repairs`` says in words what had to be mended in the advisor's own configuration.

    >>> from raymimic import Proposal
    >>> Proposal({"lr": 1e-3}, "Adam's default", "user").expected is None
    True
    """

    config: Config
    rationale: str
    source: Source
    expected: float | None = None
    repairs: tuple[str, ...] = ()

    def checked(self, mended: tuple[Config, tuple[str, ...]]) -> Proposal:
        """The proposal with what `SearchSpace.check` made of its configuration."""
        config, repairs = mended
        return replace(self, config=config, repairs=self.repairs + repairs)


@dataclass(frozen=True)
class Knob:
    """A number that a training loop reads each time it needs it, so that it can be steered.

    ``start`` is its value until the first change (``low`` if not given), ``meaning`` tells an
    advisor what turning it up does. Raises ValueError for bounds that hold no value.

    >>> from raymimic import Knob
    >>> Knob(0.0, 0.6, "share of units dropped", start=0.1).value
    0.1
    """

    low: float
    high: float
    meaning: str = ""
    start: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a knob needs finite low < high, got {self.low!r} and {self.high!r}")
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"a knob must start within [{self.low:g}, {self.high:g}], got {self.start!r}"
            )

    @property
    def value(self) -> float:
        """The value it starts with."""
        return self.low if self.start is None else self.start


@dataclass(frozen=True)
class Objective:
    """A metric's name in the result, and whether more or less of it is better.

    >>> from raymimic import Objective
    >>> Objective("accuracy", "max").loss({"accuracy": 0.9})
    -0.9
    """

    name: str
    mode: Mode

    def loss(self, values: Mapping[str, float]) -> float:
        """Its value with less being better; NaN where it is missing."""
        value = values.get(self.name, math.nan)
        return -value if self.mode == "max" else value


@dataclass(frozen=True)
class EpochReport:
    """What a trial reported at one epoch: made once of Tune's result, shared by all who hear of it.

    ``metrics`` are the user's numbers, NaN and inf as reported. ``value`` is that of the metric the
    run optimises, None where this epoch does not report it. ``knobs`` are its live knobs' values,
    ``taken`` and ``lost`` the serials of the last clone that it took over and of the last whose
    checkpoint it found gone (0: none). ``restarted``: it was just started anew (a retry or a
    restore), so what it reported of this and later epochs before is void. ``pace``: seconds that an
    epoch of this trial takes, 0 where nobody says.
    """

    trial_id: str
    epoch: int
    metrics: Mapping[str, float]
    value: float | None = None
    knobs: Mapping[str, float] = field(default_factory=dict)
    restarted: bool = False
    taken: int = 0
    lost: int = 0
    pace: float = 0.0


@dataclass(frozen=True)
class Call:
    """One call to a language model, as the ledger keeps it.

    ``status`` is "ok" or the failing error's one-word status; ``cost`` is in US dollars,
    None where the model's price is unknown; ``seconds`` is wall time including retries.
    ``repairs`` say what had to be mended in the reply, ``server`` what is known of the server that
    is not as usual (`llm.learnt.Learnt`).
    """

    model: str
    status: str
    seconds: float
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    tries: int = 1
    error: str = ""
    failed_tries: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    reply: str = ""
    repairs: tuple[str, ...] = ()
    server: Mapping[str, Any] = field(default_factory=dict)


Scale = Literal["linear", "log", "log distance to 1"]
"""On which scale steps of a parameter are even: its value, its logarithm, or that of 1 - value."""


@dataclass(frozen=True)
class Place:
    """Where the best value of a number is believed to lie: a normal density around ``centre``.

    ``width`` is the standard deviation: in the parameter's unit where ``scale`` is "linear", else
    in decades, so that 1.0 means a factor of ten either way. ``given`` limits the place to
    configurations with that category: (parameter, the category as JSON shows it as text).
    """

    centre: float
    width: float
    scale: Scale
    source: str = ""
    given: tuple[str, str] | None = None


@dataclass(frozen=True)
class Leaning:
    """Which category is believed to be the best: relative weights by the category's text."""

    weights: Mapping[str, float]
    source: str = ""


@dataclass(frozen=True)
class Belief:
    """A prior over the location of the optimum, one parameter at a time.

    (Souza et al. 2021, "Bayesian optimization with a prior for the optimum".) A parameter that is
    not named may be best anywhere. Several places of one parameter are equally likely.

    >>> from raymimic import Belief
    >>> Belief().over(Belief()).places
    {}
    """

    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    leanings: Mapping[str, Leaning] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """The parameters of which something is believed."""
        return frozenset({*self.places, *self.leanings})

    def over(self, other: Belief) -> Belief:
        """This belief, and the other one's where this says nothing."""
        mine = self.names
        return Belief(
            {**{n: p for n, p in other.places.items() if n not in mine}, **self.places},
            {**{n: w for n, w in other.leanings.items() if n not in mine}, **self.leanings},
        )


@dataclass(frozen=True)
class Advice:
    """What an advisor answered: proposals, what it had to drop and the calls it made.

    ``proposals`` hold raw configurations that the asker still has to check against the space.
    ``belief`` is what a model says of the optimum's place, None if it said nothing; ``outside``
    says of proposals that were dropped for breaking a restriction of the space which one it was.
    ``left``: so many of the slots asked for are left to the statistical proposer, who fills each
    when it is due, with all results there are by then.

    >>> from raymimic import Advice, Proposal
    >>> len(Advice((Proposal({"lr": 1e-3}, "Adam's default", "user"),)).proposals)
    1
    """

    proposals: tuple[Proposal, ...]
    drops: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    belief: Belief | None = None
    outside: tuple[str, ...] = ()
    left: int = 0


@dataclass(frozen=True)
class Budget:
    """How much of the search is left. None where the user set no limit; times in seconds.

    ``epochs`` is how long a training may become, where Tune's stop criterion or an `LLMScheduler`
    says so.

    >>> from raymimic import Budget
    >>> Budget(trials_total=20, trials_started=18).cap(4)
    2
    """

    trials_total: int | None = None
    trials_started: int = 0
    seconds_total: float | None = None
    seconds_used: float = 0.0
    concurrency: int | None = None
    epochs: int | None = None

    @property
    def timed(self) -> bool:
        """Whether time is what is spent: it is limited, or the number of trials is not."""
        return self.trials_total is None or self.seconds_total is not None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the search ends, or None without a limit."""
        if self.seconds_total is None:
            return None
        return max(0.0, self.seconds_total - self.seconds_used)

    @property
    def trials_left(self) -> int | None:
        """Trials that may still start, or None without a limit."""
        if self.trials_total is None:
            return None
        return max(0, self.trials_total - self.trials_started)

    def cap(self, batch: int) -> int:
        """As many of ``batch`` configurations as may still start, but at least one."""
        left = self.trials_left
        return max(1, batch if left is None else min(batch, left))
