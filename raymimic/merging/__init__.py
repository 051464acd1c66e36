"""Merge models of one architecture: task vectors, six published methods, safetensors in and out."""

from raymimic.merging.files import Checkpoint, merge_files
from raymimic.merging.grouping import By, groups_of
from raymimic.merging.merge import merge_states, task_vectors
from raymimic.merging.methods import (
    Average,
    Dare,
    Method,
    ModelStock,
    TaskArithmetic,
    Ties,
)

__all__ = [
    "Average",
    "By",
    "Checkpoint",
    "Dare",
    "Method",
    "ModelStock",
    "TaskArithmetic",
    "Ties",
    "groups_of",
    "merge_files",
    "merge_states",
    "task_vectors",
]
