"""LightGBM: Ray's callback reports each boosting round, so the whole curve is read."""

import lightgbm
from ray import tune
from ray.tune.integration.lightgbm import TuneReportCheckpointCallback
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from raymimic import Raymimic


def train(config):
    x, x_val, y, y_val = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
    data = lightgbm.Dataset(x, y)
    sets = {"train": data, "val": data.create_valid(x_val, y_val)}
    names = {"train_loss": "train-binary_logloss", "val_loss": "val-binary_logloss"}
    config = {"objective": "binary", "verbosity": -1, "num_threads": 1, **config}
    lightgbm.train(config, data, 20, valid_sets=list(sets.values()), valid_names=list(sets),
                   callbacks=[TuneReportCheckpointCallback(names)])  # fmt: skip


def main():
    space = {"learning_rate": tune.loguniform(0.01, 1.0), "num_leaves": tune.randint(4, 64)}
    goal = tune.TuneConfig(metric="val_loss", mode="min", num_samples=3)
    return Raymimic().tuner(train, param_space=space, tune_config=goal).fit()


if __name__ == "__main__":
    main()
