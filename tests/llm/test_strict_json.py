from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raymimic.errors import BadReply
from raymimic.llm import read_object
from raymimic.llm.strict_json import MAX_CHARS, MAX_STRING, MAX_VALUES

NESTED_8 = '{"a":' * 8 + "1" + "}" * 8
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc{[\"\\'", max_size=4), inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        ' \n{"a": 1}\n',
        '```json\n{"a": 1}\n```',
        '```\n{"a": 1}```',
        '```JSON\r\n{"a":1}\r\n```',
    ],
)
def test_one_object_is_read_bare_or_fenced(text: str) -> None:
    assert read_object(text) == {"a": 1}


def test_values_keep_their_types() -> None:
    value = {"i": 2**64, "f": 1e-5, "n": None, "b": True, "s": "ü😀", "l": [1, [2]], "o": {}}
    back = read_object(json.dumps(value))
    assert back == value
    assert [type(item) for item in back.values()] == [type(item) for item in value.values()]
    assert read_object(NESTED_8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[1]",
        '"a"',
        '{"a": 1} so I think',
        'Sure: {"a": 1}',
        '{"a": 1}{"a": 1}',
        '```\n{"a": 1}\n``` done',
        '```json\n{"a": 1}',
        "```",
        '```python\n{"a": 1}\n```',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": -1e999}',
        '{"a": ' + "9" * 21 + "}",
        '{"a": -' + "9" * 5000 + "}",
        '{"a": 1, "a": 1}',
        '{"b": [{"a": 1, "\\u0061": 2}]}',
        '{"a": "\\ud83d"}',
        '{"\\ud83d": 1}',
        '{"a": "\ud83d"}',
        '{"a":' + NESTED_8 + "}",
        "[" * 100_000,
        '{"a":' * 40_000,
        '{"a": "' + "x" * (MAX_STRING + 1) + '"}',
        '{"' + "x" * (MAX_STRING + 1) + '": 1}',
        json.dumps({"a": [0] * MAX_VALUES}),
        '{"a": 1' + " " * MAX_CHARS + "}",
        '{"a": "\n"}',
    ],
)
def test_everything_else_is_a_bad_reply(text: str) -> None:
    with pytest.raises(BadReply, match="one JSON object") as raised:
        read_object(text)
    assert raised.value.status == "bad_json"
    assert len(str(raised.value)) < 300
    str(raised.value).encode()


@pytest.mark.parametrize("text", ['{"a": "' + '\\"' * 100_000, '"' * 200_000, "`" * 200_000])
def test_no_text_takes_long(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(BadReply):
        read_object(text)
    assert time.perf_counter() - started < 1


def read_or_none(text: str) -> dict[str, object] | None:
    try:
        return read_object(text)
    except BadReply:
        return None


@given(st.dictionaries(st.text("abc", max_size=3), JSON_VALUES, max_size=4), st.data())
def test_a_mutated_reply_is_read_as_plain_json_or_refused(
    value: dict[str, object], data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 3))
        piece = data.draw(st.sampled_from(["", '"', "{", "]", "\\", "1e999", "NaN", ",", "\ud800"]))
        text = text[:at] + piece + text[at + length :]
    result = read_or_none(text)
    if result is None:
        return
    assert result == json.loads(text)
    assert all(math.isfinite(n) for n in result.values() if isinstance(n, float))
    json.dumps(result, allow_nan=False, ensure_ascii=False).encode()


@given(st.text(st.characters(), max_size=60) | st.text('{}[]":,\\`1e9.-u \n', max_size=60))
def test_any_text_is_an_object_or_a_bad_reply(text: str) -> None:
    assert isinstance(read_or_none(text), dict | None)


def depth_of(value: object) -> int:
    inner = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    )
    return 0 if inner is None else 1 + max((depth_of(item) for item in inner), default=0)


@given(st.dictionaries(st.text("abc", max_size=3), JSON_VALUES, max_size=4))
def test_what_json_writes_is_read_down_to_eight_levels(value: dict[str, object]) -> None:
    assert read_or_none(json.dumps(value)) == (value if depth_of(value) <= 8 else None)


def test_a_double_key_among_very_many_is_found_at_once() -> None:
    text = "{" + ",".join(f'"{number:x}":1' for number in range(24_000)) + ',"5dbf":1}'
    begun = time.monotonic()
    with pytest.raises(BadReply, match="'5dbf' comes twice"):
        read_object(text)
    assert time.monotonic() - begun < 2  # comparing each with each takes ten
