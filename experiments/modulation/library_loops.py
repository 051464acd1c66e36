"""Trainings through libraries that own the loop, the optimizer or the model.

Each is a function from a `Plan` to its `Course`: what the training was to do, and its bits after
each epoch. All are tiny and seeded, and load no weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from experiments.modulation.optimizers import Says
from raymimic import Adjustment, Modulator

EPOCHS, BATCHES, SAVED = 5, 4, "course.pt"


@dataclass(frozen=True)
class Plan:
    """What a training is to do.

    ``answers`` None trains without a modulator. One batch of epoch ``bad`` is NaN, epoch ``worse``
    reports a far worse metric. It ends after epoch ``last``, saving into ``folder`` where given,
    and goes on from ``folder`` where it is to ``resume``.
    """

    answers: tuple[Adjustment, ...] | None = None
    bad: int = 0
    worse: int = 0
    last: int = EPOCHS
    folder: Path | None = None
    resume: bool = False


@dataclass
class Course:
    """One training under way; the loop calls `begin`, `before_batch` and `end_epoch`.

    Where a library's callback has the modulator, it calls `watch` and `note` instead.
    """

    plan: Plan
    epoch: int = 0
    marks: list[list[Tensor]] = field(default_factory=list)
    modulator: Modulator | None = None
    poisoned: bool = False
    parts: tuple[Any, ...] = ()

    def begin(self, model: nn.Module, optimizer: Any) -> None:
        """Set the modulator on the training."""
        self.watch(model, optimizer)
        if self.plan.answers is not None:
            self.modulator = Modulator(
                model, optimizer, llm=Says(*self.plan.answers), epochs=EPOCHS
            )

    def watch(self, model: nn.Module, optimizer: Any) -> None:
        """Prepare to make a batch NaN, and to note the bits."""
        self.parts = (model, optimizer)
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        last.register_forward_hook(self._poison)

    def _poison(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output * math.nan if self.poisoned and module.training else output

    def before_batch(self, number: int) -> None:
        """Say which batch of the epoch comes, from 0."""
        self.poisoned = self.epoch + 1 == self.plan.bad and number == 1

    def end_epoch(self) -> None:
        """Report the metric, note the bits."""
        number = self.epoch + 1
        if self.modulator is not None:
            value = 9.0 if number == self.plan.worse else 1.0 / number
            self.modulator.epoch_end({"val_loss": value})
        self.note()

    def note(self) -> None:
        """Note the bits at an epoch's end."""
        self.epoch, self.poisoned = self.epoch + 1, False
        self.marks.append(bits(*self.parts))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps beside the library's own."""
        modulator = self.modulator.state_dict() if self.modulator is not None else None
        return {"epoch": self.epoch, "modulator": modulator}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.epoch = state["epoch"]
        if self.modulator is not None:
            self.modulator.load_state_dict(state["modulator"])


Train = Callable[[Plan], Course]


