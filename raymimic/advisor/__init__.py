"""Advisors: plain evidence in, proposals with reasons out. No Ray, no network code."""

from raymimic.advisor.base import Advisor, SearchEvidence, TrialRecord
from raymimic.advisor.choose import choose_advisor, describe_advisor
from raymimic.advisor.heuristic import HeuristicAdvisor
from raymimic.advisor.llm import LLMAdvisor
from raymimic.advisor.random import RandomAdvisor

__all__ = [
    "Advisor",
    "HeuristicAdvisor",
    "LLMAdvisor",
    "RandomAdvisor",
    "SearchEvidence",
    "TrialRecord",
    "choose_advisor",
    "describe_advisor",
]
