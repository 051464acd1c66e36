"""From the user's ``llm`` setting to an advisor, and one line that says which it is."""

from __future__ import annotations

from raymimic.advisor.adjust import Adjuster
from raymimic.advisor.base import Advisor
from raymimic.advisor.heuristic import HeuristicAdvisor
from raymimic.advisor.judge import Judge
from raymimic.advisor.llm import LLMAdvisor
from raymimic.advisor.propose.mixture import MixtureAdvisor
from raymimic.llm import LLM, describe, require_key, resolve_llm


def choose_advisor(llm: str | LLM | Advisor, *, seed: int, timeout: float) -> Advisor:
    """Return the advisor that ``llm`` means; without a language model, the keyless heuristic.

    A model shares the trials with the statistical proposer; an `Advisor` object is used as it is.
    Raises `LLMSetupError` for a setting that names neither, and for a named model whose key is
    missing: said now, and not by a whole search of random configurations.
    """
    if not isinstance(llm, str) and isinstance(llm, Advisor):
        return llm
    found = resolve_llm(llm)
    if found is None:
        return HeuristicAdvisor(seed)
    require_key(found)
    return MixtureAdvisor(LLMAdvisor(found, timeout), seed)


def choose_adjuster(llm: str | LLM | Adjuster, *, seed: int, timeout: float) -> Adjuster:
    """Return who steers a training: as `choose_advisor`, without a statistical partner."""
    if not isinstance(llm, str) and isinstance(llm, Adjuster):
        return llm
    return _without_partner(llm, seed=seed, timeout=timeout)


def choose_judge(llm: str | LLM | Judge, *, timeout: float) -> Judge:
    """Return who judges running trials: as `choose_adjuster`."""
    if not isinstance(llm, str) and isinstance(llm, Judge):
        return llm
    return _without_partner(llm, seed=0, timeout=timeout)


def _without_partner(llm: str | LLM, *, seed: int, timeout: float) -> HeuristicAdvisor | LLMAdvisor:
    found = resolve_llm(llm)
    if found is None:
        return HeuristicAdvisor(seed)
    require_key(found)
    return LLMAdvisor(found, timeout)


def describe_adjuster(adjuster: Adjuster, llm: object) -> str:
    """Say in one line who steers, as ``llm`` was set."""
    if isinstance(adjuster, LLMAdvisor):
        return f"{describe(adjuster.llm)} reads the curve and steers the training"
    if isinstance(adjuster, HeuristicAdvisor):
        return describe(None, llm, "keyless rules steer the training")
    return f"advisor {adjuster.name} steers the training"


def describe_judge(judge: Judge, llm: object) -> str:
    """Say in one line who judges running trials, as ``llm`` was set."""
    if isinstance(judge, LLMAdvisor):
        return f"{describe(judge.llm)} judges running trials in doubt"
    if isinstance(judge, HeuristicAdvisor):
        return describe(None, llm, "keyless rules turn the knobs of running trials")
    return f"advisor {judge.name} judges running trials in doubt"


def describe_advisor(advisor: Advisor, llm: object) -> str:
    """Say in one line who proposes, as ``llm`` was set."""
    if isinstance(advisor, MixtureAdvisor):
        return (
            f"{describe_advisor(advisor.guide, llm)}, and shares the trials with a Gaussian process"
        )
    if isinstance(advisor, LLMAdvisor):
        return f"{describe(advisor.llm)} reads the curves and proposes"
    if isinstance(advisor, HeuristicAdvisor):
        return describe(None, llm)
    return f"advisor {advisor.name}"
