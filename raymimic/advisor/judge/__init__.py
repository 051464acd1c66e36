"""Which running trials go on: evidence, rules, question and reply."""

from raymimic.advisor.judge.evidence import (
    Action,
    Case,
    Judge,
    JudgeAdvice,
    JudgeEvidence,
    Judgement,
    Leader,
    PastRedirect,
)
from raymimic.advisor.judge.prompt import MOST_CASES, build_judge_request
from raymimic.advisor.judge.reply import ACTIONS, read_judgements
from raymimic.advisor.judge.rules import judgement_by_rule

__all__ = [
    "ACTIONS",
    "Action",
    "Case",
    "Judge",
    "JudgeAdvice",
    "JudgeEvidence",
    "Judgement",
    "Leader",
    "MOST_CASES",
    "PastRedirect",
    "build_judge_request",
    "judgement_by_rule",
    "read_judgements",
]
