"""The room that knows Ray Tune: the searcher, the callback, and the way between the two spaces."""

from raymimic.tune.callback import RaymimicCallback
from raymimic.tune.searcher import LLMSearcher

__all__ = ["LLMSearcher", "RaymimicCallback"]
