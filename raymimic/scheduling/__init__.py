"""Decisions on running trials: rules, judgements, redirects, free of Ray."""

from raymimic.scheduling.verdict import Verdict

__all__ = ["Verdict"]
