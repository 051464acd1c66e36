"""Self-Developing: a model invents algorithms that improve a model by merging it with others."""

from raymimic.evolution.purse import Budget
from raymimic.invention.engine import Invention
from raymimic.invention.output import algorithm_file, summary, write_results
from raymimic.invention.preferences import Pairing
from raymimic.invention.records import Invented
from raymimic.invention.settings import Learn, Settings
from raymimic.invention.task import MergeRunner, MergeTask

__all__ = [
    "Budget",
    "Invented",
    "Invention",
    "Learn",
    "MergeRunner",
    "MergeTask",
    "Pairing",
    "Settings",
    "algorithm_file",
    "summary",
    "write_results",
]
