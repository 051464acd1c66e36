"""The run as a researcher would write it up, failed hypotheses included; in Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from raymimic.records import Objective
from raymimic.report.importance import FEWEST, groups_of, importances
from raymimic.report.run import MarkKind, Run, Trial
from raymimic.summary import duration, last_line, plural, show

_LISTED = 10  # entries of a section; the rest is counted
_BATCHES = 40
_PARAMETERS = 5
_FRONT = 10  # of several objectives: trials that are listed
_REASON_CHARS = 300

# What Markdown or the HTML in it would read; an underscore within a word is none of it.
_MARKDOWN = re.compile(r"[\\`*\[\]<>|#!$~&]|(?<!\w)_|_(?!\w)")


def lab_book(run: Run) -> str:
    """Return the lab book of a run; foreign texts are escaped, so that they stay text."""
    parts = [
        _question(run), _result(run), _parameters(run), _hypotheses(run), _batches(run),
        _trainings(run), _failures(run), _limits(run),
    ]  # fmt: skip
    return "\n\n".join("\n".join(part) for part in map(list, parts) if part) + "\n"


def _question(run: Run) -> Iterator[str]:
    goals = [(run.metric, run.mode), *((other.name, other.mode) for other in run.others)]
    named = [(name, "smallest" if mode == "min" else "largest") for name, mode in goals]
    yield f"# Lab book: {' and '.join(f'the {goal} {_plain(name)}' for name, goal in named)}"
    yield ""
    yield "## Question"
    yield ""
    sought = " and ".join(f"the {goal} `{_code(name)}`" for name, goal in named)
    yield f"Which settings give {sought}? The space:"
    yield ""
    yield from (f"    {line}" for line in run.space.describe().splitlines())
    if run.tally.limits:
        yield ""
        yield f"Within the limits: {_plain(', '.join(run.tally.limits))}."
    if run.search.get("instruction"):
        yield ""
        yield f"The user said: “{_plain(run.search['instruction'])}”"


def _result(run: Run) -> Iterator[str]:
    yield "## Result"
    yield ""
    state = "" if run.ended else " The search wrote no summary: it goes on, or was killed."
    took = duration(run.last_t - run.first_t)
    counts = Counter(trial.status for trial in run.trials)
    kinds = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    yield f"{len(run.trials):,} trials ({kinds or 'none'}) in {took}.{state}"
    best = run.best
    if best is None:
        kept = "kept to the limits" if run.scored else f"ended with a finite {_plain(run.metric)}"
        yield f"No trial {kept}."
        return
    yield ""
    yield (
        f"Best: **{_plain(run.metric)} {show(best.score)}** in trial `{best.trial_id}`, "
        f"proposed by {best.source}: {_settings(best)}."
    )
    yield from _front(run)
    if best.rationale:
        yield f"Why it was tried: “{_plain(best.rationale)}”"
    gain = _gain(run)
    if gain:
        yield gain


def _front(run: Run) -> Iterator[str]:
    """The trials that no other beats in one objective without losing in another."""
    if not run.front:
        return
    names = ", ".join(_plain(one.name) for one in (Objective(run.metric, run.mode), *run.others))
    yield ""
    found, share = plural(len(run.front), "trial"), f"{run.volumes[-1]:.0%}"
    yield (
        f"That is the best in {_plain(run.metric)} alone. The front of {names} holds {found} and "
        f"dominates {share} of the box around it:"
    )
    yield ""
    for index in run.front[:_FRONT]:
        trial = run.trials[index]
        yield f"- {_plain(run.values(trial))}: trial `{trial.trial_id}`, {_settings(trial)}"
    if len(run.front) > _FRONT:
        yield f"- and {len(run.front) - _FRONT} more"
    yield ""


def _gain(run: Run) -> str:
    """How the best came about: from the first score to the last improvement."""
    known = run.best_after
    steps = [at for at in range(1, len(known)) if known[at] != known[at - 1]]
    if len(steps) < 2:
        return ""
    return (
        f"It began at {show(known[steps[0]])} and improved {_times(len(steps) - 1)}; the last "
        f"improvement came with the {steps[-1]:,}. of {len(run.order):,} trials that ended."
    )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _parameters(run: Run) -> Iterator[str]:
    yield "## What mattered"
    yield ""
    found = importances(run)
    if not found:
        yield f"With fewer than {FEWEST} scored trials nothing can be said."
        return
    yield "Share in what separates the better trials (PED-ANOVA; 80 % of the resamples lie within):"
    yield ""
    for one in found[:_PARAMETERS]:
        groups = groups_of(run, one.name)
        ranked = sorted(groups, key=lambda group: group.median, reverse=run.mode == "max")
        yield (
            f"- `{_code(one.name)}` {one.share:.0%} ({one.low:.0%} to {one.high:.0%}): best at "
            f"{_plain(ranked[0].label)} (median {show(ranked[0].median)} of {ranked[0].count}), "
            f"worst at {_plain(ranked[-1].label)} (median {show(ranked[-1].median)} of "
            f"{ranked[-1].count})"
        )


def _hypotheses(run: Run) -> Iterator[str]:
    judged = [(trial, kept) for trial in run.trials if (kept := run.kept(trial)) is not None]
    if not judged:
        return
    kept_count = sum(kept for _, kept in judged)
    yield "## Hypotheses"
    yield ""
    yield (
        f"{len(judged):,} trials ran to their end with an expectation; {kept_count:,} kept it, "
        f"{len(judged) - kept_count:,} did not."
    )
    failed = [trial for trial, kept in judged if not kept]
    yield from _list("Failed, furthest off first", sorted(failed, key=_miss), run)
    held = [trial for trial, kept in judged if kept]
    ranked = sorted(held, key=lambda t: t.score or 0.0, reverse=run.mode == "max")
    yield from _list("Held, best result first", ranked, run)


def _miss(trial: Trial) -> float:
    return -abs((trial.score or 0.0) - (trial.expected or 0.0))


def _list(title: str, trials: list[Trial], run: Run) -> Iterator[str]:
    if not trials:
        return
    yield ""
    yield f"### {title}"
    yield ""
    for trial in trials[:_LISTED]:
        yield (
            f"- `{trial.trial_id}` ({trial.source}): “{_plain(trial.rationale)}” Expected "
            f"{_plain(run.metric)} {show(trial.expected)}, came {show(trial.score)}."
        )
    if len(trials) > _LISTED:
        yield f"- and {len(trials) - _LISTED:,} more"


def _batches(run: Run) -> Iterator[str]:
    if not run.batches:
        return
    yield "## Course"
    yield ""
    yield "| batch | ended before | best then | by | best that came |"
    yield "|---|---|---|---|---|"
    shown = run.batches[-_BATCHES:]
    for number, batch in enumerate(shown, start=len(run.batches) - len(shown) + 1):
        trials = [run.trials[index] for index in batch.trials]
        by = ", ".join(f"{name} {n}" for name, n in Counter(t.source for t in trials).items())
        scores = [trial.score for trial in trials if trial.score is not None]
        came = (min(scores) if run.mode == "min" else max(scores)) if scores else None
        known = run.best_after[min(batch.known, len(run.order))]
        yield f"| {number} | {batch.known} | {_cell(known)} | {by or '–'} | {_cell(came)} |"
    if len(shown) < len(run.batches):
        yield ""
        yield f"The latest {len(shown)} of {len(run.batches):,} batches."
    if run.wishes:
        yield ""
        yield "What the user wished while it ran:"
        yield ""
        yield from (f"- {_plain(text)}" for text in run.wishes[-_BATCHES:])


def _trainings(run: Run) -> Iterator[str]:
    """What was done to running trials, and what the curves said."""
    marks = Counter(mark.kind for trial in run.trials for mark in trial.marks)
    kinds = Counter(trial.kind.replace("_", " ") for trial in run.trials if trial.kind)
    if not marks and not kinds:
        return
    yield "## Trainings"
    yield ""
    if kinds:
        said = ", ".join(f"{name} {count}" for name, count in kinds.most_common())
        yield f"What the curves said: {said}."
    done: dict[MarkKind, str] = {
        "stop": "stopped early", "redirect": "redirected", "clone": "sent a better trial's weights",
        "adjustment": "adjusted", "rollback": "rolled back",
    }  # fmt: skip
    told = [f"{text} {marks[kind]}" for kind, text in done.items() if kind in marks]
    if told:
        yield f"What was done to running trials: {', '.join(told)}."
    effects = ", ".join(f"{name} {n}" for name, n in (+run.tally.redirects).items())
    if effects:
        yield f"What redirects and clones did, against forecast and pace: {effects}."


def _failures(run: Run) -> Iterator[str]:
    failed = [trial for trial in run.trials if trial.status == "failed"]
    errors = Counter(last_line(trial.error) or "no error text" for trial in failed)
    if not errors:
        return
    yield "## Failures"
    yield ""
    for text, count in errors.most_common(_LISTED):
        yield f"- {count} × {_plain(text)}"


def _limits(run: Run) -> Iterator[str]:
    """How it was done and how far it may be believed."""
    tally = run.tally
    yield "## How far to believe this"
    yield ""
    by = ", ".join(f"{name} {n}" for name, n in Counter(t.source for t in run.trials).most_common())
    yield f"- Proposed by: {by or 'nobody'}; repaired: {sum(bool(t.repairs) for t in run.trials)}."
    if tally.fallbacks:
        yield f"- Slots the advisor left empty: {_counts(tally.fallbacks)}."
    if tally.drops:
        yield f"- Refused proposals: {_counts(tally.drops)}."
    if tally.calls:
        yield (
            f"- Language model calls: {_counts(tally.calls)}; {tally.tokens_in:,} tokens in, "
            f"{tally.tokens_out:,} out, {tally.money}."
        )
    yield "- Each configuration ran once: differences within the noise of a curve may be luck."
    yield from (f"- {_plain(note)}." for note in run.notes)
    yield f"- Made from `{_code(run.ledger)}`."


def _settings(trial: Trial) -> str:
    return ", ".join(
        f"`{_code(name)}`={_plain(show(value))}" for name, value in trial.config.items()
    )


def _cell(value: float | None) -> str:
    return "–" if value is None else show(value)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{_plain(name)} {count}" for name, count in counter.most_common())


def _plain(text: object) -> str:
    """Foreign text on one line of Markdown, shown as it is."""
    line = " ".join(str(text).split())
    line = line if len(line) <= _REASON_CHARS else line[: _REASON_CHARS - 1] + "…"
    return _MARKDOWN.sub(r"\\\g<0>", line)


def _code(text: object) -> str:
    """Foreign text between backticks."""
    return " ".join(str(text).split()).replace("`", "'")
