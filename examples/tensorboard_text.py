"""TensorBoard: who proposed a trial, why, and why it ended stand in its text tab."""

from ray import tune

from raymimic import Raymimic


def train(config):
    loss = 2.3
    for _ in range(10):
        loss -= min(config["lr"], 1.2 - config["lr"]) * (loss - 0.1)
        tune.report({"val_loss": loss})


def main():
    tuner = Raymimic().tuner(
        train,
        param_space={"lr": tune.loguniform(1e-5, 1.0)},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=3),
        run_config=tune.RunConfig(name="tensorboard_example"),
    )
    return tuner.fit()  # then: tensorboard --logdir ~/ray_results/tensorboard_example


if __name__ == "__main__":
    main()
