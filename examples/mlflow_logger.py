"""MLflow: each trial is a run whose tags say who proposed it, why, and why it ended."""

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback

from raymimic import Raymimic


def train(config):
    loss = 2.3
    for _ in range(10):
        loss -= min(config["lr"], 1.2 - config["lr"]) * (loss - 0.1)
        tune.report({"val_loss": loss})


def main(store="sqlite:///mlflow.db"):
    logger = MLflowLoggerCallback(tracking_uri=store, experiment_name="raymimic")
    tuner = Raymimic().tuner(
        train,
        param_space={"lr": tune.loguniform(1e-5, 1.0)},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=3),
        run_config=tune.RunConfig(callbacks=[logger]),
    )
    return tuner.fit()


if __name__ == "__main__":
    main()
