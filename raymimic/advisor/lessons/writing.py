"""Writes what a search learnt: ``lessons.md``, plain words with numbers, of bounded length."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass

from raymimic.advisor.base import SearchEvidence, TrialRecord
from raymimic.advisor.curve_text import number
from raymimic.advisor.front_text import front_lines, objectives_text
from raymimic.advisor.lessons.reading import BEST_TITLE, TITLE
from raymimic.advisor.lessons.separation import groups_of, separation
from raymimic.advisor.text import fit_counted
from raymimic.errors import BadReply, LessonsError
from raymimic.feasibility import memory_failure
from raymimic.foreign import cut, quote
from raymimic.llm import read_object
from raymimic.space import SearchSpace
from raymimic.summary import last_line

# Characters for each part: together under 6,000. Only the best configuration is written whole
# whatever its length, so a space of hundreds of parameters makes a longer file.
_SPACE_CHARS = 1_200
_BEST_CHARS = 1_600
_EFFECT_CHARS = 1_500
_FAILURE_CHARS = 500
_CHANGE_CHARS = 300
_FRONT_CHARS = 900  # only with several objectives

_BEST_LISTED = 5
_LINE_CHARS = 300
_NAME_CHARS = 60
_ERROR_KINDS = 3

_FAILED = "## What failed or diverged"

_PLAIN_NAME = re.compile(r"[\w./:-]{1,60}")
_ERROR_KIND = re.compile(r"(?:\w+\.)*([A-Za-z_]\w{0,40})(?::|$)")


def lessons_text(evidence: SearchEvidence) -> str:
    """Return what the search learnt, as `read_lessons` reads it; the same evidence, the same text.

    Error messages are left out but for their type, as they may hold paths and secrets. Raises
    `LessonsError` before any trial has ended.
    """
    if not evidence.trials:
        raise LessonsError(
            "lessons are written after at least one trial has ended, none has; "
            "call write_lessons after the run"
        )
    ranked = [trial for trial in evidence.ranked() if not evidence.broken(trial)]
    sections = [
        ("## Parameters", _parameters(evidence.space)),
        (BEST_TITLE, _best(evidence, ranked)),
        ("## The front of several objectives", _front(evidence)),
        ("## What moved the score", _effects(evidence)),
        (_FAILED + (" or broke a limit" if evidence.limits else ""), _failures(evidence)),
        ("## What the curves showed", _curves(evidence, ranked)),
        ("## From the first trial to the best", _way(evidence, ranked)),
    ]
    body = [f"{title}\n\n" + "\n".join(lines) for title, lines in sections if lines]
    return "\n\n".join([TITLE, _summary(evidence, ranked), *body]) + "\n"


def _summary(evidence: SearchEvidence, ranked: list[TrialRecord]) -> str:
    count = len(evidence.trials)
    direction = "lower" if evidence.mode == "min" else "higher"
    text = (
        f"Metric {_quoted(evidence.metric)}, {direction} is better; "
        f"{count} trial{'' if count == 1 else 's'} ended"
    )
    within = ""
    if evidence.limits:
        within = f" within {', '.join(_cut(_quoted(limit.text)) for limit in evidence.limits)}"
    if not ranked:
        return f"{text}, none with a score{within}."
    middle = ranked[len(ranked) // 2].score
    return (
        f"{text}, {len(ranked)} with a score{within}: best {number(ranked[0].score)}, "
        f"median {number(middle)}, worst {number(ranked[-1].score)}."
    )


def _parameters(space: SearchSpace) -> list[str]:
    lines = [_cut(f"- {_name(name)}: {space.describe_one(name)}") for name in space.dimensions]
    return fit_counted(lines, _SPACE_CHARS, "parameters")


def _best(evidence: SearchEvidence, ranked: list[TrialRecord]) -> list[str]:
    """The best configurations whole, so that they can be tried again; each only once."""
    lines: dict[str, str] = {}
    room = _BEST_CHARS
    for trial in ranked:
        config = json.dumps(evidence.space.show(trial.config), ensure_ascii=False)
        line = f"- {trial.score:.6g}: {config}"
        if config in lines or not _readable(config):
            continue
        if lines and (len(line) > room or len(lines) == _BEST_LISTED):
            break
        lines[config] = line
        room -= len(line)
    return list(lines.values())


def _front(evidence: SearchEvidence) -> list[str]:
    """The trials that no other beats in one objective without losing in another."""
    if not evidence.others or not evidence.front():
        return []
    lines = [f"- {line}" for line in front_lines(evidence)]
    return [f"{objectives_text(evidence.objectives)}.", *fit_counted(lines, _FRONT_CHARS)]


def _readable(config: str) -> bool:
    """Whether our own reader takes it: it refuses integers of 300 digits and the like."""
    try:
        read_object(config)
    except BadReply:
        return False
    return True


# -- what each parameter did -------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Trials in one part of a parameter's range: how many, and their scores.

    ``best`` and ``median`` are infinite, on the bad side, where that trial has no score.
    """

    words: str
    count: int
    best: float
    median: float


def clearest(evidence: SearchEvidence) -> list[tuple[str, list[Part]]]:
    """Give the parameters whose parts of the range score differently, the clearest first.

    Of each its parts, from the best median to the worst.
    """
    sign = 1.0 if evidence.mode == "min" else -1.0
    found = []
    for name, dimension in evidence.space.dimensions.items():
        having = [trial for trial in evidence.trials if name in trial.config]
        costs = [_cost(evidence, trial) for trial in having]
        groups = groups_of(dimension, [trial.config[name] for trial in having])
        strength = separation(groups, costs)
        if strength > 1.0:
            ordered = [(group, sorted(costs[i] for i in group.members)) for group in groups]
            ordered.sort(key=lambda pair: _median(pair[1]))
            parts = [
                Part(_value(g.words), g.size, sign * c[0], sign * _median(c)) for g, c in ordered
            ]
            found.append((strength, name, parts))
    found.sort(key=lambda one: -one[0])
    return [(name, parts) for _, name, parts in found]


