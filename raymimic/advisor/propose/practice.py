"""Published practice: what to try first for a hyperparameter of a known role, and who says so.

Every figure comes from a paper or a tool's documentation; none was fitted to our benchmark tables.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Practice:
    """A published default, the range worth exploring, and the source.

    ``log`` says whether ratios matter (then ``low`` is above 0).
    """

    value: float
    low: float
    high: float
    log: bool
    source: str


@dataclass(frozen=True)
class Share:
    """Where no number suits all tasks: a place in the user's own range (unit coordinates)."""

    value: float
    low: float
    high: float
    source: str


_BENGIO = "Bengio 2012"
_ADAM = "Kingma & Ba 2015"
_PPO = "Schulman et al. 2017"
_XGB = "XGBoost documentation"
_LGBM = "LightGBM documentation"

PRACTICE: dict[str, Practice] = {
    "learning_rate": Practice(1e-3, 1e-4, 1e-2, True, f"Adam's default, {_ADAM}"),
    "weight_decay": Practice(1e-4, 1e-6, 1e-2, True, "Krizhevsky 2012, He et al. 2016"),
    "l1": Practice(1e-6, 1e-8, 1e-4, True, f"a light penalty, {_BENGIO}"),
    "dropout": Practice(0.2, 0.0, 0.5, False, "Srivastava et al. 2014"),
    "batch_size": Practice(64, 32, 128, True, f"{_BENGIO}, Masters & Luschi 2018"),
    "momentum": Practice(0.9, 0.8, 0.99, False, "Goyal et al. 2017, Sutskever et al. 2013"),
    "beta1": Practice(0.9, 0.8, 0.95, False, _ADAM),
    "beta2": Practice(0.999, 0.95, 0.9999, False, _ADAM),
    "eps": Practice(1e-8, 1e-9, 1e-4, True, _ADAM),
    "label_smoothing": Practice(0.1, 0.0, 0.2, False, "Szegedy et al. 2016"),
    "grad_clip": Practice(1.0, 0.25, 5.0, True, "Pascanu et al. 2013"),
    "kernel_size": Practice(3, 3, 5, False, "Simonyan & Zisserman 2015"),
    "clip_range": Practice(0.2, 0.1, 0.3, False, _PPO),
    "discount": Practice(0.99, 0.95, 0.999, False, _PPO),
    "gae_lambda": Practice(0.95, 0.9, 0.99, False, _PPO),
    "entropy": Practice(0.01, 1e-4, 0.03, True, "Mnih et al. 2016"),
    "value_coef": Practice(0.5, 0.25, 1.0, False, "Mnih et al. 2016"),
}

BY_FAMILY: dict[str, dict[str, Practice]] = {
    "tree": {
        "learning_rate": Practice(0.1, 0.03, 0.3, True, f"{_XGB}, {_LGBM}"),
        "weight_decay": Practice(1.0, 0.1, 10.0, True, f"lambda, {_XGB}"),
        "l1": Practice(1e-3, 1e-4, 1.0, True, f"alpha near 0, {_XGB}"),
        "tree_depth": Practice(6, 3, 10, False, _XGB),
        "subsample": Practice(0.8, 0.6, 1.0, False, f"Friedman 2002, {_XGB}"),
        "colsample": Practice(0.8, 0.5, 1.0, False, f"{_XGB}, {_LGBM}"),
        "min_child_weight": Practice(1, 1, 20, True, _XGB),
        "num_leaves": Practice(31, 15, 127, True, _LGBM),
        "n_estimators": Practice(300, 100, 1000, True, _LGBM),
        "min_split_loss": Practice(0.0, 0.0, 1.0, False, _XGB),
    },
    "rl": {
        "learning_rate": Practice(3e-4, 1e-5, 1e-3, True, _PPO),
        "batch_size": Practice(64, 32, 256, True, _PPO),
        "epochs": Practice(10, 3, 20, True, _PPO),
    },
    "net": {},
}

SHARES: dict[str, Share] = {
    "width": Share(0.65, 0.45, 0.9, f"larger than needed, then regularised, {_BENGIO}"),
    "depth": Share(0.4, 0.2, 0.7, "moderate depth first, Bengio 2012"),
    "tree_depth": Share(0.5, 0.25, 0.75, "the middle of the range"),
    "epochs": Share(0.8, 0.5, 1.0, "long enough to converge, Smith 2018"),
    "warmup": Share(0.3, 0.1, 0.6, "a short warm-up, Goyal et al. 2017"),
    "n_estimators": Share(0.6, 0.4, 1.0, "enough trees, Friedman 2001"),
}

OPTIMIZER_LR: dict[str, Practice] = {
    "adam": PRACTICE["learning_rate"],
    "adamw": Practice(1e-3, 1e-4, 1e-2, True, "Loshchilov & Hutter 2019"),
    "sgd": Practice(0.03, 0.01, 0.3, True, "Goyal et al. 2017, He et al. 2016"),
    "rmsprop": Practice(1e-3, 1e-4, 1e-2, True, "Tieleman & Hinton 2012"),
    "adagrad": Practice(1e-2, 1e-3, 1e-1, True, "Duchi et al. 2011"),
    "lion": Practice(1e-4, 1e-5, 1e-3, True, "Chen et al. 2023"),
}

ADAMW_DECAY = Practice(1e-2, 1e-4, 1e-1, True, "Loshchilov & Hutter 2019")

PREFERRED: dict[str, tuple[tuple[str, ...], str]] = {
    # Categories by name, the most dependable first.
    "optimizer": (("adamw", "adam", "nadam", "radam", "sgd", "rmsprop"), _ADAM),
    "activation": (("relu", "gelu", "silu", "swish", "elu", "leaky_relu"), "Glorot et al. 2011"),
    "batch_norm": (("true", "1", "batch", "bn", "batchnorm", "layer"), "Ioffe & Szegedy 2015"),
    "schedule": (("cosine", "onecycle", "linear", "step"), "Loshchilov & Hutter 2017"),
    "residual": (("true", "1"), "He et al. 2016"),
}


def practice_of(role: str | None, family: str) -> Practice | None:
    """Give what is published for a role in a family of models, None if nothing is."""
    return BY_FAMILY[family].get(role or "") or PRACTICE.get(role or "")


def optimizer_kind(value: object) -> str | None:
    """Give the name of the family of update rules an optimizer's name or class tells."""
    text = str(getattr(value, "__name__", value)).lower()
    return next(
        (kind for kind in ("adamw", "adam", "sgd", "rmsprop", "adagrad", "lion") if kind in text),
        "adam" if text.endswith("adam") else "sgd" if text in {"momentum", "nesterov"} else None,
    )
