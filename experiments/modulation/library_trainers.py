"""Trainings in a library's trainer: transformers' `Trainer` and Lightning's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from experiments.modulation.library_loops import (
    BATCHES,
    EPOCHS,
    SAVED,
    Course,
    Plan,
    Train,
    gpt2,
    net,
    rows,
    tokens,
    with_lora,
)


def in_trainer(optimizer: str, make: Callable[[], nn.Module] = gpt2) -> Train:
    """Transformers' `Trainer` with the optimizer that it builds by that name."""

    def train(plan: Plan) -> Course:
        from transformers import PrinterCallback, Trainer, TrainingArguments

        course = Course(plan)
        folder = plan.folder or Path(tempfile.mkdtemp())
        arguments = TrainingArguments(
            str(folder), num_train_epochs=EPOCHS, per_device_train_batch_size=2,
            gradient_accumulation_steps=2, use_cpu=True, report_to=[], eval_strategy="epoch",
            save_strategy="epoch" if plan.folder else "no", logging_strategy="no",
            disable_tqdm=True, learning_rate=1e-3, optim=optimizer, seed=0,
        )  # fmt: skip
        trainer = Trainer(
            model=make(), args=arguments, train_dataset=tokens(), eval_dataset=tokens()[:2],
            callbacks=[_guide(course)],
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=plan.resume)
        return course

    return train


def _guide(course: Course) -> Any:
    """The callback that steers a `Trainer`; its own checkpoints take up the course's state."""
    from transformers import TrainerCallback

    class Guide(TrainerCallback):
        def on_train_begin(
            self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None,
            **kwargs: Any,
        ) -> None:  # fmt: skip
            course.begin(model, optimizer)
            if state.global_step:
                course.load_state_dict(torch.load(_checkpoint(args, state), weights_only=False))
            self.detach = course.modulator.attach() if course.modulator else lambda: None

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            course.before_batch(state.global_step % BATCHES)

        def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            course.end_epoch()
            control.should_training_stop = course.epoch >= course.plan.last

        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            torch.save(course.state_dict(), _checkpoint(args, state))

        def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.detach()

    return Guide()


def _checkpoint(args: Any, state: Any) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}" / SAVED


def lora_in_trainer() -> nn.Module:
    """peft's LoRA on a GPT-2."""
    return with_lora(gpt2(), target_modules=["c_attn"], fan_in_fan_out=True)


def in_lightning(plan: Plan) -> Course:
    """Lightning's `Trainer` with `ModulatorCallback`, gradients of two batches summed."""
    import lightning.pytorch as library

    course = Course(plan)

    class Net(library.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net()

        def training_step(self, batch: Any, number: int) -> Tensor:
            course.before_batch(number)
            loss: Tensor = (self.net(batch[0]) - batch[1]).square().mean()
            return loss

        def validation_step(self, batch: Any, number: int) -> None:
            number = course.epoch + 1
            self.log("val_loss", 9.0 if number == plan.worse else 1.0 / number)

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-2)

    torch.manual_seed(0)
    trainer = library.Trainer(
        max_epochs=plan.last, accumulate_grad_batches=2, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=_callbacks(course), num_sanity_val_steps=0,
    )  # fmt: skip
    loader = DataLoader(rows(), batch_size=4)
    saved = str(plan.folder / "lightning.ckpt") if plan.folder else None
    trainer.fit(Net(), loader, loader, ckpt_path=saved if plan.resume else None, weights_only=False)
    if saved and not plan.resume:
        trainer.save_checkpoint(saved)
    return course


def _callbacks(course: Course) -> list[Any]:
    """The modulator's callback, and one behind it that notes the bits."""
    from lightning.pytorch.callbacks import Callback

    from experiments.modulation.optimizers import Says
    from raymimic.modulation.lightning import ModulatorCallback

    answers = course.plan.answers
    guide = None if answers is None else ModulatorCallback(llm=Says(*answers), epochs=EPOCHS)

    class Watch(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            course.watch(pl_module, trainer.optimizers[0])
            course.epoch = trainer.current_epoch
            course.modulator = guide.modulator if guide else None

        def on_train_batch_start(
            self, trainer: Any, pl_module: Any, batch: Any, number: int
        ) -> None:
            torch.manual_seed(100 * trainer.current_epoch + number)

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            course.note()

    return [Watch()] if guide is None else [guide, Watch()]
