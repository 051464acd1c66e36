"""Language models: one method, ``complete(request) -> Reply``, and who offers it."""

from raymimic.llm.allowance import Spent
from raymimic.llm.anthropic import AnthropicLLM
from raymimic.llm.auto import PROVIDERS, describe, require_key, resolve_llm
from raymimic.llm.base import LLM, Provider, Relay, Reply, Request
from raymimic.llm.calls import call_record
from raymimic.llm.gateway import Gateway
from raymimic.llm.local import LlamaCppLLM, TransformersLLM
from raymimic.llm.openai import OpenAILLM
from raymimic.llm.prices import PRICES, Price, cost, estimate_tokens
from raymimic.llm.replay import ReplayLLM, request_json, request_key
from raymimic.llm.reply_json import read_reply, unquoted
from raymimic.llm.scripted import ScriptedLLM
from raymimic.llm.strict_json import read_object

__all__ = [
    "AnthropicLLM",
    "Gateway",
    "LLM",
    "LlamaCppLLM",
    "OpenAILLM",
    "PRICES",
    "PROVIDERS",
    "Price",
    "Provider",
    "Relay",
    "ReplayLLM",
    "Reply",
    "Request",
    "ScriptedLLM",
    "Spent",
    "TransformersLLM",
    "call_record",
    "cost",
    "describe",
    "estimate_tokens",
    "read_object",
    "read_reply",
    "request_json",
    "request_key",
    "require_key",
    "resolve_llm",
    "unquoted",
]
