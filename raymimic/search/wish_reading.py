"""Reads a wish in words by rule: a limit, a leaning, a configuration to queue, an order to the run.

Only a clause that is such a sentence as a whole is read; every other one is left to a model.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from raymimic.advisor import (
    Order,
    assign_roles,
    lean_to_number,
    lean_to_side,
    lean_to_values,
    sizes,
)
from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Belief, Config
from raymimic.space import Choice, SearchSpace
from raymimic.space.formula import unknown
from raymimic.space.restrictions import own_value, read_restrictions

CAN = (
    "limits (lr below 0.01; width between 64 and 512; width * depth <= 2048; activation is not "
    "tanh; stop trying sgd; only adam), leanings (prefer small models; prefer adam; lr around "
    "3e-4), enqueue lr=3e-4, width=128, and pause, resume, stop after the running trials, stop "
    "trial ID, take back NUMBER"
)
"""What can be said, in one sentence."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_SIGNS = {
    "<": r"<|below|under|less than|smaller than|lower than",
    "<=": r"<=|≤|at most|no more than|not more than|not above|up to|no higher than|a maximum of",
    ">": r">|above|over|greater than|more than|larger than|higher than|bigger than",
    ">=": r">=|≥|at least|no less than|not less than|not below|no lower than|a minimum of",
}
_SIGN = "|".join(_SIGNS.values())
_LEAD = r"(?:(?:keep|make|hold|let|set|have|always|the)\s+)*"
_BE = r"(?:\s+(?:to be|to stay|must be|must stay|should be|should stay|has to be|stays?|be|is))?"
_NOT = r"(?:is not|isn't|must not be|should not be|not|never|!=)"
_LIKE = (
    r"(?:prefer|favou?r|rather|lean to(?:wards)?|try more|more of|focus on|"
    r"i(?:'d| would)? (?:like|prefer))"
)
_SMALL = r"small|smaller|low|lower|little|less|short|shallow|shallower|narrow|narrower|few|fewer"
_LARGE = r"large|larger|big|bigger|high|higher|more|deep|deeper|wide|wider|many"
_STOP = (
    r"(?:stop (?:trying|using)|do not (?:try|use)|don't (?:try|use)|no more|avoid|exclude|"
    r"never (?:use|try)|without|drop|no)"
)
_ONLY = r"(?:(?:use |try )?only|only (?:use|try)|always use|stick (?:to|with))"

_ORDERS: tuple[tuple[Order, str], ...] = (
    ("pause", r"pause(?: the (?:run|search))?"),
    ("resume", r"(?:resume|unpause|continue|go on)(?: (?:the|with the) (?:run|search))?"),
    (
        "end",
        r"stop (?:after|when) (?:the )?(?:running|current) trials?(?: (?:end|are done))?|"
        r"finish (?:the )?(?:running|current) trials?|no more trials|"
        r"(?:stop|end) the (?:run|search)",
    ),
)

