"""Ray Train inside Tune: each trial is a training with workers of its own."""

from ray import train, tune
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from raymimic import Raymimic


def on_each_worker(config):
    loss = 2.3
    for _ in range(5):
        loss -= min(config["lr"], 1.2 - config["lr"]) * (loss - 0.1)
        train.report({"val_loss": loss})


def trial(config):
    run = train.RunConfig(callbacks=[TuneReportCallback()])
    DataParallelTrainer(on_each_worker, train_loop_config=config, run_config=run).fit()


def main():
    space = {"lr": tune.loguniform(1e-5, 1.0)}
    goal = tune.TuneConfig(metric="val_loss", mode="min", num_samples=2, max_concurrent_trials=1)
    return Raymimic().tuner(trial, param_space=space, tune_config=goal).fit()


if __name__ == "__main__":
    main()
