"""Change a request until its server takes it, and note what that teaches of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raymimic.errors import BadReply, LLMError
from raymimic.llm.base import Request
from raymimic.llm.context import LEAST_REPLY, Room, fitted, read_reply_limit, read_room, shortened
from raymimic.llm.failures import RequestRefused
from raymimic.llm.learnt import Learnt

SYSTEM = "system"
"""In `Learnt.without`: the system role, whose text then stands in the user's turn."""

# Gemma's and Mistral's templates, OpenAI's o1, Google's API, pydantic's words for a role.
_NO_SYSTEM = re.compile(
    r"system[ _]?(role|message|prompt|instruction)|(developer|system) instruction|"
    r"\broles?\b.{0,40}(must|alternate|'system'|\"system\"|\bsystem\b)|\bonly user\b|"
    r"'user' or 'assistant'|\bgot system\b",
    re.IGNORECASE,
)

# A server's own fault (500) that is a refusal all the same: llama.cpp's grammar, and the validation
# of llama-cpp-python's server, which answers so.
_NO_SCHEMA = re.compile(r"grammar|response_format.*(input should be|not supported|unsupported)")

_MOST_CHANGES = 8  # of one question; a refusal costs no tokens
_MOST_LARGER = 2  # tries after a reply that was cut off, which do
_SHORT_OF_CAP = 0.8  # of the cap: a reply cut off before was cut off by something else

NEWER_CAP = "max_completion_tokens"
"""In `Learnt.without`: the newer name of the cap, which some servers ignore without a word."""


class Adaptation:
    """One question on its way: ``request`` as it goes out next, ``learnt`` as it then would be.

    ``fields`` are what a server may not know, each with words of a refusal that mean it. With a
    ``fixed_cap`` (tokens) a reply that was cut off by it is not asked for again. ``own``: the
    server is the user's, not the provider. ``paid_in`` and ``paid_out`` are the tokens of replies
    that could not be used and were asked for again.
    """

    def __init__(
        self,
        request: Request,
        learnt: Learnt,
        fields: Mapping[str, Sequence[str]],
        fixed_cap: int | None,
        *,
        own: bool = False,
    ) -> None:
        self.learnt, self._fields, self._fixed = learnt, fields, fixed_cap is not None
        self._own = own
        self.request = replace(request, max_tokens=fixed_cap or learnt.cap(request.max_tokens))
        self.paid_in = self.paid_out = 0
        self._changes = self._larger = 0
        if learnt.context is not None:
            self.request = fitted(self.request, learnt.context, self._prompt)

    @property
    def _prompt(self) -> int:
        """The prompt's tokens, by what the server counted before."""
        text = len(self.request.system) + len(self.request.user)
        return int(text / self.learnt.characters) + 1

    def adapt(self, failure: LLMError) -> bool:
        """Change the request after a failure; whether it is worth asking again at once."""
        self._changes += 1
        if self._changes > _MOST_CHANGES:
            return False
        if isinstance(failure, BadReply):
            return failure.status == "truncated" and self._allow_more(failure)
        if not isinstance(failure, RequestRefused):
            return False
        return self._make_room(failure.said) or self._go_without(failure)

    def _allow_more(self, failure: BadReply) -> bool:
        """The reply was cut off, often by reasoning that nobody sees: allow it much more.

        Cut off well below our cap, something else did it: the cap's newer name was not heard, or
        prompt and reply filled the context (llama.cpp says no more than that).
        """
        cap, without = self.request.max_tokens, self.learnt.without
        below = self._own and 0 < failure.tokens_out < _SHORT_OF_CAP * cap
        unheard = below and NEWER_CAP in self._fields and NEWER_CAP not in without
        if self._larger == _MOST_LARGER:
            return False
        if below and not unheard and self._make_room_for_reply(failure):
            return True
        wider = self.request
        if not self._fixed:
            wider = replace(wider, max_tokens=self.learnt.larger(cap))
        if self.learnt.context is not None:
            wider = fitted(wider, self.learnt.context, self._prompt)
        if wider.max_tokens <= cap and not unheard:
            return False
        self._pay(failure)
        if wider.max_tokens > cap:
            self.learnt = replace(self.learnt, reply_tokens=wider.max_tokens)
        if unheard:
            self.learnt = replace(self.learnt, without=without | {NEWER_CAP})
        self.request = wider
        return True

    def _make_room_for_reply(self, failure: BadReply) -> bool:
        """Prompt and reply together filled the context: a shorter prompt, if that is possible."""
        if failure.tokens_in == 0:
            return False
        window = failure.tokens_in + failure.tokens_out
        smaller = fitted(self.request, window, failure.tokens_in)
        if smaller.user == self.request.user:
            return False
        self._pay(failure)
        characters = (len(self.request.system) + len(self.request.user)) / failure.tokens_in
        self.learnt = replace(self.learnt, context=window, characters=max(0.5, characters))
        self.request = smaller
        return True

    def _pay(self, failure: BadReply) -> None:
        self._larger += 1
        self.paid_in += failure.tokens_in
        self.paid_out += failure.tokens_out

    def _make_room(self, said: str) -> bool:
        """The cap is above the server's limit, or prompt and reply do not fit its context."""
        cap = self.request.max_tokens
        room = read_room(said, cap)
        if room is not None:
            before, self.request = self.request, self._fitted(room)
            return self.request != before
        limit = read_reply_limit(said, cap)
        if limit is None:
            return False
        self.request = replace(self.request, max_tokens=limit)
        self.learnt = replace(self.learnt, reply_limit=limit)
        return True

    def _fitted(self, room: Room) -> Request:
        cap = self.request.max_tokens
        if room.window is None:
            if cap > LEAST_REPLY:
                return replace(self.request, max_tokens=max(cap // 2, LEAST_REPLY))
            return shortened(self.request, 0.6)
        # Without its count the prompt is taken to leave half of the cap at most.
        prompt = room.prompt or max(self._prompt, room.window - cap // 2)
        characters = (len(self.request.system) + len(self.request.user)) / prompt
        self.learnt = replace(self.learnt, context=room.window, characters=max(0.5, characters))
        return fitted(self.request, room.window, prompt)

    def _go_without(self, failure: RequestRefused) -> bool:
        """Leave out what the server's words name; of a server's own fault only the clearest."""
        without, said = self.learnt.without, failure.said.lower()
        found = None
        if SYSTEM not in without and _NO_SYSTEM.search(said):
            found = SYSTEM
        else:
            for name, words in self._fields.items():
                if name not in without and any(_names(word, said) for word in words):
                    found = name
                    break
        clear = found == SYSTEM or (found == "schema" and _NO_SCHEMA.search(said))
        if found is None or (failure.retryable and not clear):
            return False
        self.learnt = replace(self.learnt, without=without | {found})
        return True


def _names(word: str, said: str) -> bool:
    """Whether the word stands by itself: "strict" is not in "restricted"."""
    return re.search(rf"(?<![a-z]){re.escape(word)}(?![a-z])", said) is not None
