"""Advisors: plain evidence in, proposals with reasons out. No Ray, no network code."""

from raymimic.advisor.adjust import (
    OPERATIONS,
    RAW_LIMIT,
    Adjuster,
    Adjustment,
    AdjustmentAdvice,
    Anchor,
    LayerState,
    Operation,
    PastAdjustment,
    RunEvidence,
    build_adjust_request,
)
from raymimic.advisor.asking import ask_adjust, ask_judge, ask_propose
from raymimic.advisor.base import (
    DROPS_KEPT,
    Advisor,
    KnobState,
    Lessons,
    SearchEvidence,
    TrialRecord,
    VerdictKind,
    readings,
)
from raymimic.advisor.belief.belief import belief_from_json, belief_to_json, describe_belief
from raymimic.advisor.belief.lesson_guesses import lessons_note
from raymimic.advisor.belief.openings import opinions
from raymimic.advisor.belief.reading import MODEL, USER, read_belief
from raymimic.advisor.choose import (
    choose_adjuster,
    choose_advisor,
    choose_judge,
    describe_adjuster,
    describe_advisor,
    describe_judge,
)
from raymimic.advisor.from_ledger import ended_trial, evidence_from_ledger, proposal_of
from raymimic.advisor.heuristic import HeuristicAdvisor
from raymimic.advisor.judge import (
    MOST_CASES,
    Action,
    Case,
    Judge,
    JudgeAdvice,
    JudgeEvidence,
    Judgement,
    Leader,
    PastRedirect,
    build_judge_request,
)
from raymimic.advisor.lessons import closing_words, lessons_text, read_lessons, write_lessons_file
from raymimic.advisor.llm import LLMAdvisor, build_request
from raymimic.advisor.propose.mixture import MixtureAdvisor, question_to_guide
from raymimic.advisor.propose.preferences import (
    filled,
    lean_to_number,
    lean_to_side,
    lean_to_values,
    sizes,
)
from raymimic.advisor.propose.random import RandomAdvisor
from raymimic.advisor.propose.statistical import StatisticalAdvisor
from raymimic.advisor.roles import assign_roles
from raymimic.advisor.wishes import (
    KEPT,
    Order,
    Wish,
    WishOutcome,
    belief_of,
    restrictions_of,
    standing,
    wish_of,
    words_of,
)

__all__ = [
    "Action",
    "Adjuster",
    "Adjustment",
    "AdjustmentAdvice",
    "Advisor",
    "Anchor",
    "Case",
    "DROPS_KEPT",
    "HeuristicAdvisor",
    "Judge",
    "JudgeAdvice",
    "JudgeEvidence",
    "Judgement",
    "KEPT",
    "KnobState",
    "LLMAdvisor",
    "LayerState",
    "Leader",
    "Lessons",
    "MODEL",
    "MOST_CASES",
    "MixtureAdvisor",
    "OPERATIONS",
    "Operation",
    "Order",
    "PastAdjustment",
    "PastRedirect",
    "RAW_LIMIT",
    "RandomAdvisor",
    "RunEvidence",
    "SearchEvidence",
    "StatisticalAdvisor",
    "TrialRecord",
    "USER",
    "VerdictKind",
    "Wish",
    "WishOutcome",
    "ask_adjust",
    "ask_judge",
    "ask_propose",
    "assign_roles",
    "belief_from_json",
    "belief_of",
    "belief_to_json",
    "build_adjust_request",
    "build_judge_request",
    "build_request",
    "choose_adjuster",
    "choose_advisor",
    "choose_judge",
    "closing_words",
    "describe_adjuster",
    "describe_advisor",
    "describe_belief",
    "describe_judge",
    "ended_trial",
    "evidence_from_ledger",
    "filled",
    "lean_to_number",
    "lean_to_side",
    "lean_to_values",
    "lessons_note",
    "lessons_text",
    "opinions",
    "proposal_of",
    "question_to_guide",
    "read_belief",
    "read_lessons",
    "readings",
    "restrictions_of",
    "sizes",
    "standing",
    "wish_of",
    "words_of",
    "write_lessons_file",
]
