"""Every way a language model's service can fail, against both SDKs: what comes out, and when.

    python -m experiments.faults.llm [--deadline 3] [--only WORD] [--out DIR]

A loopback server misbehaves (`raymimic.testing.server`), or there is none; the real `anthropic` and
`openai` clients ask it what `LLMAdvisor.propose` and `.adjust` ask. An answer is a decision or an
`AdvisorError` with its reason and all its calls, within the deadline and --margin seconds: anything
else is a fault of ours, is marked "WRONG" and makes the exit status 1. Writes matrix.jsonl (a row
for each fault, SDK and question) and matrix.md into --out.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic  # noqa: F401 - no deadline pays for the import
import openai  # noqa: F401

from raymimic import AnthropicLLM, LLMAdvisor, OpenAILLM
from raymimic.advisor import SearchEvidence
from raymimic.errors import AdvisorError
from raymimic.space import Choice, FloatRange, IntRange, SearchSpace
from raymimic.testing.runs import evidence as run_evidence
from raymimic.testing.server import Body, Fault, Says, Status, StubServer

KEY = "sk-ant-recognisable-0123456789abcdef"
SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "net/width": IntRange(8, 512),
        "optimizer": Choice(("sgd", "adam")),
    }
)
SEARCH = SearchEvidence(SPACE, "val_loss", "min")
RUN = run_evidence()

CONFIG = {"lr": 0.01, "net/width": 64, "optimizer": "adam"}
GOOD = {
    "proposals": [{"config": CONFIG, "rationale": "practice", "expected": 0.4}] * 2,
    "review": "", "rationale": "practice", "knobs": {"lr": 0.002, "dropout": None},
    "alpha": None, "operations": [],
}  # fmt: skip
OUT_OF_RANGE = {
    "proposals": [{"config": {**CONFIG, "lr": 1e30, "net/width": -5}, "rationale": 3}],
    "knobs": {"lr": 1e30}, "alpha": -7, "operations": [{"kind": "noise", "amount": 9}] * 3,
}  # fmt: skip
DEEP = 10_000


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"message": message, **more}


def good_with(old: str, new: str) -> Says:
    """The good reply, its text changed."""
    text = json.dumps(GOOD)
    assert old in text
    return Says(text.replace(old, new))


def statuses() -> dict[str, Fault]:
    spend = error("limit", type="rate_limit_error", code="insufficient_quota",
                  details={"error_code": "enforced_spend_limit_reached"})  # fmt: skip
    told = {
        "400": error("max_tokens: too large", type="invalid_request_error"),
        "401 expired key": error(f"API key {KEY} has expired", type="authentication_error"),
        "403": error("not allowed", type="permission_error"),
        "404": error("model: no-such-model", type="not_found_error"),
        "408": error("timed out"),
        "413": error("request too large", type="request_too_large"),
        "429 rate limit": error("slow down", type="rate_limit_error"),
        "429 spend limit": spend,
        "500": error("internal", type="api_error"),
        "502": error("bad gateway"),
        "503": error("unavailable"),
        "529 overloaded": error("overloaded", type="overloaded_error"),
    }
    found: dict[str, Fault] = {
        f"HTTP {name}": Status(int(name[:3]), error=body) for name, body in told.items()
    }
    found["HTTP 429, retry-after an hour"] = Status(429, {"retry-after": "3600"})
    found["HTTP 307 to elsewhere"] = Status(307, {"location": "http://127.0.0.1:9/"})
    found["HTTP 500 of 10 MB"] = Body(b"x" * 10_000_000, 500)
    found["HTTP 400 nested 10,000 deep"] = Body(
        b'{"error":' + b"[" * DEEP + b"]" * DEEP + b"}", 400
    )
    return found


def bodies() -> dict[str, Fault]:
    bomb = gzip.compress(b" " * 100_000_000)
    return {
        "empty body": Body(b""),
        "HTML page": "html",
        "text/plain, else sound": Body(b"{reply}", kind="text/plain"),
        "sound JSON of another kind": Body(b'{"status": "ok"}'),
        "body cut short": "cut_body",
        "JSON body cut, length right": "bad_body",
        "10 MB body": Body(b"[" + b"1," * 5_000_000 + b"1]"),
        "endless body": "endless",
        "gzip bomb (100 MB in 100 KB)": Body(bomb, headers={"content-encoding": "gzip"}),
        "body nested 10,000 deep": Body(b'{"content":' + b"[" * DEEP + b"]" * DEEP + b"}"),
        "token counts of 401 digits": Body(
            b'{"usage": {"input_tokens": 1%(0)s, "output_tokens": 1%(0)s, "prompt_tokens": 1%(0)s, '
            b'"completion_tokens": 1%(0)s}, "content": [{"type": "text", "text": "{}"}], '
            b'"choices": [{"message": {"content": "{}"}}]}' % {b"0": b"0" * 400}
        ),
        "no HTTP at all": "garbage",
    }


def replies() -> dict[str, Fault]:
    text = json.dumps(GOOD)
    return {
        "good reply (control)": Says(text),
        "good reply in a fence": Says(f"```json\n{text}\n```"),
        "junk": Says("I think a higher learning rate would be nice."),
        "prose around the JSON": Says(f"Sure! {text} Hope this helps."),
        "cut JSON": Says(text[: len(text) // 2]),
        "NaN": good_with("0.01", "NaN"),
        "Infinity": good_with("0.01", "-Infinity"),
        "1e999": good_with("0.01", "1e999"),
        "duplicate keys": good_with('"net/width": 64', '"lr": 0.5, "net/width": 64'),
        "nested 10,000 deep": Says('{"proposals":' + "[" * DEEP + "]" * DEEP + "}"),
        "integer of 10,000 digits": good_with('"net/width": 64', '"net/width": 6' + "4" * 9999),
        "half a surrogate pair": good_with("practice", "\\ud800"),
        "a list": Says(json.dumps([GOOD])),
        "wrong schema": Says('{"proposals": {"lr": 1}, "knobs": [1], "operations": "all"}'),
        "wrong types in items": Says('{"proposals": [1, null, {"config": 3}], "operations": [4]}'),
        "out of range": Says(json.dumps(OUT_OF_RANGE)),
        "unknown category, extra keys": good_with('"adam"', '"../../etc", "__class__": {"x": 1}'),
        "5,000 items": Says(json.dumps({"proposals": [1] * 5000, "operations": [1] * 4000})),
        "empty text": Says(""),
        "refusal": "refusal",
        "cut at max_tokens": "truncated",
        "no text block": "no_text",
    }


def transport() -> dict[str, Fault]:
    return {"hang": "hang", "a byte a second": "drip", "connection reset": "reset"}


ELSEWHERE = {
    "no such host (DNS)": "http://no-such-host.invalid",
    "port closed": "http://127.0.0.1:9",
    "TLS to a port without": "https://{host}",
    "listens, never accepts": "http://{silent}",
}


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A port whose queue of connections is full: packets get no answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"
        for one in waiting:
            one.close()


def make_llm(sdk: str, url: str) -> Any:
    if sdk == "anthropic":
        return AnthropicLLM(base_url=url)
    return OpenAILLM(base_url=f"{url}/v1")


def ask(llm: Any, question: str, deadline: float) -> dict[str, Any]:
    """One question through the real path; what came of it in words."""
    advisor = LLMAdvisor(llm, timeout=deadline)
    row: dict[str, Any] = {"wrong": ""}
    begun = time.monotonic()
    try:
        if question == "propose":
            advice = advisor.propose(SEARCH, 2)
            row["outcome"] = f"{len(advice.proposals)} proposals"
            checked = [SPACE.check(p.config) for p in advice.proposals if fits(p.config)]
            row["outcome"] += f", {len(checked)} fit"
        else:
            advice = advisor.adjust(RUN)
            move = advice.adjustment
            row["outcome"] = f"{len(move.knobs)} knobs, {len(move.operations)} operations"
        row |= {"counted": "ok", "drops": len(advice.drops), "calls": statuses_of(advice.calls)}
    except AdvisorError as error:
        row |= {"outcome": "rejected", "counted": error.reason, "final": error.permanent}
        row |= {"calls": statuses_of(error.calls), "text": str(error)}
        if KEY in str(error) or KEY in repr(error.calls):
            row["wrong"] = "the key is in the error"
        if not error.calls:
            row["wrong"] = "no call counted"
    except Exception as error:  # noqa: BLE001 - what must not happen is what is looked for
        row |= {"outcome": f"{type(error).__name__}: {error}", "wrong": "exception", "counted": ""}
    row["seconds"] = round(time.monotonic() - begun, 3)
    return row


def fits(config: dict[str, Any]) -> bool:
    try:
        SPACE.check(config)
    except ValueError:
        return False
    return True


def statuses_of(calls: tuple[Any, ...]) -> list[list[str]]:
    """Of each call its status and those of the tries that failed before."""
    return [[call.status, *call.failed_tries] for call in calls]


def cases(word: str) -> Iterator[tuple[str, Fault | None, str]]:
    """Name, fault and address of every case."""
    for kind in (statuses, transport, bodies, replies):
        for name, fault in kind().items():
            if word in name:
                yield name, fault, "http://{host}"
    for name, url in ELSEWHERE.items():
        if word in name:
            yield name, None, url


def run(name: str, fault: Fault | None, url: str, options: argparse.Namespace) -> list[Any]:
    rows = []
    for sdk in ("anthropic", "openai"):
        for question in ("propose", "adjust"):
            server = StubServer()
            server.text = json.dumps(GOOD)
            server.drip_s = 1.0
            server.faults.extend([] if fault is None else [fault] * 20)
            with server.running(), silent() as nobody:
                llm = make_llm(sdk, url.format(host=server.host, silent=nobody))
                row = ask(llm, question, options.deadline)
            if row["seconds"] > options.deadline + options.margin:
                row["wrong"] = row["wrong"] or "late"
            row |= {"fault": name, "sdk": sdk, "question": question, "deadline": options.deadline}
            rows.append(row)
            if row["wrong"]:
                print(f"WRONG {row}", file=sys.stderr, flush=True)
    return rows


def cell(rows: list[dict[str, Any]]) -> str:
    """What both questions of one SDK came to."""
    texts = []
    for row in rows:
        text = row["outcome"] if row["counted"] == "ok" else f"rejected ({row['counted']})"
        text += f", {row['drops']} dropped" if row.get("drops") else ""
        tries = sum(max(1, len(call) - 1) for call in row.get("calls", []))
        text += f", {tries} requests" if tries > 1 else ""
        texts.append(f"{text}{' WRONG: ' + row['wrong'] if row['wrong'] else ''}")
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| fault | anthropic: propose / adjust | s | openai: propose / adjust | s |",
        "|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(row["fault"] for row in rows):
        cells = []
        for sdk in ("anthropic", "openai"):
            mine = [row for row in rows if (row["fault"], row["sdk"]) == (name, sdk)]
            cells += [cell(mine), " / ".join(f"{row['seconds']:.1f}" for row in mine)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deadline", type=float, default=3.0, help="seconds for a question")
    parser.add_argument("--margin", type=float, default=0.5)
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
        del os.environ[name]
    os.environ.update(ANTHROPIC_API_KEY=KEY, OPENAI_API_KEY=KEY)
    rows = [row for case in cases(options.only) for row in run(*case, options)]
    wrong = sum(bool(row["wrong"]) for row in rows)
    over = max(row["seconds"] - options.deadline for row in rows)
    rejected = sum(row["outcome"] == "rejected" for row in rows)
    text = (
        f"{table(rows)}\n\n{len(rows)} questions, deadline {options.deadline:g} s: "
        f"{len(rows) - rejected - wrong} decisions, {rejected} counted rejections, {wrong} wrong; "
        f"the slowest ended {over:+.2f} s from its deadline.\n"
    )
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "matrix.md").write_text(text)
        lines = (json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
        (options.out / "matrix.jsonl").write_text("".join(lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
