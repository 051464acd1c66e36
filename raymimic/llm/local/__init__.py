"""A language model in this very process: no server, no key, no bill."""

from raymimic.llm.local.transformers import TransformersLLM

__all__ = ["TransformersLLM"]
