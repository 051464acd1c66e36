"""XGBoost: Ray's callback reports each boosting round, so the whole curve is read."""

import xgboost
from ray import tune
from ray.tune.integration.xgboost import TuneReportCheckpointCallback
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from raymimic import Raymimic


def train(config):
    x, x_val, y, y_val = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
    sets = [(xgboost.DMatrix(x, y), "train"), (xgboost.DMatrix(x_val, y_val), "val")]
    report = TuneReportCheckpointCallback(
        {"train_loss": "train-logloss", "val_loss": "val-logloss"}
    )
    config = {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1, **config}
    xgboost.train(config, sets[0][0], 20, evals=sets, callbacks=[report], verbose_eval=False)


def main():
    space = {"eta": tune.loguniform(0.01, 1.0), "max_depth": tune.randint(2, 11)}
    goal = tune.TuneConfig(metric="val_loss", mode="min", num_samples=3)
    return Raymimic().tuner(train, param_space=space, tune_config=goal).fit()


if __name__ == "__main__":
    main()
