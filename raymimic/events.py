"""The events of a ledger, one typed function each: what it is called, what it holds and means.

A line of a ledger holds "event", its number "n", "t" (Unix seconds) and the fields named here. One
event is the `Ledger`'s own: "torn", where it cut off the half-written last line of an earlier
process (``bytes`` of it).

``write`` is where the event goes: `Ledger.append`, or a method that hands on to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from raymimic import foreign
from raymimic.ledger import Later, Ledger
from raymimic.records import Call, Mode, Objective, Proposal, TrialStatus
from raymimic.rows import LAYOUT


class Write(Protocol):
    """Writes one event."""

    def __call__(self, event: str, /, **fields: Any) -> Any:
        """Write ``event`` with these fields, in this order."""
        ...


# -- a search --------------------------------------------------------------------------------------


def search(
    write: Write,
    *,
    metric: str,
    mode: Mode,
    others: Sequence[Objective],
    advisor: str,
    space: Mapping[str, Any],
    trials_total: int | None,
    seconds_total: float | None,
    concurrency: int | None,
    batch: int,
    instruction: str,
    seed: int,
    limits: Sequence[Sequence[str]] = (),
    task: str = "",
    epochs: int | None = None,
) -> None:
    """A search begins; ``space`` as `SearchSpace.to_json`, ``batch`` of a question to a model,
    ``limits`` of results as `Limit.to_json`.

    ``others`` are objectives beside the metric: [name, mode] each, not written without any.
    ``task`` is what the training says of itself, ``epochs`` its most, where known.
    ``layout`` is that of the ledger. Each event of a search ends with the search's id, "search".
    """
    write(
        "search", metric=metric, mode=mode,
        **_known(others=[[one.name, one.mode] for one in others] or None), advisor=advisor,
        space=space,
        trials_total=trials_total, seconds_total=seconds_total, concurrency=concurrency,
        batch=batch, instruction=instruction, seed=seed,
        **_known(limits=limits or None, task=task or None, epochs=epochs),
        layout=LAYOUT,
    )  # fmt: skip


def lessons(write: Write, *, name: str, note: str, text: str) -> None:
    """What an earlier search learnt was given: its file's name, whether it fits, its text."""
    write("lessons", name=name, note=note, text=text)


def wish(write: Write, *, number: int, tell: str, part: int, parts: int, **said: Any) -> None:
    """A user's `Wish` was heard, a part of the message ``tell``; ``said`` are its other fields."""
    write("wish", number=number, tell=tell, part=part, parts=parts, **said)


def belief(write: Write, *, who: str, text: str, places: Mapping[str, Any]) -> None:
    """What ``who`` believes of the optimum's place: in words, and as `belief_to_json` gives it."""
    write("belief", who=who, text=text, places=places)


def proposal(
    write: Write, proposal: Proposal, *, number: int, config: Mapping[str, Any], made_from: int
) -> None:
    """A checked configuration (``config``: as the space shows it) may be tried.

    ``number`` is its "id"; its maker knew ``made_from`` ended trials.
    """
    write(
        "proposal", id=number, source=proposal.source, config=config,
        rationale=proposal.rationale, expected=proposal.expected, repairs=proposal.repairs,
        made_from=made_from,
    )  # fmt: skip


def drop(write: Write, *, reason: str, text: str, proposal: int | None = None) -> None:
    """A configuration or an adjustment was thrown away; ``reason`` is one word for counting.

    ``proposal`` is its id, where it had one.
    """
    write("drop", reason=reason, text=text, **_known(proposal=proposal))


def fallback(
    write: Write, *, reason: str, text: str, source: str, slots: int | None = None
) -> None:
    """The advisor left ``slots`` slots (one, if not said) empty, and ``source`` filled them.

    ``reason`` is one word for counting; the source "none": a training went on unchanged.
    """
    write("fallback", reason=reason, text=text, source=source, **_known(slots=slots))


def start(write: Write, *, trial_id: str, proposal: int) -> None:
    """A trial began with the proposal of that id."""
    write("start", trial_id=trial_id, proposal=proposal)


def outcome(
    write: Write,
    *,
    trial_id: str,
    status: TrialStatus,
    score: float | None,
    seconds: float,
    pace: float,
    diagnosis: str,
    error: str,
    stopped: bool,
    epochs: int,
    measured: Mapping[str, float],
    curve: Callable[[], Any] | None,
    limits: Sequence[Mapping[str, Any]] = (),
) -> None:
    """A trial ended (fields as in `TrialRecord`); ``curve`` makes its JSON on another thread.

    ``measured`` is not written where there is nothing, ``limits`` are those of this search and
    what it reported of each, as `Measured.to_json`.
    """
    write(
        "outcome", trial_id=trial_id, status=status, score=score, seconds=round(seconds, 3),
        pace=round(pace, 4), diagnosis=diagnosis, error=error, stopped=stopped,
        epochs=epochs, **_known(measured=measured or None, limits=limits or None),
        curve=None if curve is None else Later(curve),
    )  # fmt: skip


def evaluated(
    write: Write,
    *,
    trial_id: str,
    status: TrialStatus,
    score: float | None,
    measured: Mapping[str, float],
    config: Mapping[str, Any],
    rationale: str,
    stopped: bool,
    curve: Callable[[], Any] | None,
) -> None:
    """A trial from elsewhere was added as evidence; fields as of a proposal and an outcome."""
    write(
        "evaluated", trial_id=trial_id, status=status, score=score,
        **_known(measured=measured or None), config=config, rationale=rationale,
        stopped=stopped, curve=None if curve is None else Later(curve),
    )  # fmt: skip


