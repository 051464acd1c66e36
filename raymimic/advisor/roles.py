"""What a hyperparameter's name tells a practitioner about it: its role.

Only the last part of a nested name counts ("model/width" is a width). Some short names mean
different things in different families of models (``alpha``, ``gamma``), so the whole space is read
at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PATTERNS: tuple[tuple[str, str], ...] = (
    # The first pattern that matches whole words of the name decides, so the narrow ones come first.
    ("warmup", r"warmup|warm_up"),
    ("schedule", r"lr_schedule|schedule|scheduler|lr_policy|annealing"),
    ("lr_decay", r"lr_decay|learning_rate_decay|lr_gamma|decay_rate|\w+_decay_rate"),
    ("lr_decay", r"linear_decay|exponential_decay|exp_decay|step_decay"),
    ("weight_decay", r"weight_decay|wd|l2|l2_reg|reg_l2|lambda_l2|l2_leaf_reg|reg_lambda"),
    ("weight_decay", r"l2_penalty|l2_regularization|weight_penalty"),
    ("l1", r"l1|l1_reg|reg_l1|reg_alpha|lambda_l1|l1_penalty"),
    ("clip_range", r"clip_range|clip_param|clip_eps|clip_epsilon|ppo_clip|clip_ratio|cliprange"),
    ("grad_clip", r"grad_clip|gradient_clip|clip_norm|max_grad_norm|clip_grad|grad_clip_norm|clip"),
    (
        "batch_norm",
        r"batch_norm|batchnorm|bn|use_bn|layer_norm|layernorm|norm|normalization|norm_type",
    ),
    ("colsample", r"colsample|feature_fraction|colsample_\w+|max_features"),
    ("subsample", r"subsample|bagging_fraction|sub_sample"),
    ("min_child_weight", r"min_child_weight|min_child_samples|min_data_in_leaf|min_samples_leaf"),
    ("num_leaves", r"num_leaves|max_leaves|max_leaf_nodes"),
    ("n_estimators", r"n_estimators|num_boost_round|num_trees|n_trees|num_rounds"),
    ("min_split_loss", r"min_split_loss|min_gain_to_split|min_split_gain"),
    ("tree_depth", r"max_depth|tree_depth"),
    ("gae_lambda", r"gae_lambda|gae|lam"),
    ("entropy", r"ent_coef|ent_coeff|entropy_coeff?|entropy_bonus|entropy_coefficient"),
    ("value_coef", r"vf_coef|vf_loss_coeff|value_coef|value_loss_coef"),
    ("discount", r"discount|discount_factor"),
    ("label_smoothing", r"label_smoothing|smoothing"),
    ("dropout", r"dropout|drop_rate|dropout_rate|dropout_p|drop_prob|drop|drop_path"),
    ("batch_size", r"batch_size|batchsize|bs|minibatch_size|batch|mini_batch|train_batch"),
    ("momentum", r"momentum|nesterov_momentum"),
    ("beta1", r"beta1|beta_1|b1"),
    ("beta2", r"beta2|beta_2|b2"),
    ("eps", r"eps|epsilon|adam_eps|adam_epsilon"),
    ("optimizer", r"optimizer|optimiser|optim|opt|solver"),
    ("activation", r"activation|activation_fn|act|nonlinearity|act_fn|activation_function"),
    ("epochs", r"epochs|n_epochs|num_epochs|max_epochs|max_steps|num_steps|n_steps_total"),
    ("residual", r"residual|use_residual|skip|skip_connections|residual_connections"),
    ("kernel_size", r"kernel_size|kernel|filter_size"),
    ("depth", r"depth|layers|n_layers|num_layers|n_blocks|num_blocks|blocks|n_hidden_layers"),
    ("depth", r"num_hidden_layers|hidden_layers|nlayers"),
    ("width", r"width|hidden|units|channels|n_units|num_units|hidden_size|hidden_dim|hidden_units"),
    ("width", r"base_channels|n_channels|num_channels|neurons|filters|num_filters|n_filters|dim"),
    ("width", r"d_model|embed_dim|embedding_dim|fc|n_hidden|layer_size"),
    ("learning_rate", r"learning_rate|lr|eta|step_size|stepsize|learningrate"),
)
_RULES = tuple((role, re.compile(rf"(?:^|_)(?:{pattern})(?:_|$)")) for role, pattern in _PATTERNS)

_TREE_ROLES = frozenset(
    {"subsample", "colsample", "min_child_weight", "num_leaves", "n_estimators", "tree_depth"}
)
_RL_ROLES = frozenset({"gae_lambda", "clip_range", "entropy", "value_coef"})


def plain_name(name: str) -> str:
    """Give the last part of a nested name in snake case, without a trailing layer number.

    >>> plain_name("model/nUnits_1")
    'n_units'
    """
    last = re.split(r"[/.:]", name)[-1]
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", last).lower()
    snake = re.sub(r"[^a-z0-9]+", "_", snake).strip("_")
    return re.sub(r"_\d+$", "", snake) or snake


def role_of(name: str) -> str | None:
    """Give the role that a name alone tells, None if it tells none."""
    last = re.split(r"[/.:]", name)[-1]
    if re.fullmatch(r"[Bb]eta_?[12]", last):
        return "beta" + last[-1]
    plain = plain_name(name)
    if plain.startswith(("log_", "log10_", "ln_")):
        return None  # an exponent: published values are not in its unit
    return next((role for role, rule in _RULES if rule.search(plain)), None)


def family_of(roles: Iterable[str | None]) -> str:
    """Give the family of models a set of roles belongs to: "tree", "rl" or "net"."""
    present = set(roles)
    if len(present & _TREE_ROLES) >= 2 or "num_leaves" in present:
        return "tree"
    return "rl" if present & _RL_ROLES else "net"


def assign_roles(names: Iterable[str]) -> tuple[dict[str, str | None], str]:
    """Give each name's role, and the family, with ambiguous names read in their company."""
    roles = {name: role_of(name) for name in names}
    family = family_of(roles.values())
    if "tree_depth" in roles.values() and any(plain_name(name) == "eta" for name in roles):
        family = "tree"  # XGBoost's own words
    has_lr = "learning_rate" in roles.values()
    for name, role in roles.items():
        if role is None:
            roles[name] = _by_company(plain_name(name), family, has_lr)
        elif family == "tree" and role == "depth":
            roles[name] = "tree_depth"
        elif family == "net" and role in {"tree_depth", "n_estimators"} and has_lr:
            roles[name] = "depth" if role == "tree_depth" else role
    return roles, family


def _by_company(plain: str, family: str, has_lr: bool) -> str | None:
    if plain == "alpha":
        # scikit-learn's MLP calls its L2 penalty alpha; alone, alpha is a step size.
        return ("l1" if family == "tree" else "weight_decay") if has_lr else "learning_rate"
    if plain == "lambda":
        return {"tree": "weight_decay", "rl": "gae_lambda"}.get(family, "weight_decay")
    if plain == "gamma":
        return {"tree": "min_split_loss", "rl": "discount"}.get(family)
    return None
