"""Records what a running model server sends to the questions that tell servers apart.

    python -m experiments.servers.record --name NAME --url http://127.0.0.1:8000/v1 --model MODEL

Prints one JSON line an exchange: server, probe, HTTP status and body (its texts cut to 300
characters). `tests/llm/recorded_servers.jsonl` holds the lines that taught us something.
"""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from typing import Any

from raymimic.advisor import SearchEvidence
from raymimic.advisor.llm import build_request
from raymimic.llm import Request
from raymimic.llm.message import turns
from raymimic.space import Choice, FloatRange, SearchSpace

SPACE = SearchSpace({"lr": FloatRange(1e-5, 1.0, log=True), "width": Choice((32, 64))})
QUESTION = build_request(SearchEvidence(SPACE, "val_loss", "min"), 9)
_TEXT = 300  # characters kept of each text in a body


def body_of(request: Request, model: str, **more: Any) -> dict[str, Any]:
    """The body that `OpenAILLM` sends at first, with some fields changed."""
    wanted = {"name": "reply", "schema": dict(request.schema), "strict": True}
    return {
        "model": model,
        "messages": turns(request, ()),
        "max_completion_tokens": 512,
        "response_format": {"type": "json_schema", "json_schema": wanted},
        **more,
    }


def probes(model: str) -> dict[str, dict[str, Any]]:
    """The questions by name."""
    plain = body_of(QUESTION, model)
    long = [*plain["messages"][:-1], {"role": "user", "content": "trial 1: lr=0.1\n" * 20_000}]
    older = {key: value for key, value in plain.items() if key != "max_completion_tokens"}
    no_schema = {key: value for key, value in plain.items() if key != "response_format"}
    unreadable = {
        "type": "json_schema",
        "json_schema": {"name": "r", "schema": {"type": "nonsense"}},
    }
    return {
        "question": plain,
        "no schema": no_schema,
        "older cap": {**older, "max_tokens": 512},
        "cap of 5": {**plain, "max_completion_tokens": 5},
        "cap of a million": {**plain, "max_completion_tokens": 10**6},
        "prompt too long": {**plain, "messages": long},
        "unknown model": {**plain, "model": "nobody/knows-this"},
        "unknown field": {**plain, "no_such_field": 1},
        "schema it cannot read": {**plain, "response_format": unreadable},
        "JSON mode": {**plain, "response_format": {"type": "json_object"}},
    }


def exchange(url: str, body: dict[str, Any], seconds: float = 120.0) -> tuple[int, Any]:
    """The status and the body that the server answers; a body that is no JSON as text."""
    data = json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer unused"}
    question = urllib.request.Request(f"{url}/chat/completions", data, headers)
    try:
        with urllib.request.urlopen(question, timeout=seconds) as answer:
            status, raw = answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        status, raw = refused.code, refused.read()
    except OSError as broken:
        return 0, repr(broken)
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode(errors="replace")


def short(value: Any) -> Any:
    """The body with its texts cut short and without what no client reads."""
    if isinstance(value, str):
        return value if len(value) <= _TEXT else value[:_TEXT] + "…"
    if isinstance(value, list):
        return [short(item) for item in value[:20]]
    if isinstance(value, dict):
        return {key: short(item) for key, item in value.items() if key not in ("timings", "id")}
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--name", "--url", "--model"):
        parser.add_argument(name, required=True)
    given = parser.parse_args()
    for probe, body in probes(given.model).items():
        status, answer = exchange(given.url, body)
        row = {"server": given.name, "probe": probe, "status": status, "body": short(answer)}
        print(json.dumps(row, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
