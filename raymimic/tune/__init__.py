"""The room that knows Ray Tune: searcher, callback, guide, and the way between the two spaces."""

from raymimic.tune.callback import RaymimicCallback
from raymimic.tune.guide import Guide
from raymimic.tune.scheduler import LLMScheduler
from raymimic.tune.searcher import LLMSearcher

__all__ = ["Guide", "LLMScheduler", "LLMSearcher", "RaymimicCallback"]