def lost(write: Write, *, trial_id: str, proposal: int) -> None:
    """A started trial died with its driver; what it was to try is proposed again."""
    write("lost", trial_id=trial_id, proposal=proposal)


def unfinished(
    write: Write,
    *,
    trial_id: str,
    score: float | None,
    epochs: int,
    curve: Mapping[str, Any] | None,
    limits: Sequence[Mapping[str, Any]] = (),
) -> None:
    """A trial was under way when the run ended (its time was up, Ctrl-C): its curve so far.

    ``score`` is its last value, None without a finite one, ``epochs`` how far it came, ``limits``
    as of an outcome.
    """
    write(
        "unfinished", trial_id=trial_id, score=score, epochs=epochs,
        **_known(limits=limits or None), curve=curve,
    )  # fmt: skip


def error(write: Write, *, trial_id: str, text: str) -> None:
    """The text of a trial's error, where Tune gave it."""
    write("error", trial_id=trial_id, text=text)


def fault(write: Write, *, hook: str, error: Exception) -> None:
    """Raymimic itself failed in one of Tune's hooks."""
    write("fault", hook=hook, text=foreign.error_text(error))


def summary(write: Write, *, text: str) -> None:
    """The search in plain words."""
    write("summary", text=text)


# -- a language model ------------------------------------------------------------------------------


def asked(ledger: Ledger, *, tokens: int, usd: float | None) -> int:
    """A gateway starts a call that may take so much at most; returns the event's number."""
    number: int = ledger.append("asked", tokens=tokens, usd=usd)["n"]
    return number


def call(write: Write, call: Call, *, asked: int | None = None) -> None:
    """One call to a language model, paid or failed; ``asked`` is the number of its start.

    ``repairs`` and ``server`` (as in `Call`) are written where there are any.
    """
    write(
        "call", **_known(asked=asked), model=call.model, status=call.status,
        seconds=round(call.seconds, 3), tokens_in=call.tokens_in, tokens_out=call.tokens_out,
        cost=call.cost, tries=call.tries, failed_tries=call.failed_tries, error=call.error,
        request=call.request, reply=call.reply,
        **_known(repairs=call.repairs or None, server=call.server or None),
    )  # fmt: skip


# -- running trials --------------------------------------------------------------------------------


def stop(
    write: Write,
    *,
    trial_id: str,
    kind: str,
    epoch: int,
    text: str,
    **standing: float | None,
) -> None:
    """A scheduler ended a trial; ``text`` is the reason in words and numbers.

    ``standing`` are the numbers by themselves, where the reason has any: place, rivals, kept,
    reach, beats, length (as in `Reading`).
    """
    write("stop", trial_id=trial_id, kind=kind, epoch=epoch, text=text, **standing)


def judgement(
    write: Write,
    *,
    trial_id: str,
    action: str,
    reason: str,
    knobs: Mapping[str, float],
    outcome: str,
    epoch: int | None,
    asked_epoch: int,
    model: str,
    tokens: int,
    cases: int,
) -> None:
    """What a judge said of a running trial in doubt, asked at one epoch and acting at another.

    ``outcome``: "applied", "stale" (the trial had ended or started again; ``epoch`` is None) or
    "outdated" (it was in doubt no more). ``tokens`` of the whole question, on ``cases`` trials.
    """
    write(
        "judgement", trial_id=trial_id, action=action, reason=reason, knobs=knobs,
        outcome=outcome, epoch=epoch, asked_epoch=asked_epoch,
        age=None if epoch is None else epoch - asked_epoch, model=model, tokens=tokens,
        cases=cases,
    )  # fmt: skip


def unjudged(write: Write, *, reason: str, text: str, trials: Sequence[str]) -> None:
    """A question to the judge failed or came too "late": the rules decide alone.

    Or parts of its answer were "rejected".
    """
    write("unjudged", reason=reason, text=text, trials=trials)


def redirect(
    write: Write,
    *,
    trial_id: str,
    epoch: int,
    knobs: Mapping[str, Sequence[float]],
    before: float | None,
    reason: str,
    source: str,
) -> None:
    """A running trial was sent new knob values: [from, to] each; ``before``: the metric then."""
    write(
        "redirect", trial_id=trial_id, epoch=epoch, knobs=knobs, before=before, reason=reason,
        source=source,
    )  # fmt: skip


def clone(
    write: Write,
    *,
    trial_id: str,
    epoch: int,
    from_trial: str,
    from_epoch: int,
    from_value: float,
    knobs: Mapping[str, Sequence[float]],
    before: float | None,
    reason: str,
    source: str,
) -> None:
    """A running trial was sent the checkpoint of a better one ("from"); else as a redirect."""
    write(
        "clone", trial_id=trial_id, epoch=epoch, **{"from": from_trial}, from_epoch=from_epoch,
        from_value=from_value, knobs=knobs, before=before, reason=reason, source=source,
    )  # fmt: skip


def redirect_verdict(
    write: Write,
    *,
    trial_id: str,
    epoch: int,
    ended: int | None,
    verdict: str,
    before: float | None,
    after: float | None,
    expected: float | None,
    margin: float | None,
) -> None:
    """What a redirect or a clone did, against pace and forecast before it (event "verdict").

    "unheard": the trial did not take it over; "lost": the checkpoint was gone.
    """
    write(
        "verdict", trial_id=trial_id, epoch=epoch, ended=ended, verdict=verdict, before=before,
        after=after, expected=expected, margin=margin,
    )  # fmt: skip


def _known(**fields: Any) -> dict[str, Any]:
    """The fields that have a value: the others are not written."""
    return {name: value for name, value in fields.items() if value is not None}