Kind = Literal[
    "restriction", "preference", "configuration", "order", "more trials", "take back", "fault",
    "words",
]  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What a clause says; which fields count depends on its kind. A "fault" says what is wrong."""

    kind: Kind
    restrictions: tuple[str, ...] = ()
    belief: Belief = field(default_factory=Belief)
    config: Config = field(default_factory=dict)
    order: Order = ""
    target: str = ""
    fault: str = ""


class WishReader:
    """Reads clauses about one space."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._names = _aliases(space)
        self._categories: dict[str, list[tuple[str, Any]]] = {}
        for name, dimension in space.dimensions.items():
            if isinstance(dimension, Choice):
                for label, value in zip(dimension.labels, dimension.values, strict=True):
                    self._categories.setdefault(label.lower(), []).append((name, value))
        listed = sorted(map(re.escape, self._names), key=len, reverse=True)
        self._bare = rf"(?P<name>{'|'.join(listed) or '(?!)'})"
        self._name = rf"(?:the\s+)?{self._bare}"

    def clauses(self, text: str) -> list[tuple[str, Reading]]:
        """Split a text at semicolons and sentences; at "and" where all its parts can be read."""
        found: list[tuple[str, Reading]] = []
        for raw in re.split(r"[;\n]+|\.\s+", text):
            clause = " ".join(raw.split()).strip(" .!")
            if not clause:
                continue
            reading = self.read(clause)
            parts = [p for p in re.split(r",\s*(?:and\s+)?|\s+and\s+", clause) if p]
            if reading.kind == "words" and len(parts) > 1:
                readings = [self.read(part) for part in parts]
                if all(one.kind != "words" for one in readings):
                    found += zip(parts, readings, strict=True)
                    continue
            found.append((clause, reading))
        return found

    def read(self, clause: str) -> Reading:
        """Read one clause; "words" for what no rule reads."""
        clause = re.sub(r"^please\s+|\s+please$", "", clause, flags=re.IGNORECASE)
        low = clause.lower()
        try:
            found = self._order(clause) or self._queued(clause) or self._limit(low)
            found = found or self._formula(clause) or self._values(low) or self._leaning(low)
            return found or self._near_miss(low) or Reading("words")
        except SpaceError as error:
            return Reading("fault", fault=str(error))

    # -- orders and configurations -------------------------------------------------------------

    def _order(self, clause: str) -> Reading | None:
        low = clause.lower()
        for order, pattern in _ORDERS:
            if re.fullmatch(pattern, low):
                return Reading("order", order=order)
        stop = re.fullmatch(r"(?:stop|kill|end|cut) trial (\S+)", clause, re.IGNORECASE)
        if stop:
            return Reading("order", order="stop trial", target=stop[1])
        more = re.fullmatch(r"(?:(?:run |add )?(\d+) more trials?|more trials?:? ?(\d*))", low)
        if more:
            return Reading("more trials", target=more[1] or more[2])
        back = r"(?:take back|undo|withdraw|cancel|forget)(?: (?:wish|number|no\.?))? ?#?(\d{1,6})"
        undo = re.fullmatch(back, low) or re.fullmatch(r"take (?:wish )?#?(\d{1,6}) back", low)
        return Reading("take back", target=undo[1]) if undo else None

    def _queued(self, clause: str) -> Reading | None:
        """ "enqueue lr=3e-4, width=128"."""
        found = re.fullmatch(r"(?:enqueue|queue|try|run|test)\s+(.+)", clause, re.IGNORECASE)
        value = r"""("[^"]*"|'[^']*'|\[[^\]]*\]|\([^)]*\)|[^,\s=<>]+)"""
        pair = re.compile(rf"([\w/.\- ]+?)\s*=\s*{value}(?:\s*,\s*|\s+and\s+|\s+|$)")
        if not found or pair.sub("", found[1]).strip() or not pair.search(found[1]):
            return None
        config: Config = {}
        for name, text in pair.findall(found[1]):
            own = self._names.get(name.strip().lower())
            if own is None:
                raise SpaceError(unknown(name.strip(), self._space.dimensions, self._names))
            config[own] = self._value(own, text)
        return Reading("configuration", config=config)

    def _value(self, name: str, text: str) -> Any:
        dimension = self._space.dimensions[name]
        if isinstance(dimension, Choice):
            for place, value in self._categories.get(text.strip("\"'").lower(), ()):
                if place == name:
                    return value
        try:
            raw = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            raw = text
        try:
            return own_value(dimension, raw)
        except ConfigError as error:
            raise SpaceError(f"{name}: {error}") from None

    # -- limits --------------------------------------------------------------------------------

    def _formula(self, clause: str) -> Reading | None:
        """What is written as in Python: "width * depth <= 2048"."""
        if not re.search(r"[<>=]|\bin\s*[(\[]", clause):
            return None
        text = re.sub(r"(?<![<>=!])=(?!=)", "==", clause.replace("≤", "<=").replace("≥", ">="))
        return _restriction(one.text for one in read_restrictions(text, self._space.dimensions))

    def _limit(self, low: str) -> Reading | None:
        """ "keep lr below 0.01", "width between 64 and 512"."""
        head = rf"{_LEAD}{self._name}{_BE}"
        found = re.fullmatch(rf"{head}\s+(?P<sign>{_SIGN})\s+(?P<number>{_NUMBER})", low)
        if found:
            name = self._names[found["name"]]
            sign = next(s for s, words in _SIGNS.items() if re.fullmatch(words, found["sign"]))
            return self._checked(f"{name} {sign} {found['number']}")
        number = rf"(?P<a>{_NUMBER})\s+(?:and|to)\s+(?P<b>{_NUMBER})"
        found = re.fullmatch(rf"{head}\s+(?:between|from|within|in)\s+{number}", low)
        if found:
            name = self._names[found["name"]]
            ends = sorted((found["a"], found["b"]), key=float)
            return self._checked(f"{name} >= {ends[0]}", f"{name} <= {ends[1]}")
        return None

    def _values(self, low: str) -> Reading | None:
        """ "activation is not tanh", "stop trying sgd", "only adam or adamw", "fix lr at 0.1"."""
        found = re.fullmatch(rf"{_LEAD}{self._name}\s+{_NOT}\s+(?P<what>.+)", low)
        if found:
            return self._excluded(self._listed(found["what"], self._names[found["name"]]))
        found = re.fullmatch(rf"{_STOP}\s+(?P<what>.+)", low)
        if found:
            return self._excluded(self._listed(found["what"]))
        found = re.fullmatch(
            rf"(?:fix|keep|set|hold)\s+{self._name}\s+(?:at|to)\s+(?P<what>.+)", low
        )
        found = found or re.fullmatch(
            rf"{_LEAD}{self._name}\s+(?:is|must be|should be|has to be|stays)\s+(?:only\s+)?"
            r"(?P<what>.+)", low,
        )  # fmt: skip
        if found:
            return self._allowed(self._listed(found["what"], self._names[found["name"]]))
        found = re.fullmatch(rf"{_ONLY}\s+(?P<what>.+)", low)
        return self._allowed(self._listed(found["what"])) if found else None

    def _listed(self, text: str, name: str | None = None) -> list[tuple[str, Any]] | None:
        """The values that a list of words names, None where one of them is none."""
        found: list[tuple[str, Any]] = []
        for part in re.split(r"\s*(?:,|\band\b|\bor\b)\s*", text):
            one = self._category(part.strip("\"' "), name)
            if one is None:
                return None
            found.append(one)
        return found

    def _category(self, word: str, name: str | None) -> tuple[str, Any] | None:
        """The parameter and value that a word means; "adam", "the adam optimizer", "batch 64"."""
        if name is not None:
            if re.fullmatch(_NUMBER, word) or word in self._categories:
                return name, self._value(name, word)
            return None
        places = self._categories.get(word, [])
        if len(places) > 1:
            names = " and of ".join(place for place, _ in places)
            raise SpaceError(f"{word} is a value of {names}; say '{places[0][0]} is not {word}'")
        if places:
            return places[0]
        named = re.fullmatch(rf"{self._name}\s+(?P<v>\S+)", word)
        named = named or re.fullmatch(rf"(?:the\s+)?(?P<v>\S+)\s+{self._bare}", word)
        return self._category(named["v"], self._names[named["name"]]) if named else None

    def _excluded(self, listed: list[tuple[str, Any]] | None) -> Reading | None:
        return _restriction(self._texts(listed, "!=", "not in")) if listed else None

    def _allowed(self, listed: list[tuple[str, Any]] | None) -> Reading | None:
        return _restriction(self._texts(listed, "==", "in")) if listed else None

    def _texts(self, listed: list[tuple[str, Any]], one: str, several: str) -> list[str]:
        by_name: dict[str, list[str]] = {}
        for name, value in listed:
            shown = repr(self._space.dimensions[name].show(value))
            by_name.setdefault(name, []).append(shown)
        return [
            f"{name} {one} {shown[0]}"
            if len(shown) == 1
            else f"{name} {several} ({', '.join(shown)})"
            for name, shown in by_name.items()
        ]

    def _checked(self, *texts: str) -> Reading:
        dimensions = self._space.dimensions
        return _restriction(
            one.text for text in texts for one in read_restrictions(text, dimensions)
        )

    # -- leanings ------------------------------------------------------------------------------

    def _leaning(self, low: str) -> Reading | None:
        """ "prefer small models", "lr around 3e-4", "prefer adam"."""
        space = self._space
        of = r"(?:\s+values?\s+(?:of|for))?\s+(?:the\s+)?"
        size = r"(?P<size>models?|networks?|nets?|architectures?|trees?)"
        side = rf"(?:a\s+)?(?:(?P<small>{_SMALL})|(?P<large>{_LARGE}))"
        found = re.fullmatch(rf"(?:{_LIKE}\s+)?{side}{of}(?:{self._name}s?|{size})", low)
        if found:
            side = found["small"] or found["large"]
            names = sizes(space, side) if found["size"] else [self._names[found["name"]]]
            belief = lean_to_side(space, names, -1 if found["small"] else 1)
            return Reading("preference", belief=belief) if belief.places else None
        near = r"(?:around|near|about|close to|roughly)"
        sure = r"(?:\s+(?:is|lies|should be))?(?:\s+(?:probably|likely|best))?"
        pattern = rf"(?:{_LIKE}\s+)?{self._name}{sure}\s+{near}\s+(?P<number>{_NUMBER})"
        found = re.fullmatch(pattern, low)
        if found:
            name, number = self._names[found["name"]], float(found["number"])
            own = self._value(name, found["number"])
            if isinstance(own, int | float):
                return Reading("preference", belief=lean_to_number(space, name, number))
        found = re.fullmatch(rf"{_LIKE}\s+(?P<what>.+)", low)
        listed = self._listed(found["what"]) if found else None
        if not listed:
            return None
        belief = Belief()
        for name in dict.fromkeys(name for name, _ in listed):
            values = [value for other, value in listed if other == name]
            belief = lean_to_values(space, name, values).over(belief)
        return Reading("preference", belief=belief)

    # -- what is nearly one of these -----------------------------------------------------------

    def _near_miss(self, low: str) -> Reading | None:
        """A limit of a parameter that is not there, or of a value that nearly is."""
        found = re.fullmatch(rf"{_LEAD}(?P<what>[\w/.-]+){_BE}\s+(?:{_SIGN})\s+{_NUMBER}", low)
        if found:
            raise SpaceError(unknown(found["what"], self._space.dimensions, self._names))
        found = re.fullmatch(rf"(?:{_STOP}|{_ONLY}|{_LIKE})\s+(?P<what>\S+)", low)
        near = get_close_matches(found["what"], self._categories, n=1) if found else []
        if found and near:
            name = self._categories[near[0]][0][0]
            raise SpaceError(
                f"{found['what']!r} is no value here; did you mean {near[0]!r} of {name}?"
            )
        return None


def _restriction(texts: Iterable[str]) -> Reading:
    return Reading("restriction", restrictions=tuple(texts))


def _aliases(space: SearchSpace) -> dict[str, str]:
    """What people call each parameter, in lower case."""
    said: dict[str, set[str]] = {}
    roles, _ = assign_roles(space.dimensions)
    for name in space.dimensions:
        last = re.split(r"[/.:]", name)[-1]
        role = (roles[name] or last).replace("_", " ")
        for alias in {name, name.replace("_", " "), last, last.replace("_", " "), role}:
            said.setdefault(alias.lower(), set()).add(name)
    aliases = {alias: names.pop() for alias, names in said.items() if len(names) == 1}
    return aliases | {name.lower(): name for name in space.dimensions}
