"""What an invention found, in words and as a file that runs without us."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from raymimic.invention.records import Invented
from raymimic.invention.state import State
from raymimic.invention.template import CONTRACT

_WIDE = 96  # characters of a line


_IMPROVE = '''def improve(base, experts):
    """The improved model's state dict, of the base's and of the tuned models' by name."""
    weights = {name: one.float() for name, one in base.items() if one.is_floating_point()}
    task_vectors = {
        expert: {name: state[name].float() - one for name, one in weights.items()}
        for expert, state in experts.items()
    }
    gains = merge(task_vectors, weights)
    merged = {name: (one + gains[name]).to(base[name].dtype) for name, one in weights.items()}
    return {**base, **merged}
'''


def algorithm_file(one: Invented, state: State) -> str:
    """The text of a documented Python module with the algorithm; it needs torch alone."""
    error = f" (standard error {one.error_of_score:.3g})" if one.error_of_score else ""
    scores = [f"{one.score:.6g}{error} on the dev data"]
    if one.number in state.test:
        scores.append(f"{state.test[one.number]:.6g} on the test data, read once")
    scores += [f"{name}: {other.score:.6g} on the dev data" for name, other in _references(state)]
    reason = re.sub(r'\s+|"""|\\', " ", one.rationale).strip()
    idea = f"{reason[0].upper()}{reason[1:]}" if reason else ""
    lines = [
        '"""An algorithm that improves a model by merging it with models tuned from it.',
        "",
        *textwrap.wrap(idea, _WIDE),
        *([""] if idea else []),
        f"Origin: {one.origin}, iteration {one.iteration}. Scores:",
        "",
        *(f"- {score}" for score in scores),
        "",
        *(f"{line}\n" for line in _tie(one, state)),
        "``improve(base, experts)`` takes and returns state dicts. The algorithm itself is",
        "",
        "    " + CONTRACT.replace("\n", "\n    "),
        '"""',
        "",
        *(f"import {used}\n" for used in ("math", "torch") if re.search(rf"\b{used}\b", one.code)),
        "",
        _IMPROVE,
        "",
        one.code,
    ]
    return "\n".join(lines)


def write_results(state: State, folder: Path, best: int = 5) -> list[Path]:
    """Write ``invention.md`` and the best algorithms as ``algorithms/*.py``; return the files."""
    (folder / "algorithms").mkdir(parents=True, exist_ok=True)
    files = [folder / "invention.md"]
    files[0].write_text(f"# Invention\n\n{summary(state)}\n\n{table(state)}\n", encoding="utf-8")
    for place, one in enumerate(state.best(best), start=1):
        file = folder / "algorithms" / f"{place:02d}_program_{one.number:04d}.py"
        file.write_text(algorithm_file(one, state), encoding="utf-8")
        files.append(file)
    return files


def summary(state: State) -> str:
    """The invention so far in plain words."""
    best = state.best(1)
    done, failed = len(state.of_status("done")), len(state.of_status("failed"))
    samples = len(state.ended)
    rejected = ", ".join(f"{gate} {count}" for gate, count in state.rejected.most_common())
    lines = [
        f"{samples} samples: {sum(state.rejected.values())} refused"
        + (f" ({rejected})" if rejected else "")
        + f"; {done} programs scored, {failed} failed."
    ]
    if best:
        one = best[0]
        lines.append(f"Best: score {one.score:.6g}, program {one.number} ({one.origin}).")
        if one.rationale:
            lines.append(f"  its idea: {one.rationale[:300]}")
        lines += _tie(one, state)
    lines += [f"{name.capitalize()}: {other.score:.6g}." for name, other in _references(state)]
    spent = state.spent
    money = "price unknown" if spent.usd is None else f"${spent.usd:.4f}"
    lines.append(f"Model: {spent.calls} calls, {spent.tokens:,} tokens, {money}.")
    return "\n".join(lines)


def _references(state: State) -> list[tuple[str, Invented]]:
    """The scored references by name."""
    return [
        (other.origin.partition(": ")[2], other)
        for other in state.of_status("done")
        if other.origin.startswith("reference")
    ]


def _tie(best: Invented, state: State) -> list[str]:
    """A line that says what the best is no better than, by its dev score; none if it is better."""
    ties = [
        name
        for name, other in _references(state)
        if other is not best
        and best.rank - other.rank <= max(best.error_of_score, other.error_of_score)
    ]
    return [f"Within one standard error of {' and '.join(ties)}: a tie."] if ties else []


def table(state: State) -> str:
    """Yield and best score of each iteration, and what the generator learnt after it."""
    rows = [
        "| iteration | samples | valid | ran | best dev score | median | pairs | margin |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for iteration in sorted({*state.ended.values()}):
        ones = [one for one in state.programs.values() if one.iteration == iteration]
        done = sorted((one for one in ones if one.status == "done"), key=lambda one: -one.rank)
        learnt = state.learnt.get(iteration, {})
        best = f"{done[0].score:.4g}" if done else ""
        median = f"{done[len(done) // 2].score:.4g}" if done else ""
        margin = learnt.get("margin_last", "")
        rows.append(
            f"| {iteration} | {state.made(iteration)} | {len(ones)} | {len(done)} | {best} | "
            f"{median} | {learnt.get('pairs', '')} | {margin} |"
        )
    return "\n".join(rows)
