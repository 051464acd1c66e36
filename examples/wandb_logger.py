"""Weights & Biases: who proposed a trial, why, and why it ended are columns of its runs."""

from ray import tune
from ray.air.integrations.wandb import WandbLoggerCallback

from raymimic import Raymimic


def train(config):
    loss = 2.3
    for _ in range(10):
        loss -= min(config["lr"], 1.2 - config["lr"]) * (loss - 0.1)
        tune.report({"val_loss": loss})


def main(**settings):
    logger = WandbLoggerCallback("raymimic", **settings)  # WANDB_MODE=offline needs no account
    tuner = Raymimic().tuner(
        train,
        param_space={"lr": tune.loguniform(1e-5, 1.0)},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=3),
        run_config=tune.RunConfig(callbacks=[logger]),
    )
    return tuner.fit()


if __name__ == "__main__":
    main()