def bits(model: nn.Module, optimizer: Any) -> list[Tensor]:
    """All tensors of the model and all that the optimizer keeps; not its learning rates."""
    state = optimizer.state_dict()
    groups = [
        {key: value for key, value in group.items() if key not in ("lr", "params")}
        for group in state["param_groups"]
    ]
    kept = [state["state"], groups]
    return [tensor.detach().clone() for tensor in tensors([model.state_dict(), kept])]


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in nested dicts and lists, and numbers as such."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, float):
        yield torch.tensor(value, dtype=torch.float64)
    elif isinstance(value, dict):
        for entry in value.values():
            yield from tensors(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from tensors(entry)


def rows() -> TensorDataset:
    """Inputs and targets of `net`."""
    drawn = torch.Generator().manual_seed(5)
    return TensorDataset(
        torch.randn(4 * BATCHES, 8, generator=drawn), torch.randn(4 * BATCHES, 1, generator=drawn)
    )


def net() -> nn.Sequential:
    """Seeded, with dropout, so that the state of the generator counts."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 64), nn.Tanh(), nn.Dropout(0.1), nn.Linear(64, 1))


def by_hand(build: Callable[[], tuple[nn.Module, Any, Callable[[nn.Module], Tensor]]]) -> Train:
    """A plain loop around a library's model or optimizer; ``build`` also gives the loss."""

    def train(plan: Plan) -> Course:
        torch.manual_seed(0)
        model, optimizer, loss_of = build()
        course = Course(plan)
        course.begin(model, optimizer)
        if plan.resume and plan.folder is not None:
            kept = torch.load(plan.folder / SAVED, weights_only=False)
            model.load_state_dict(kept["model"], strict=False)
            optimizer.load_state_dict(kept["optimizer"])
            course.load_state_dict(kept["course"])
        take = course.modulator.step if course.modulator is not None else optimizer.step
        while course.epoch < plan.last:
            model.train()
            for number in range(BATCHES):
                torch.manual_seed(100 * course.epoch + number)
                course.before_batch(number)
                optimizer.zero_grad()
                loss_of(model).backward()
                take()
            course.end_epoch()
        if plan.folder is not None and not plan.resume:
            weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
            parts = {"optimizer": optimizer, "course": course}
            kept = {name: part.state_dict() for name, part in parts.items()}
            torch.save(kept | {"model": weights}, plan.folder / SAVED)
        return course

    return train


def accelerated(plan: Plan) -> Course:
    """accelerate: prepared model, optimizer and schedule, gradients of two batches summed."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    model: Any = net()
    optimizer: Any = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule: Any = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    loader: Any = DataLoader(rows(), batch_size=4)
    model, optimizer, schedule, loader = accelerator.prepare(model, optimizer, schedule, loader)
    course = Course(plan)
    course.begin(model, optimizer)
    accelerator.register_for_checkpointing(course)
    if plan.resume:
        accelerator.load_state(str(plan.folder))
    take = course.modulator.step if course.modulator is not None else optimizer.step
    while course.epoch < plan.last:
        model.train()
        torch.manual_seed(course.epoch)
        for number, (inputs, targets) in enumerate(loader):
            course.before_batch(number)
            with accelerator.accumulate(model):
                accelerator.backward((model(inputs) - targets).square().mean())
                take()
                schedule.step()
                optimizer.zero_grad()
        course.end_epoch()
    if plan.folder is not None and not plan.resume:
        accelerator.save_state(str(plan.folder))
    return course


def gpt2(**settings: Any) -> nn.Module:
    """A GPT-2 with seeded weights, of one layer if not said otherwise."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 32, "vocab_size": 100, "n_positions": 32}
    model: nn.Module = GPT2LMHeadModel(
        GPT2Config(**sizes | settings, bos_token_id=None, eos_token_id=None)
    )
    return model


def tokens() -> list[dict[str, Tensor]]:
    """Sixteen texts of sixteen tokens."""
    drawn = torch.Generator().manual_seed(1)
    texts = [torch.randint(0, 100, (16,), generator=drawn) for _ in range(4 * BATCHES)]
    return [{"input_ids": text, "labels": text} for text in texts]


def language_loss(model: nn.Module) -> Tensor:
    """Next-token loss of one batch."""
    batch = torch.randint(0, 100, (4, 16))
    loss: Tensor = model(input_ids=batch, labels=batch).loss
    return loss


def with_lora(base: nn.Module, **settings: Any) -> nn.Module:
    """peft's LoRA on it; the base is frozen."""
    from peft import LoraConfig, get_peft_model

    adapted: nn.Module = get_peft_model(base, LoraConfig(r=4, lora_dropout=0.1, **settings))
    return adapted


def lora(**sizes: Any) -> tuple[nn.Module, Any, Callable[[nn.Module], Tensor]]:
    """LoRA on a GPT-2 under AdamW, which is given all parameters."""
    model = with_lora(gpt2(**sizes), target_modules=["c_attn"], fan_in_fan_out=True)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2), language_loss


def full(**sizes: Any) -> tuple[nn.Module, Any, Callable[[nn.Module], Tensor]]:
    """A GPT-2, all of it trained."""
    model = gpt2(**sizes)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2), language_loss


def bytes_held(course: Course) -> tuple[int, int, float]:
    """Trained parameters, all parameters, and bytes a trained one in the modulator's tensors."""
    every = list(course.parts[0].parameters())
    trained = sum(p.numel() for p in every if p.requires_grad)
    assert course.modulator is not None
    held = {t.data_ptr(): t for t in tensors(course.modulator.state_dict())}
    size = sum(t.numel() * t.element_size() for t in held.values())
    return trained, sum(p.numel() for p in every), size / trained


def quantised(kind: str) -> Callable[[], tuple[nn.Module, Any, Callable[[nn.Module], Tensor]]]:
    """LoRA on a frozen linear layer that bitsandbytes keeps in 4 or 8 bits."""

    def build() -> tuple[nn.Module, Any, Callable[[nn.Module], Tensor]]:
        import bitsandbytes

        torch.manual_seed(0)
        settings = {"has_fp16_weights": False} if kind == "Linear8bitLt" else {}
        low = getattr(bitsandbytes.nn, kind)(64, 64, **settings)
        base = nn.Sequential(low, nn.Tanh(), nn.Linear(64, 1)).to("cpu")
        model = with_lora(base, target_modules=["0", "2"])
        trained = [p for p in model.parameters() if p.requires_grad]
        return model, torch.optim.AdamW(trained, lr=1e-2), _squares

    return build


def _squares(model: nn.Module) -> Tensor:
    loss: Tensor = (model(torch.randn(8, 64)) - 1.0).square().mean()
    return loss