def _effects(evidence: SearchEvidence) -> list[str]:
    """Say which parameters' parts of the range score differently, the clearest first."""
    texts = [_effect(name, parts) for name, parts in clearest(evidence)]
    if not texts:
        return ["No parameter separates good from bad scores clearly."]
    return fit_counted(texts, _EFFECT_CHARS, "parameters")


def _effect(name: str, parts: list[Part]) -> str:
    texts = []
    for part in parts:
        if math.isinf(part.best):
            texts.append(f"{part.words} never a score ({part.count}x)")
            continue
        shown = "failure" if math.isinf(part.median) else number(part.median)
        texts.append(f"{part.words} best {number(part.best)}, median {shown} ({part.count}x)")
    return _cut(f"- {_name(name)}: {'; '.join(texts)}")


def _cost(evidence: SearchEvidence, trial: TrialRecord) -> float:
    """The score with its sign so that lower is better; infinite where there is none."""
    if trial.score is None:
        return float("inf")
    return trial.score if evidence.mode == "min" else -trial.score


def _median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]  # of an even count the better of the two


# -- failures, curves, the way to the best -----------------------------------------------------


def _failures(evidence: SearchEvidence) -> list[str]:
    bad = [_bad(trial) or bool(evidence.broken(trial)) for trial in evidence.trials]
    count, total = sum(bad), len(bad)
    if not count:
        return []
    kinds = Counter(kind for trial in evidence.trials if (kind := _error_kind(trial)))
    listed = ", ".join(f"{kind} {times}x" for kind, times in kinds.most_common(_ERROR_KINDS))
    regions = []
    for name, dimension in evidence.space.dimensions.items():
        having = [i for i, trial in enumerate(evidence.trials) if name in trial.config]
        groups = groups_of(dimension, [evidence.trials[i].config[name] for i in having])
        badly = [bad[i] for i in having]
        if separation(groups, [float(flag) for flag in badly]) <= 1.0:
            continue
        worst = max(groups, key=lambda group: sum(badly[i] for i in group.members) / group.size)
        here = sum(badly[i] for i in worst.members)
        regions.append(
            _cut(
                f"- {_name(name)} {_value(worst.words)}: {here} of {worst.size}, "
                f"elsewhere {count - here} of {total - worst.size}"
            )
        )
    first = f"{count} of {total} trials" + (f" ({listed})" if listed else "") + "."
    note = [] if regions else ["No part of the space stands out."]
    return [first, *note, *fit_counted(regions, _FAILURE_CHARS, "parameters")]


def _bad(trial: TrialRecord) -> bool:
    diverged = trial.diagnosis is not None and "diverged" in trial.diagnosis
    return diverged or trial.status == "failed" or trial.score is None


def _error_kind(trial: TrialRecord) -> str:
    """The error's type, "ValueError", or that it was memory; nothing of its message."""
    if why := memory_failure(trial.error):
        return why
    found = _ERROR_KIND.match(last_line(trial.error))
    return found[1] if found else ""


def _curves(evidence: SearchEvidence, ranked: list[TrialRecord]) -> list[str]:
    diagnosed = [trial for trial in evidence.trials if trial.diagnosis is not None]
    if not diagnosed:
        return []
    lines = [f"Of {len(diagnosed)} curves: {_kinds(diagnosed)}."]
    best = [trial for trial in ranked[:_BEST_LISTED] if trial.diagnosis is not None]
    if best and len(diagnosed) > len(best):
        lines.append(f"Of the best {len(best)}: {_kinds(best)}.")
    return lines


def _kinds(trials: list[TrialRecord]) -> str:
    counts = Counter(
        trial.diagnosis.primary.kind.replace("_", " ")
        if trial.diagnosis and trial.diagnosis.primary
        else "no clear signal"
        for trial in trials
    )
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common())


def _way(evidence: SearchEvidence, ranked: list[TrialRecord]) -> list[str]:
    """How far the first trial was from the best, and what changed between them."""
    if not ranked or len(evidence.trials) < 2:
        return []
    first, best = evidence.trials[0], ranked[0]
    place = next(i for i, trial in enumerate(evidence.trials, start=1) if trial is best)
    if place == 1:
        return [f"The first trial to end was the best of all: {number(best.score)}."]
    begun = "had no score" if first.score is None else f"scored {number(first.score)}"
    before, after = evidence.space.show(first.config), evidence.space.show(best.config)
    changes = [
        f"{_name(name)} {_value(before.get(name, 'absent'))} -> {_value(after[name])}"
        for name in after
        if name not in before or before[name] != after[name]
    ]
    shown = ", ".join(fit_counted(changes, _CHANGE_CHARS, "changes"))
    text = f"The first trial to end {begun}; the best, {number(best.score)}, was number {place}."
    return [text, f"Changed on the way: {shown}."]


# -- words ---------------------------------------------------------------------------------------


def _name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else quote(name, _NAME_CHARS)


def _quoted(text: str) -> str:
    return json.dumps(text)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isprintable() and len(text) <= _NAME_CHARS else quote(text, _NAME_CHARS)


def _cut(line: str) -> str:
    return cut(line, _LINE_CHARS)
