"""raymimic: a Ray Tune searcher that reads learning curves and says why.

Everything a user needs is importable from here; heavy rooms are imported on first use.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raymimic.advisor import (
        Adjuster,
        Adjustment,
        AdjustmentAdvice,
        Advisor,
        HeuristicAdvisor,
        LLMAdvisor,
        MixtureAdvisor,
        Operation,
        RandomAdvisor,
        RunEvidence,
        SearchEvidence,
        StatisticalAdvisor,
        TrialRecord,
    )
    from raymimic.curves import Curve, CurveHistory, Diagnosis, Signal, diagnose
    from raymimic.errors import RaymimicError
    from raymimic.evolution import TrainingTask
    from raymimic.ledger import Ledger, read_events
    from raymimic.llm import (
        LLM,
        AnthropicLLM,
        Gateway,
        OpenAILLM,
        Price,
        ReplayLLM,
        Reply,
        Request,
        ScriptedLLM,
    )
    from raymimic.modulation import Limits, Modulator
    from raymimic.records import Advice, Knob, Proposal
    from raymimic.space import SearchSpace
    from raymimic.tune import (
        Guide,
        GuidedEvolutionSearch,
        LiveKnobs,
        LLMScheduler,
        LLMSearcher,
        RaymimicCallback,
        program_trainable,
    )

__version__ = "0.1.0"

_ROOMS = {
    "Adjuster": "advisor",
    "Adjustment": "advisor",
    "AdjustmentAdvice": "advisor",
    "Advice": "records",
    "Advisor": "advisor",
    "AnthropicLLM": "llm",
    "Curve": "curves",
    "CurveHistory": "curves",
    "Diagnosis": "curves",
    "Gateway": "llm",
    "Guide": "tune",
    "GuidedEvolutionSearch": "tune",
    "HeuristicAdvisor": "advisor",
    "Knob": "records",
    "LLM": "llm",
    "LLMAdvisor": "advisor",
    "LLMScheduler": "tune",
    "LLMSearcher": "tune",
    "Ledger": "ledger",
    "Limits": "modulation",
    "LiveKnobs": "tune",
    "MixtureAdvisor": "advisor",
    "Modulator": "modulation",
    "OpenAILLM": "llm",
    "Operation": "advisor",
    "Price": "llm",
    "Proposal": "records",
    "RandomAdvisor": "advisor",
    "RaymimicCallback": "tune",
    "RaymimicError": "errors",
    "ReplayLLM": "llm",
    "Reply": "llm",
    "Request": "llm",
    "RunEvidence": "advisor",
    "ScriptedLLM": "llm",
    "SearchEvidence": "advisor",
    "SearchSpace": "space",
    "Signal": "curves",
    "StatisticalAdvisor": "advisor",
    "TrainingTask": "evolution",
    "TrialRecord": "advisor",
    "diagnose": "curves",
    "program_trainable": "tune",
    "read_events": "ledger",
}

__all__ = [
    "Adjuster",
    "Adjustment",
    "AdjustmentAdvice",
    "Advice",
    "Advisor",
    "AnthropicLLM",
    "Curve",
    "CurveHistory",
    "Diagnosis",
    "Gateway",
    "Guide",
    "GuidedEvolutionSearch",
    "HeuristicAdvisor",
    "Knob",
    "LLM",
    "LLMAdvisor",
    "LLMScheduler",
    "LLMSearcher",
    "Ledger",
    "Limits",
    "LiveKnobs",
    "MixtureAdvisor",
    "Modulator",
    "OpenAILLM",
    "Operation",
    "Price",
    "Proposal",
    "RandomAdvisor",
    "RaymimicCallback",
    "RaymimicError",
    "ReplayLLM",
    "Reply",
    "Request",
    "RunEvidence",
    "ScriptedLLM",
    "SearchEvidence",
    "SearchSpace",
    "Signal",
    "StatisticalAdvisor",
    "TrainingTask",
    "TrialRecord",
    "diagnose",
    "program_trainable",
    "read_events",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'raymimic' has no attribute {name!r}")
    return getattr(importlib.import_module(f"raymimic.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def _speak() -> None:
    """Show this package's one-line announcements, as Ray and Optuna show theirs.

    A program that sets up logging for itself before the import keeps its own way.
    """
    logger = logging.getLogger("raymimic")
    if logger.handlers or logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


_speak()
