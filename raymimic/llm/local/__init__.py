"""A language model in this very process: no server, no key, no bill."""

from raymimic.llm.local.base import LocalLLM
from raymimic.llm.local.llamacpp import LlamaCppLLM
from raymimic.llm.local.transformers import TransformersLLM

__all__ = ["LlamaCppLLM", "LocalLLM", "TransformersLLM"]
