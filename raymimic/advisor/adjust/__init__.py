"""What changes in one running training: evidence, operations, rules, question and reply."""

from raymimic.advisor.adjust.evidence import (
    Adjuster,
    Adjustment,
    AdjustmentAdvice,
    Anchor,
    LayerState,
    Operation,
    PastAdjustment,
    RunEvidence,
)
from raymimic.advisor.adjust.operations import OPERATIONS, RAW_LIMIT, OperationKind
from raymimic.advisor.adjust.prompt import build_adjust_request
from raymimic.advisor.adjust.reply import read_adjustment
from raymimic.advisor.adjust.rules import adjustment_of

__all__ = [
    "Adjuster",
    "Adjustment",
    "AdjustmentAdvice",
    "Anchor",
    "LayerState",
    "OPERATIONS",
    "Operation",
    "OperationKind",
    "PastAdjustment",
    "RAW_LIMIT",
    "RunEvidence",
    "adjustment_of",
    "build_adjust_request",
    "read_adjustment",
]
