"""Learning curves: kept, exported, and read."""

from raymimic.curves.curve import Curve
from raymimic.curves.diagnose import diagnose
from raymimic.curves.forecast import Extrapolator, Forecast
from raymimic.curves.history import CurveHistory
from raymimic.curves.pairs import Pair, find_pair
from raymimic.curves.scatter import noise_of
from raymimic.curves.signals import Diagnosis, Signal, SignalKind

__all__ = [
    "Curve",
    "CurveHistory",
    "Diagnosis",
    "Extrapolator",
    "Forecast",
    "Pair",
    "Signal",
    "SignalKind",
    "diagnose",
    "find_pair",
    "noise_of",
]
