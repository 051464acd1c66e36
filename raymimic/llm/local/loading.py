"""The models that this process has loaded, each once, whoever asks for it."""

from __future__ import annotations

import importlib.util
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raymimic.errors import LLMSetupError

EXTRA = "transformers"
_PACKAGES = ("torch", "transformers", "llguidance")

_loaded: dict[tuple[str, str], Loaded] = {}
_loading = threading.Lock()


@dataclass(eq=False)
class Loaded:
    """A model with its tokenizer. ``turn`` is held while it answers: one question at a time."""

    model: Any
    tokenizer: Any
    grammar_tokenizer: Any
    turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def window(self) -> int | None:
        """The most tokens of prompt and reply together; None if the model does not say."""
        window = getattr(self.model.config, "max_position_embeddings", None)
        return window if isinstance(window, int) and window > 0 else None


def check_name(name: str) -> None:
    """Raise `LLMSetupError` for a missing package and for a folder that holds no model."""
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise LLMSetupError(
            f"a model in this process needs {' and '.join(missing)}: "
            f'pip install "raymimic[{EXTRA}]"',
            status="no_package",
        )
    if not name.strip():
        raise LLMSetupError(
            f'"{EXTRA}:" must be followed by a folder or by the name of a model on the Hugging '
            f'Face hub, got {name!r}; for example "{EXTRA}:./my-model"'
        )
    folder = Path(name).expanduser()
    looks_like_one = folder.exists() or name.startswith((".", "~", os.sep))
    if looks_like_one and not (folder / "config.json").is_file():
        raise LLMSetupError(
            f"{name!r} must be a folder that model.save_pretrained(folder) and "
            "tokenizer.save_pretrained(folder) wrote; it holds no config.json"
        )


def load(name: str, device: str | None) -> Loaded:
    """Return the model, loaded on first use: seconds to minutes.

    Raises `LLMSetupError` where there are no weights, saying how to get them.
    """
    with _loading:
        key = (name, device or "")
        if key not in _loaded:
            _loaded[key] = _load(name, device)
        return _loaded[key]


def _load(name: str, device: str | None) -> Loaded:
    import llguidance.hf
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(name).expanduser()
    where = str(folder) if folder.exists() else name
    spread = {"device_map": "auto"} if device == "auto" else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            where, trust_remote_code=False, dtype="auto", **spread
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        first = str(error).strip().split("\n")[0][:300]
        raise LLMSetupError(
            f"no model could be loaded from {name!r} ({type(error).__name__}: {first}); it must be "
            "a folder with config.json, tokenizer and weights (*.safetensors), or the name of a "
            f"causal model on the hub, fetched once where there is a network: hf download {name}",
            status="no_model",
        ) from None
    if not spread:
        model = _placed(model, device)
    model.eval()
    # A model's vocabulary may be padded, or lack tokens that were added to its tokenizer.
    size = max(model.get_output_embeddings().weight.shape[0], len(tokenizer))
    return Loaded(model, tokenizer, llguidance.hf.from_tokenizer(tokenizer, n_vocab=size))


def _placed(model: Any, device: str | None) -> Any:
    import torch

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # no such device, or too small for the model
        first = str(error).split("\n")[0]
        raise LLMSetupError(
            f'the model cannot be put on device {device!r} ({first}); use device="cpu", or "auto" '
            "to spread it over all GPUs (needs the package accelerate)"
        ) from None
