"""A GGUF model in this process: a tiny one of random weights, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raymimic.errors import LLMCallError, LLMError, LLMSetupError
from raymimic.llm import LlamaCppLLM, Request, describe, resolve_llm
from raymimic.testing import LLMConformance
from raymimic.testing.tiny_gguf import STRICT_TEMPLATE, TEMPLATE, build_tiny_gguf

SCHEMA = {
    "type": "object",
    "properties": {
        "act": {"enum": ["relu", "tanh"]},
        "why": {"type": "string", "maxLength": 30},
        "steps": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
        "expected": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    },
    "required": ["act", "why", "steps", "expected"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("llama_cpp", reason='needs pip install "raymimic[llamacpp]"')
    pytest.importorskip("gguf", reason="needs pip install gguf")
    return build_tiny_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


def ask(**changes: Any) -> Request:
    return Request(
        **{"system": "You tune.", "user": "Next?", "schema": SCHEMA, "deadline": 120.0, **changes}
    )


class TestLlamaCppLLM(LLMConformance):
    grace = 60.0  # the model is loaded in the first question's time

    @pytest.fixture(autouse=True)
    def _tiny(self, tiny: str) -> None:
        self.file = tiny

    def make(self) -> LlamaCppLLM:
        return LlamaCppLLM(self.file)

    def request(self, deadline: float = 120.0) -> Request:
        return super().request(deadline)


def test_every_reply_has_the_schemas_form(tiny: str) -> None:
    llm = LlamaCppLLM(tiny, temperature=1.5)
    for _ in range(10):
        reply = llm.complete(ask())
        answer = json.loads(reply.text)
        assert set(answer) == set(SCHEMA["properties"])
        assert answer["act"] in ("relu", "tanh")
        assert len(answer["why"]) <= 30
        assert len(answer["steps"]) <= 3
        assert reply.tokens_in > 10
        assert reply.tokens_out > 20


def test_the_same_seed_says_the_same(tiny: str) -> None:
    first, second, other = (
        [llm.complete(ask()).text for _ in range(3)]
        for llm in (LlamaCppLLM(tiny, seed=s, temperature=1.5) for s in (3, 3, 4))
    )
    assert first == second != other
    assert len(set(first)) > 1


def test_a_process_loads_a_file_once(tmp_path: Path, tiny: str) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(Path(tiny).read_bytes())
    first, second = LlamaCppLLM(str(file)), LlamaCppLLM(str(file), seed=1)
    assert first.complete(ask()).text
    file.unlink()
    assert second.complete(ask()).text


def test_a_prompt_longer_than_the_context_is_shortened(tiny: str) -> None:
    reply = LlamaCppLLM(tiny, context=1024).complete(
        ask(user="a line of the curve\n" * 2000, max_tokens=500)
    )
    assert reply.tokens_in + reply.tokens_out <= 1024


def test_a_reply_that_needs_more_tokens_than_allowed_is_called_cut_off(tiny: str) -> None:
    with pytest.raises(LLMError) as caught:
        LlamaCppLLM(tiny, max_tokens=3).complete(ask())
    assert caught.value.status == "truncated"
    assert caught.value.tokens_out == 3


def test_a_deadline_that_passes_is_a_timeout(tiny: str) -> None:
    with pytest.raises(LLMCallError) as caught:
        LlamaCppLLM(tiny).complete(ask(deadline=0.0))
    assert caught.value.status == "timeout"


def test_a_template_without_a_system_role_gets_it_in_the_users_turn(
    tmp_path: Path, tiny: str
) -> None:
    file = build_tiny_gguf(tmp_path / "gemma.gguf", template=STRICT_TEMPLATE + TEMPLATE)
    assert json.loads(LlamaCppLLM(file).complete(ask()).text)


def test_a_schema_of_which_no_grammar_can_be_made_is_asked_for_in_words(
    tiny: str, caplog: pytest.LogCaptureFixture
) -> None:
    llm = LlamaCppLLM(tiny, max_tokens=5)
    with pytest.raises(LLMError):  # five tokens of a random model are no JSON
        llm.complete(ask(schema={"$ref": "#/$defs/missing"}))
    assert "cannot be forced" in caplog.text


def test_it_is_named_as_other_models_are(tiny: str) -> None:
    llm = resolve_llm(f"llamacpp:{tiny}")
    assert isinstance(llm, LlamaCppLLM)
    assert describe(llm) == f"{tiny} in this process"


def test_a_file_that_is_no_model_names_the_cure(tmp_path: Path, tiny: str) -> None:
    with pytest.raises(LLMSetupError, match="hf download"):
        resolve_llm("llamacpp:./nothing-here.gguf")
    other = tmp_path / "other.gguf"
    other.write_bytes(b"no model")
    with pytest.raises(LLMSetupError, match="transformers:FOLDER"):
        LlamaCppLLM(str(other))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(Path(tiny).read_bytes()[:2000])
    with pytest.raises(LLMSetupError, match="must be whole"):
        LlamaCppLLM(str(cut)).complete(ask())


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LLMSetupError, match=r'pip install "raymimic\[llamacpp\]"'):
        resolve_llm("llamacpp:anything")
