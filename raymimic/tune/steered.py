"""How a user steers an `LLMSearcher` in words."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from raymimic.search.session import Session
from raymimic.search.steering import Steering


class Steered:
    """The part of a searcher that hears wishes; ``_session`` is its search."""

    _session: Session

    def tell(self, text: str) -> str:
        """Steer the search in words; from any thread, at any time. Return the answer to each wish.

        ``raymimic tell RUN "..."`` does the same from another terminal, and its ``--help`` says
        what can be said. Raises TypeError for what is no text.

        >>> from ray import tune
        >>> from raymimic import LLMSearcher
        >>> space = {"lr": tune.loguniform(1e-5, 1.0)}
        >>> searcher = LLMSearcher(space, "loss", "min", llm="none", seed=0)
        >>> searcher.suggest("t1")
        {'lr': 0.001}
        >>> print(searcher.tell("lr below 1e-3; sing"))  # doctest: +ELLIPSIS
        1. from now on lr < 0.001: lr is now from 1e-05 to 0.001 (was from 1e-05 to 1)
        2. not understood, and no model is there to read it; I can read limits (lr below 0.01; ...
        """
        if not isinstance(text, str):
            raise TypeError(f"a wish must be text, got {type(text).__name__}")
        return self.steering.tell(self._session, text)

    @property
    def steering(self) -> Steering:
        """What was wished so far, and what it comes to."""
        return self._session.steering

    def say_ended(self) -> Any:
        """Tell Tune that there are no more trials: it ends the run with those that run."""
        self.steering.ended = True
        return Searcher.FINISHED
