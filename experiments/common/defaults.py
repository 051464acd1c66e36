"""What a practitioner would try first on each table: the libraries' own defaults, by hand.

None was chosen by looking at a table.
"""

from __future__ import annotations

from raymimic.records import Config

# scikit-learn's MLPClassifier: alpha 1e-4, batches of min(200, samples), one hidden layer of 100,
# learning_rate_init 1e-3 (Adam).
MLP_CLASSIFIER: Config = {
    "alpha": 1e-4,
    "batch_size": 200,
    "depth": 1,
    "learning_rate_init": 1e-3,
    "width": 100,
}

# Keras: Adam at 1e-3 without a schedule, batches of 32, no dropout; ReLU, and 100 units as in
# scikit-learn (Keras has no default for either).
FC_NET: Config = {
    "activation_fn_1": "relu",
    "activation_fn_2": "relu",
    "batch_size": 32,
    "dropout_1": 0.0,
    "dropout_2": 0.0,
    "init_lr": 1e-3,
    "lr_schedule": "const",
    "n_units_1": 100,
    "n_units_2": 100,
}

# PyTorch's AdamW (lr 1e-3, weight decay 0.01) on the one layer of 100 of scikit-learn's
# MLPClassifier, whose batch of 200 is nearest to 128; no dropout there.
NOISY_DIGITS: Config = {
    "optimizer": "adamw",
    "batch_size": 128,
    "n_layers": 1,
    "width": 100,
    "lr": 1e-3,
    "weight_decay": 0.01,
    "dropout": 0.0,
}

# Adam as published (Kingma & Ba 2015); penalties and decays, which it does not have, at the low
# ends of their ranges.
ADAM: Config = {
    "learning_rate": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "l1": 1e-8,
    "l2": 1e-8,
    "linear_decay": 1e-7,
    "exponential_decay": 1e-6,
}
