"""What every `LLM` has to do, as tests."""

from __future__ import annotations

import pickle
import time
import unittest

from raymimic.errors import LLMError
from raymimic.llm import LLM, Reply, Request

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


class LLMConformance:
    """Subclass, and give `make`; a test whose other hook gives None is skipped.

    ``key`` is the secret that the model's environment holds in these tests, if it needs one. A
    question may take ``grace`` seconds longer than its deadline, for a busy machine.
    """

    key = ""
    grace = 5.0

    def make(self) -> LLM:
        """A model that answers a few questions; the answer's text is free."""
        raise NotImplementedError

    def make_silent(self) -> LLM | None:
        """A model whose service takes questions and never answers."""
        return None

    def make_failing(self) -> LLM | None:
        """A model whose service is out of order."""
        return None

    def test_names_its_model(self) -> None:
        """The ledger says who answered."""
        llm = self.make()
        assert isinstance(llm, LLM)
        assert isinstance(llm.model, str)
        assert llm.model

    def test_replies_with_text_and_what_it_took(self) -> None:
        """Unparsed text, token counts, seconds, and a cost that may be unknown."""
        check_reply(self.make().complete(self.request()))

    def test_goes_on_from_a_pickle_that_holds_no_key(self) -> None:
        """Models travel to other processes and into checkpoints, before and after a question."""
        llm = self.make()
        for _ in range(2):
            state = pickle.dumps(llm)
            assert not self.key or self.key.encode() not in state
            assert not self.key or self.key not in repr(llm)
            llm = pickle.loads(state)
            check_reply(llm.complete(self.request()))

    def test_gives_up_at_the_deadline(self) -> None:
        """An `LLMError`, and in time."""
        llm = _or_skip(self.make_silent(), "make_silent")
        begun = time.monotonic()
        assert isinstance(_error(llm, self.request(deadline=0.5)), LLMError)
        assert time.monotonic() - begun < 0.5 + self.grace

    def test_raises_nothing_but_an_llm_error(self) -> None:
        """Its words tell no key."""
        error = _error(_or_skip(self.make_failing(), "make_failing"), self.request(deadline=2.0))
        assert isinstance(error, LLMError), repr(error)
        assert error.status
        assert not self.key or self.key not in str(error)

    def request(self, deadline: float = 10.0) -> Request:
        """A short question."""
        return Request("You tune.", "Which a is next?", SCHEMA, max_tokens=100, deadline=deadline)


def check_reply(reply: Reply) -> None:
    """AssertionError for one that is malformed."""
    assert isinstance(reply, Reply)
    assert isinstance(reply.text, str)
    assert isinstance(reply.model, str)
    assert min(reply.tokens_in, reply.tokens_out) >= 0
    assert reply.seconds >= 0
    assert reply.cost is None or reply.cost >= 0
    assert reply.tries >= 1


def _error(llm: LLM, request: Request) -> Exception | None:
    try:
        llm.complete(request)
    except Exception as error:  # noqa: BLE001 - of what kind it is, the tests say
        return error
    return None


def _or_skip(llm: LLM | None, hook: str) -> LLM:
    if llm is None:
        raise unittest.SkipTest(f"{hook} gives none")
    return llm
