"""Learning curves: kept, exported, and read."""

from raymimic.curves.curve import Curve
from raymimic.curves.diagnose import diagnose
from raymimic.curves.history import CurveHistory
from raymimic.curves.signals import Diagnosis, Signal, SignalKind

__all__ = ["Curve", "CurveHistory", "Diagnosis", "Signal", "SignalKind", "diagnose"]
