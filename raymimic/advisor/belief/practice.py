"""Common practice: what to try first for a hyperparameter of a known role, and who says so.

Figures come from papers, from tools' defaults or from rules of thumb, as each one's ``source``
says; none was fitted to our benchmark tables.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Practice:
    """A usual value, the range worth exploring, and who says so.

    ``source`` names a publication only where ``value`` itself stands in it, else it says where the
    value comes from. ``log`` says whether ratios matter (then ``low`` is above 0).
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


RULE_OF_THUMB = "rule of thumb"
"""The source of values that many use and no publication of ours states."""

_ADAM = "Adam's default, Kingma & Ba 2015"
_PPO = "Schulman et al. 2017"
_XGB = "XGBoost's default"
_LGBM = "LightGBM's default"

PRACTICE: dict[str, Practice] = {
    "learning_rate": Practice(1e-3, 1e-4, 1e-2, True, _ADAM),
    "weight_decay": Practice(1e-4, 1e-6, 1e-2, True, "He et al. 2016"),
    "l1": Practice(1e-6, 1e-8, 1e-4, True, RULE_OF_THUMB),
    "dropout": Practice(0.0, 0.0, 0.5, False, "He et al. 2016"),
    "batch_size": Practice(64, 32, 128, True, RULE_OF_THUMB),
    "momentum": Practice(0.9, 0.8, 0.99, False, "Goyal et al. 2017"),
    "beta1": Practice(0.9, 0.8, 0.95, False, _ADAM),
    "beta2": Practice(0.999, 0.95, 0.9999, False, _ADAM),
    "eps": Practice(1e-8, 1e-9, 1e-4, True, _ADAM),
    "label_smoothing": Practice(0.1, 0.0, 0.2, False, "Szegedy et al. 2016"),
    "grad_clip": Practice(1.0, 0.25, 5.0, True, "Brown et al. 2020"),
    "kernel_size": Practice(3, 3, 5, False, "Simonyan & Zisserman 2015"),
    "clip_range": Practice(0.2, 0.1, 0.3, False, _PPO),
    "discount": Practice(0.99, 0.95, 0.999, False, _PPO),
    "gae_lambda": Practice(0.95, 0.9, 0.99, False, _PPO),
    "entropy": Practice(0.01, 1e-4, 0.03, True, "Mnih et al. 2016"),
    "value_coef": Practice(0.5, 0.25, 1.0, False, "Stable-Baselines3's default"),
}

BY_FAMILY: dict[str, dict[str, Practice]] = {
    "tree": {
        "learning_rate": Practice(0.1, 0.03, 0.3, True, _LGBM),
        "weight_decay": Practice(1.0, 0.1, 10.0, True, _XGB),
        "l1": Practice(1e-3, 1e-4, 1.0, True, RULE_OF_THUMB),
        "tree_depth": Practice(6, 3, 10, False, _XGB),
        "subsample": Practice(0.8, 0.6, 1.0, False, RULE_OF_THUMB),
        "colsample": Practice(0.8, 0.5, 1.0, False, RULE_OF_THUMB),
        "min_child_weight": Practice(1, 1, 20, True, RULE_OF_THUMB),  # also of samples in a leaf
        "num_leaves": Practice(31, 15, 127, True, _LGBM),
        "n_estimators": Practice(300, 100, 1000, True, RULE_OF_THUMB),
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
    "width": Share(0.65, 0.45, 0.9),  # larger than needed, then regularised (Bengio 2012)
    "depth": Share(0.4, 0.2, 0.7),  # moderate depth first
    "tree_depth": Share(0.5, 0.25, 0.75),
    "epochs": Share(0.8, 0.5, 1.0),  # long enough to converge
    "warmup": Share(0.3, 0.1, 0.6),  # a short one
    "n_estimators": Share(0.6, 0.4, 1.0),
}

OPTIMIZER_LR: dict[str, Practice] = {
    "adam": PRACTICE["learning_rate"],
    "adamw": Practice(1e-3, 1e-4, 1e-2, True, "Loshchilov & Hutter 2019"),
    "sgd": Practice(0.03, 0.01, 0.3, True, RULE_OF_THUMB),
    "rmsprop": Practice(1e-3, 1e-4, 1e-2, True, "Ruder 2016"),
    "adagrad": Practice(1e-2, 1e-3, 1e-1, True, "Ruder 2016"),
    "lion": Practice(1e-4, 1e-5, 1e-3, True, "Lion's default in its authors' code"),
}

ADAMW_DECAY = Practice(1e-2, 1e-4, 1e-1, True, "AdamW's default in PyTorch")

LENGTHS = {"learning_rate": 1 / 3}
"""Over which share of its range a parameter's effect stays alike: the shorter, the more it matters.

"Often the single most important hyper-parameter" (Bengio 2012, section 3.1, of the learning rate);
of the others none matters so much on all tasks. The figures are our own choice.
"""

USUAL_LENGTH = 1.0
"""The same of every other parameter."""

_NORM = "Ioffe & Szegedy 2015"
_RESIDUAL = "He et al. 2016"

PREFERRED: dict[str, dict[str, str]] = {
    # Categories by name with who proposed them, the most dependable first.
    "optimizer": {
        "adamw": "Loshchilov & Hutter 2019",
        "adam": "Kingma & Ba 2015",
        "nadam": "Dozat 2016",
        "radam": "Liu et al. 2020",
        "sgd": "Robbins & Monro 1951",
        "rmsprop": "Tieleman & Hinton 2012",
    },
    "activation": {
        "relu": "Glorot et al. 2011",
        "gelu": "Hendrycks & Gimpel 2016",
        "silu": "Elfwing et al. 2018",
        "swish": "Ramachandran et al. 2017",
        "elu": "Clevert et al. 2016",
        "leaky_relu": "Maas et al. 2013",
    },
    "batch_norm": {
        **dict.fromkeys(("true", "1", "batch", "bn", "batchnorm"), _NORM),
        "layer": "Ba et al. 2016",
    },
    "schedule": {
        "cosine": "Loshchilov & Hutter 2017",
        "onecycle": "Smith & Topin 2019",
        "linear": "Li et al. 2020",
        "step": "He et al. 2016",
    },
    "residual": dict.fromkeys(("true", "1"), _RESIDUAL),
}


def practice_of(role: str | None, family: str) -> Practice | None:
    """Give what is usual for a role in a family of models, None if nothing is."""
    return BY_FAMILY[family].get(role or "") or PRACTICE.get(role or "")


def optimizer_kind(value: object) -> str | None:
    """Give the name of the family of update rules an optimizer's name or class tells."""
    text = str(getattr(value, "__name__", value)).lower()
    return next(
        (kind for kind in ("adamw", "adam", "sgd", "rmsprop", "adagrad", "lion") if kind in text),
        "adam" if text.endswith("adam") else "sgd" if text in {"momentum", "nesterov"} else None,
    )
