"""The whole request to a model for one edit, and how its reply is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from raymimic.errors import BadReply
from raymimic.evolution.gates import ALLOWED_IMPORTS
from raymimic.evolution.objectives import scored
from raymimic.evolution.operators import Task
from raymimic.evolution.operators.text import changes, code, measured
from raymimic.evolution.program import top_names
from raymimic.foreign import quote
from raymimic.llm import Request, read_object

_REASON_CHARS = 300
_TOLD = 3  # earlier edits that helped most, and as many that helped least
_TOKENS = 6000  # a block of 24,000 characters; most are a tenth of it

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rationale", "code"],
    "properties": {
        "rationale": {"type": "string", "description": "why this helps, in at most 60 words"},
        "code": {
            "type": "array",
            "items": {"type": "string"},
            "description": "the whole new block, one string for each line, indentation kept",
        },
    },
}

_FENCED = re.compile(r"\A\s*(?:```|~~~)\w*\n(.*?)(?:```|~~~)\s*\Z", re.DOTALL)


@dataclass(frozen=True)
class Edit:
    """A model's answer: the block's new text and why."""

    text: str
    rationale: str


def system_text(task: Task) -> str:
    """The constant part: what the seed and its task are, what a reply must be."""
    seed = task.known.seed
    lines = [
        "You improve a PyTorch program by editing one of its blocks at a time. It is judged by "
        + " and ".join(
            f"{one.name} ({'more' if one.mode == 'max' else 'less'} is better)"
            for one in task.known.objectives
        )
        + ".",
        *([task.known.setting] if task.known.setting else []),
        "The seed, the program that all others descend from:",
        code(seed.source),
        "Its blocks and what each defines:",
    ]
    for name, text in seed.blocks.items():
        offered = ", ".join(f"{key}[{value}]" for key, value in top_names(text).items())
        lines.append(f"- {name}: {offered}")
    lines += [
        "Rules for the block that you write:",
        "- It replaces the whole block: write all of it, no placeholders, no demonstration code.",
        "- Keep the names it defines and their required parameters; it must work with those alone.",
        "- Tensors must keep the shapes that docstrings and the other blocks need.",
        f"- Import only {', '.join(sorted(ALLOWED_IMPORTS - {'__future__'}))}.",
        "- Other blocks' names may be used as they are; helpers of your own need new names.",
        "Answer with one JSON object: rationale (why this helps, at most 60 words) and code (an "
        "array with one string for each line of the new block).",
    ]
    return "\n".join(lines)


def request(task: Task, wish: str, deadline: float) -> Request:
    """Ask for an edit of ``task.block`` in ``task.program``; ``wish`` is the operator's part."""
    parent = task.known.individuals[task.parents[0]]
    lines = [
        wish,
        *_surroundings(task),
        f'The block "{task.block}" to edit:',
        code(task.program.blocks[task.block]),
        f"Its program so far: {measured(parent, task.known.objectives)}. "
        f"The seed: {measured(task.known.individuals[0], task.known.objectives)}.",
        *_tried(task),
        *_failures(task),
    ]
    return Request(system_text(task), "\n".join(lines), _SCHEMA, _TOKENS, deadline)


def _surroundings(task: Task) -> list[str]:
    """The other blocks of the program in which it is no longer the seed."""
    changed = [name for name in task.known.seed.changed(task.program) if name != task.block]
    if not changed:
        return []
    texts = [code(task.program.blocks[name]) for name in changed]
    return ["The program is the seed but for the block to edit and these blocks:", *texts]


def _tried(task: Task) -> list[str]:
    """What edits of this block alone did to their own programs: the most and the least helpful."""
    known, goal = task.known, task.known.objectives[0]
    edits = []
    for after in scored(known.individuals.values(), known.objectives):
        edit = known.edit(after.id)
        if edit is not None and edit[1] == task.block:
            edits.append((edit[0], after))
    edits.sort(key=lambda pair: goal.loss(pair[1].values) - goal.loss(pair[0].values))
    shown = edits if len(edits) <= 2 * _TOLD else edits[:_TOLD] + edits[-_TOLD:]
    lines = [
        f"- {changes(before, after, known.objectives)}: {quote(after.rationale[:_REASON_CHARS])}"
        for before, after in shown
    ]
    told = "Earlier edits of this block, in this or another program, and what each did alone:"
    return [told, *lines] if lines else []


def _failures(task: Task) -> list[str]:
    told = [
        f"- {rejection.gate}: {quote(rejection.reason[-_REASON_CHARS:])}"
        for block, rejection in task.known.rejections
        if block == task.block
    ]
    return ["Earlier edits of this block that failed:", *told] if told else []


def read_reply(text: str) -> Edit:
    """Read a model's reply; raises `BadReply` where it is no such object."""
    found = read_object(text)
    written, rationale = found.get("code"), found.get("rationale", "")
    if isinstance(written, list) and all(isinstance(line, str) for line in written):
        written = "\n".join(line.removesuffix("\n") for line in written)
    if not isinstance(written, str) or not written.strip():
        raise BadReply('"code" must be an array with the lines of the block', status="bad_reply")
    fenced = _FENCED.match(written)
    body = fenced.group(1) if fenced else written
    lines = [line for line in body.splitlines() if "EVOLVE-BLOCK-" not in line]
    return Edit("\n".join(lines).strip("\n") + "\n", str(rationale))
