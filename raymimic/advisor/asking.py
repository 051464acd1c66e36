"""Asks an advisor, who may be the user's own code, and checks what comes back.

Whatever it raises or returns, the outcome is advice of the right form or an `AdvisorError`: reason
"crash" for an error of its own, "bad_advice" for an answer of another form. So no advisor can end
a training or a search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeVar

from raymimic.advisor.adjust import Adjuster, Adjustment, AdjustmentAdvice, Operation, RunEvidence
from raymimic.advisor.base import Advisor, SearchEvidence
from raymimic.advisor.judge import ACTIONS, Judge, JudgeAdvice, JudgeEvidence, Judgement
from raymimic.errors import AdvisorError
from raymimic.foreign import error_text
from raymimic.records import Advice, Call, Proposal

T = TypeVar("T")

_LEVELS = 8
"""Of nested lists, as many as a parameter can have dimensions."""


def ask_propose(advisor: Advisor, evidence: SearchEvidence, n: int) -> Advice:
    """Ask for up to ``n`` configurations; raises `AdvisorError` and nothing else."""
    advice = _asked(lambda: advisor.propose(evidence, n), Advice, "propose")
    _sequence(advice.proposals, Proposal, "propose", "proposals")
    for proposal in advice.proposals:
        _is(proposal.config, dict, "propose", "a proposal's config")
        _is(proposal.rationale, str, "propose", "a proposal's rationale")
        _is(proposal.source, str, "propose", "a proposal's source")
        _sequence(proposal.repairs, str, "propose", "a proposal's repairs")
        if not _is_number(proposal.expected) and proposal.expected is not None:
            raise _bad("propose", "a proposal's expected", "a number or None", proposal.expected)
    _told(advice, "propose")
    return advice


def ask_adjust(adjuster: Adjuster, evidence: RunEvidence) -> AdjustmentAdvice:
    """Ask what should change in a training; raises `AdvisorError` and nothing else.

    How large its numbers may be is checked where it is applied.
    """
    advice = _asked(lambda: adjuster.adjust(evidence), AdjustmentAdvice, "adjust")
    adjustment = _is(advice.adjustment, Adjustment, "adjust", "the adjustment")
    _numbers_by_name(adjustment.knobs, "adjust", "its knobs")
    _sequence(adjustment.operations, Operation, "adjust", "its operations")
    for operation in adjustment.operations:
        _is(operation.kind, str, "adjust", "an operation's kind")
        _is(operation.params, str, "adjust", "an operation's params")
        _is(operation.toward, str, "adjust", "an operation's toward")
        if not _is_number(operation.amount):
            raise _bad("adjust", "an operation's amount", "a number", operation.amount)
        if not _is_nested(operation.values, _LEVELS):
            wanted = f"numbers in lists of at most {_LEVELS} levels"
            raise _bad("adjust", "an operation's values", wanted, operation.values)
    _is(adjustment.rationale, str, "adjust", "its rationale")
    _is(adjustment.review, str, "adjust", "its review")
    _told(advice, "adjust")
    return advice


def ask_judge(judge: Judge, evidence: JudgeEvidence) -> JudgeAdvice:
    """Ask about running trials; raises `AdvisorError` and nothing else."""
    advice = _asked(lambda: judge.judge(evidence), JudgeAdvice, "judge")
    _sequence(advice.judgements, Judgement, "judge", "judgements")
    for judgement in advice.judgements:
        _is(judgement.trial_id, str, "judge", "a judgement's trial_id")
        _is(judgement.reason, str, "judge", "a judgement's reason")
        _numbers_by_name(judgement.knobs, "judge", "a judgement's knobs")
        if judgement.action not in ACTIONS:
            wanted = f"one of {', '.join(ACTIONS)}"
            raise _bad("judge", "a judgement's action", wanted, judgement.action)
    _told(advice, "judge")
    return advice


def _asked(question: Callable[[], object], wanted: type[T], method: str) -> T:
    try:
        advice = question()
    except AdvisorError as error:
        raise _sound(error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's own code
        raise AdvisorError(error_text(error), reason="crash") from None
    return _is(advice, wanted, method, "the answer")


def _sound(error: AdvisorError) -> AdvisorError:
    """The error itself, or one in its place whose text and calls can be read."""
    try:
        str(error)
    except Exception:  # noqa: BLE001 - the text of the user's own class
        text = error_text(error)
    else:
        if isinstance(error.reason, str) and _are(error.calls, Call):
            return error
        text = error_text(error)
    return AdvisorError(text, reason="crash", permanent=bool(error.permanent))


def _told(advice: Advice | AdjustmentAdvice | JudgeAdvice, method: str) -> None:
    _sequence(advice.drops, str, method, "drops")
    _sequence(advice.calls, Call, method, "calls")


def _is(value: Any, wanted: type[T], method: str, what: str) -> T:
    if not isinstance(value, wanted):
        raise _bad(method, what, f"of type {wanted.__name__}", value)
    return value


def _sequence(values: Any, wanted: type, method: str, what: str) -> None:
    if not _are(values, wanted):
        raise _bad(method, what, f"a tuple of {wanted.__name__}", values)


def _are(values: Any, wanted: type) -> bool:
    sequence = isinstance(values, Sequence) and not isinstance(values, str)
    return sequence and all(isinstance(value, wanted) for value in values)


def _numbers_by_name(values: Any, method: str, what: str) -> None:
    mapping = isinstance(values, Mapping)
    if not mapping or not all(isinstance(n, str) and _is_number(v) for n, v in values.items()):
        raise _bad(method, what, "numbers by name", values)


def _is_number(value: Any) -> bool:
    """Whether it is one that a float can hold; NaN and infinite ones are."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _is_nested(values: Any, levels: int) -> bool:
    """Whether lists end within so many levels: one that holds itself does not."""
    if not isinstance(values, (list, tuple)):
        return True
    return levels > 0 and all(_is_nested(value, levels - 1) for value in values)


def _bad(method: str, what: str, wanted: str, came: Any) -> AdvisorError:
    return AdvisorError(
        f"{what} of {method}() must be {wanted}, got {type(came).__name__}", reason="bad_advice"
    )
