"""What real models write around and into their JSON, and what stays refused."""

from __future__ import annotations

import json
import time

import pytest

from raymimic.advisor.propose.reply import read_proposals
from raymimic.errors import BadReply
from raymimic.llm import read_reply
from raymimic.space import Choice, FloatRange, SearchSpace

SPACE = SearchSpace({"lr": FloatRange(1e-5, 1, log=True), "width": Choice((32, 64))})
CONFIGS = [{"lr": 0.1, "width": 32}, {"lr": 0.2, "width": 64}]
PROPOSALS = [{"config": c, "rationale": "r " * 9, "expected": 0.3} for c in CONFIGS]
GOOD = json.dumps({"proposals": PROPOSALS})
LONG = json.dumps({"proposals": json.dumps(PROPOSALS * 40)})


@pytest.mark.parametrize(
    "text",
    [
        "<think>maybe {lr}? or {\"lr\": 1}</think>\n" + GOOD,
        "so I reason\n</think>\n\n" + GOOD,
        "<|channel|>analysis<|message|>hm {}<|end|><|start|>assistant<|channel|>final<|message|>"
        + GOOD,
        "Sure, the set {a, b} is \"fine\":\n```json\n" + GOOD + "\n```\nGood luck!",
        GOOD + "\n" + GOOD,
        "\ufeff" + GOOD,
        GOOD.replace("r r r", "r\nr\tr"),
        GOOD.replace("}]}", "},]\n,}"),
        json.dumps(GOOD),
        json.dumps(json.dumps(GOOD)),
        json.dumps(PROPOSALS),
        json.dumps({"proposals": json.dumps(PROPOSALS)}),
        json.dumps({"proposals": [json.dumps(item) for item in PROPOSALS]}),
        json.dumps({"proposals": [{"config": json.dumps(config)} for config in CONFIGS]}),
        json.dumps({"proposals": CONFIGS}),
        json.dumps({"proposals": dict(zip("12", PROPOSALS, strict=True))}),
        json.dumps({"name": "reply", "arguments": {"proposals": PROPOSALS}}),
        json.dumps({"name": "reply", "arguments": GOOD}),
        LONG,
    ],
)  # fmt: skip
def test_what_is_clear_is_read_and_counted_as_repaired(text: str) -> None:
    repairs: list[str] = []
    advice = read_proposals(text, 2, SPACE, repairs)
    assert [proposal.config for proposal in advice.proposals] == CONFIGS
    assert repairs
    assert all(proposal.repairs == tuple(repairs) for proposal in advice.proposals)


def test_a_sound_reply_needs_no_repair() -> None:
    assert read_proposals(GOOD, 2, SPACE).proposals[0].repairs == ()
    assert read_proposals(f"```json\n{GOOD}\n```", 2, SPACE).proposals[0].repairs == ()


@pytest.mark.parametrize("text", [json.dumps(PROPOSALS[0]), json.dumps(CONFIGS[0])])
def test_one_proposal_alone_is_read(text: str) -> None:
    (proposal,) = read_proposals(text, 9, SPACE).proposals
    assert proposal.config == CONFIGS[0]


@pytest.mark.parametrize(
    "text",
    [
        "no object here",
        "<think>" + GOOD,
        "first " + GOOD + " or " + GOOD.replace("0.1", "0.3"),
        "Sure: " + GOOD[:-9],
        "Sure: " + GOOD.replace("0.1", "NaN"),
        "Sure: " + GOOD.replace("0.1", "1e999"),
        "Sure: " + GOOD.replace('"lr": 0.1', '"lr": 0.1, "lr": 0.2'),
        "Sure: " + '{"a":' * 9 + "1" + "}" * 9,
    ],
)
def test_what_is_not_clear_stays_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply) as raised:
        read_proposals(text, 9, SPACE)
    assert raised.value.status == "bad_json"


@pytest.mark.parametrize("text", ['{"' * 60_000, '[{"' * 50_000, "{} " * 80_000, "</think>" * 9999])
def test_no_text_takes_long(text: str) -> None:
    begun = time.perf_counter()
    with pytest.raises(BadReply):
        read_reply("x" + text + '{"a": 1', ("a",))
    assert time.perf_counter() - begun < 2
