"""In-run modulation: a training's knobs and weights are steered while it runs."""

from raymimic.modulation.guard import Limits
from raymimic.modulation.modulator import Modulator

__all__ = ["Limits", "Modulator"]
