"""Lightning: Ray's callback reports what the module logs at each validation."""

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
from ray import tune
from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback

from raymimic import Raymimic


def train(config):
    model = BoringModel()  # yours needs none of this: it logs "val_loss" by itself
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=config["lr"])
    model.validation_step = lambda batch, batch_idx: model.log("val_loss", model.loss(model(batch)))
    report = TuneReportCheckpointCallback({"val_loss": "val_loss"}, save_checkpoints=False)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    Trainer(max_epochs=4, accelerator="cpu", callbacks=[report], **quiet).fit(model)


def main():
    space = {"lr": tune.loguniform(1e-5, 1.0)}
    goal = tune.TuneConfig(metric="val_loss", mode="min", num_samples=3)
    return Raymimic().tuner(train, param_space=space, tune_config=goal).fit()


if __name__ == "__main__":
    main()
