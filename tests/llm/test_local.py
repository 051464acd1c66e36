"""A model in this process: a tiny one of random weights, made on the spot."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from raymimic.errors import LLMCallError, LLMError, LLMSetupError
from raymimic.llm import Request, TransformersLLM, describe, resolve_llm
from raymimic.testing import LLMConformance

LIBRARIES = ("torch", "transformers", "llguidance")

SCHEMA = {
    "type": "object",
    "properties": {
        "lr": {"type": "number", "minimum": 1e-5, "maximum": 1.0},
        "act": {"enum": ["relu", "tanh"]},
        "why": {"type": "string"},
        "steps": {"type": "array", "items": {"type": "integer"}},
        "expected": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["lr", "act", "why", "steps", "expected"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    for library in LIBRARIES:
        pytest.importorskip(library, reason='needs pip install "raymimic[transformers]"')
    from raymimic.testing.tiny_model import build_tiny_model

    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def ask(**changes: Any) -> Request:
    return Request(
        **{"system": "You tune.", "user": "Next?", "schema": SCHEMA, "deadline": 120.0, **changes}
    )


class TestTransformersLLM(LLMConformance):
    grace = 60.0  # the model is loaded in the first question's time

    @pytest.fixture(autouse=True)
    def _tiny(self, tiny: str) -> None:
        self.folder = tiny

    def make(self) -> TransformersLLM:
        return TransformersLLM(self.folder)

    def request(self, deadline: float = 120.0) -> Request:
        return super().request(deadline)


def test_every_reply_is_what_the_schema_asks_for(tiny: str) -> None:
    llm = TransformersLLM(tiny, temperature=1.5)
    for _ in range(10):
        answer = json.loads(llm.complete(ask()).text)
        assert set(answer) == set(SCHEMA["properties"])
        assert 1e-5 <= answer["lr"] <= 1.0
        assert answer["act"] in ("relu", "tanh")


def test_replies_are_laid_out_as_python_writes_json(tiny: str) -> None:
    text = TransformersLLM(tiny).complete(ask()).text
    assert text.startswith('{"lr": ')
    assert ', "act": ' in text


def test_the_same_seed_says_the_same_and_the_processs_own_random_numbers_stay(tiny: str) -> None:
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (
        [llm.complete(ask()).text for _ in range(2)]
        for llm in (TransformersLLM(tiny, seed=3), TransformersLLM(tiny, seed=3))
    )
    assert first == second
    assert first[0] != first[1]
    assert torch.equal(torch.rand(3), expected)


def test_a_copy_goes_on_where_the_original_was(tiny: str) -> None:
    llm = TransformersLLM(tiny)
    llm.complete(ask())
    copy = pickle.loads(pickle.dumps(llm))
    assert copy.complete(ask()).text == llm.complete(ask()).text


def test_a_prompt_longer_than_the_context_is_shortened(tmp_path: Path, tiny: str) -> None:
    from raymimic.testing.tiny_model import build_tiny_model

    small = TransformersLLM(build_tiny_model(tmp_path / "small", window=1024))
    reply = small.complete(ask(user="a line of the curve\n" * 2000, max_tokens=500))
    assert reply.tokens_in + reply.tokens_out <= 1024


def test_a_reply_that_needs_more_tokens_than_allowed_is_called_cut_off(tiny: str) -> None:
    with pytest.raises(LLMError) as caught:
        TransformersLLM(tiny, max_tokens=3).complete(ask())
    assert caught.value.status == "truncated"
    assert caught.value.tokens_out == 3


def test_a_deadline_that_passes_is_a_timeout(tiny: str) -> None:
    with pytest.raises(LLMCallError) as caught:
        TransformersLLM(tiny).complete(ask(deadline=0.0))
    assert caught.value.status == "timeout"


def test_a_template_without_a_system_role_gets_it_in_the_users_turn(
    tmp_path: Path, tiny: str
) -> None:
    from transformers import AutoTokenizer

    from raymimic.testing.tiny_model import build_tiny_model

    folder = build_tiny_model(tmp_path / "gemma")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}{{ messages[0].content }}"
    )
    tokenizer.save_pretrained(folder)
    assert json.loads(TransformersLLM(folder).complete(ask()).text)


def test_a_schema_that_cannot_be_forced_is_asked_for_in_words(
    tiny: str, caplog: pytest.LogCaptureFixture
) -> None:
    llm = TransformersLLM(tiny, max_tokens=5)
    with pytest.raises(LLMError):  # five tokens of a random model are no JSON
        llm.complete(ask(schema={"type": "object", "unevaluatedProperties": False}))
    assert "cannot be forced" in caplog.text


def test_it_is_named_as_other_models_are(tiny: str) -> None:
    llm = resolve_llm(f"transformers:{tiny}")
    assert isinstance(llm, TransformersLLM)
    assert describe(llm) == f"{tiny} in this process"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("transformers:", "must be followed by a folder"),
        ("transformers:./nothing-here", "save_pretrained"),
    ],
)
def test_a_setting_that_names_no_model_says_what_must_hold(
    tiny: str, setting: str, words: str
) -> None:
    with pytest.raises(LLMSetupError, match=words):
        resolve_llm(setting)


def test_missing_weights_name_the_cure(tmp_path: Path, tiny: str) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(LLMSetupError, match="hf download"):
        TransformersLLM(str(tmp_path)).complete(ask())


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LLMSetupError, match=r'pip install "raymimic\[transformers\]"'):
        resolve_llm("transformers:anything")
