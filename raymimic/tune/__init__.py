"""The room that knows Ray Tune: searcher, scheduler, callback, guide, and live knobs."""

from raymimic.tune.callback import RaymimicCallback
from raymimic.tune.estimators import model_space
from raymimic.tune.evolution_search import GuidedEvolutionSearch
from raymimic.tune.evolution_trainable import program_trainable
from raymimic.tune.guide import Guide
from raymimic.tune.invention_search import SelfDevelopingSearch
from raymimic.tune.invention_trainable import merge_trainable
from raymimic.tune.live import LiveKnobs, TrialKnobs
from raymimic.tune.plain_space import plain_space
from raymimic.tune.scheduler import LLMScheduler
from raymimic.tune.searcher import LLMSearcher
from raymimic.tune.wiring import Raymimic

__all__ = [
    "Guide",
    "GuidedEvolutionSearch",
    "LLMScheduler",
    "LLMSearcher",
    "LiveKnobs",
    "Raymimic",
    "RaymimicCallback",
    "SelfDevelopingSearch",
    "TrialKnobs",
    "merge_trainable",
    "model_space",
    "plain_space",
    "program_trainable",
]
