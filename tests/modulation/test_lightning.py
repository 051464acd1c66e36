"""A modulated training by Lightning's own trainer."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
import torch
from small_training import Says, data, network, same, weights
from torch import nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from raymimic import Adjustment, Knob, Operation

lightning = pytest.importorskip("lightning.pytorch")

from raymimic.modulation.lightning import ModulatorCallback  # noqa: E402 - not without lightning

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore")

EPOCHS = 4


class Module(lightning.LightningModule):
    def __init__(self, *, manual: bool = False) -> None:
        super().__init__()
        self.net = network()
        self.automatic_optimization = not manual
        self.rates: list[float] = []

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), 1e-2)
        schedule = StepLR(optimizer, 1, gamma=0.5)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_epoch_start(self) -> None:
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def training_step(self, batch: Any, place: int) -> torch.Tensor:
        torch.manual_seed(100 * self.current_epoch + place)  # dropout; loaders draw numbers, too
        inputs, labels = batch
        loss = nn.functional.cross_entropy(self.net(inputs), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch: Any, place: int) -> None:
        inputs, labels = batch
        self.log("val_loss", nn.functional.cross_entropy(self.net(inputs), labels))

    def on_train_epoch_end(self) -> None:
        if not self.automatic_optimization:
            self.lr_schedulers().step()


def fit(module: Module, *callbacks: Any, ckpt: Any = None, **options: Any) -> Any:
    settings = {"max_epochs": EPOCHS, "accelerator": "cpu", "logger": False, **options}
    trainer = lightning.Trainer(
        callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=any("Checkpoint" in type(c).__name__ for c in callbacks), **settings,
    )  # fmt: skip
    train, validation = (
        DataLoader(TensorDataset(*data(seed=seed)), batch_size=16) for seed in (1, 2)
    )
    trainer.fit(module, train, validation, ckpt_path=ckpt)
    return trainer


NOISE = Operation("noise", amount=0.1)
PLAN = [
    Adjustment({"lr": 0.02, "mix": 0.5}, 0.3, (Operation("shrink", "net.3.*", 0.1),)),
    Adjustment({"dropout": 0.3}, 0.3, (NOISE, Operation("freeze", "*.bias"))),
    Adjustment({"lr": 0.004}, 0.2, (Operation("pull", toward="initial", amount=0.2),)),
]


def guided(*answers: Adjustment) -> tuple[Says, ModulatorCallback]:
    says = Says(*answers)
    return says, ModulatorCallback(llm=says, knobs={"mix": Knob(0, 1)}, ema=0.9)


@pytest.mark.parametrize("manual", [False, True])
def test_without_advice_it_is_lightnings_own_training_bit_for_bit(manual):
    plain, modulated = Module(manual=manual), Module(manual=manual)
    fit(plain)
    fit(modulated, guided()[1])
    assert same(weights(plain), weights(modulated))
    assert plain.rates == modulated.rates


@pytest.mark.parametrize("manual", [False, True])
def test_advice_is_applied_and_reported(manual):
    plain, module = Module(manual=manual), Module(manual=manual)
    fit(plain)
    says, callback = guided(*PLAN)
    trainer = fit(module, callback)
    modulator = callback.modulator
    assert [past.adjustment for past in modulator.history] == PLAN
    assert [len(past.applied) > 1 for past in modulator.history] == [True] * 3
    assert [seen.epoch for seen in says.seen] == [1, 2, 3]
    assert (says.seen[0].epochs_total, says.seen[0].steps_per_epoch) == (EPOCHS, 5)
    curve = says.seen[-1].curve
    assert set(curve.columns) == {"train_loss", "val_loss"}
    assert len(curve.columns["train_loss"]) == 3  # each epoch's own
    assert module.rates == plain.rates  # the schedule is undisturbed
    assert not same(weights(plain), weights(module))
    assert module.net[2].p == pytest.approx(0.3)
    assert trainer.callback_metrics["raymimic/adjustments"] == 3.0
    assert trainer.callback_metrics["raymimic/mix"] == 0.5


def test_a_checkpoint_carries_the_modulator_on(tmp_path):
    def keeper() -> Any:
        return lightning.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)

    whole = Module()
    undisturbed = guided(*PLAN)[1]
    fit(whole, undisturbed, keeper())
    resumed = Module()
    callback = guided(*PLAN[2:])[1]
    fit(resumed, callback, ckpt=tmp_path / "epoch=1.ckpt")
    assert same(weights(whole), weights(resumed))
    assert callback.modulator.history == undisturbed.modulator.history
    assert callback.modulator.metrics() == undisturbed.modulator.metrics()


def test_a_step_that_breaks_off_leaves_the_schedules_rates(tmp_path):
    class Breaks(Module):
        def training_step(self, batch: Any, place: int) -> torch.Tensor:
            if self.current_epoch == 1 and place == 2:
                raise ZeroDivisionError
            return super().training_step(batch, place)

    module = Breaks()
    with pytest.raises(ZeroDivisionError):
        fit(module, guided(*PLAN)[1])
    assert module.trainer.optimizers[0].param_groups[0]["lr"] == 0.005


def test_gradients_may_be_accumulated_and_validation_may_be_rare():
    says, callback = guided(*PLAN)
    fit(Module(), callback, accumulate_grad_batches=2, check_val_every_n_epoch=2)
    assert [seen.epoch for seen in says.seen] == [1, 2]
    assert says.seen[0].steps_per_epoch == 6  # two epochs of three


def test_what_does_not_fit_is_said():
    with pytest.raises(TypeError, match="advise"):
        ModulatorCallback(advise="none")

    class Two(Module):
        def configure_optimizers(self) -> Any:
            return [torch.optim.SGD(part.parameters(), 0.1) for part in (self.net[0], self.net[3])]

    with pytest.raises(ValueError, match="one optimizer"):
        fit(Two(manual=True), guided()[1])


def test_without_lightning_the_cure_is_said():
    code = (
        "import sys; sys.modules['lightning'] = None\n"
        "from raymimic.errors import MissingExtra\n"
        "try:\n    import raymimic.modulation.lightning\n"
        "except MissingExtra as error:\n    print(error)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "raymimic[lightning]"' in shown.stdout
