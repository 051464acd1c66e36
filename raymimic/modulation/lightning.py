"""A Lightning callback: the modulator in a ``Trainer``, without a change to the training loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from raymimic.errors import MissingExtra
from raymimic.modulation.modulator import Modulator

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
except ImportError:
    raise MissingExtra(
        "ModulatorCallback needs lightning, which is not installed; cure: "
        'pip install "raymimic[lightning]"'
    ) from None


class ModulatorCallback(Callback):
    """Steers a Lightning training; takes the settings of `Modulator` but model and optimizer.

    ``epochs`` is the trainer's ``max_epochs`` where not given. The modulator takes in what the
    module has logged at the end of each training epoch in which a validation ran: only then
    Lightning has the epoch's training metrics, too. Its own metrics are logged as "raymimic/...",
    its state is in Lightning's checkpoints. While `Trainer.fit` runs, ``callback.modulator`` is
    there, for its knobs.

    The module must have one optimizer, of `torch.optim`; automatic and manual optimization, mixed
    precision and DistributedDataParallel go, sharded models do not. Raises TypeError for a setting
    that `Modulator` does not know, ValueError at the start of training for several optimizers.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        inspect.signature(Modulator).bind(None, None, **settings)
        self.modulator: Modulator | None = None
        self._settings = settings
        self._state: dict[str, Any] | None = None
        self._detach: Callable[[], None] | None = None
        self._validated = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take hold of the optimizer; by now Lightning has loaded a checkpoint if there is one."""
        if len(trainer.optimizers) != 1:
            raise ValueError(
                "ModulatorCallback steers a module with one optimizer, and configure_optimizers() "
                f"gives {len(trainer.optimizers)}; use a Modulator in manual optimization"
            )
        planned = trainer.max_epochs
        settings = {"epochs": planned if planned and planned > 0 else None, **self._settings}
        self.modulator = Modulator(pl_module, trainer.optimizers[0], **settings)
        if self._state is not None:
            self.modulator.load_state_dict(self._state)
            self._state = None
        self._detach = self.modulator.attach()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the present epoch has a validation."""
        self._validated = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand over the epoch's metrics and log what the modulator has to report."""
        if self.modulator is None or (trainer.enable_validation and not self._validated):
            return
        self._validated = False
        logged = trainer.callback_metrics.items()
        own = {name: float(value) for name, value in logged if not name.startswith("raymimic/")}
        self.modulator.epoch_end(own)
        pl_module.log_dict(self.modulator.metrics())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let go of the optimizer."""
        self._let_go()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let go of the optimizer, and give it its learning rates back if a step broke off."""
        self._let_go()

    def _let_go(self) -> None:
        if self._detach is not None:
            self._detach()
            self._detach = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the modulator's state, nothing before training."""
        return self._state or {} if self.modulator is None else self.modulator.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep a checkpoint's state until training starts."""
        self._state = state_dict
