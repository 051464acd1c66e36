"""``raymimic run`` and ``raymimic check``: scripts of a user's own, as they come."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from ray import tune
from ray.tune.search.sample import Categorical, Float, Integer, LogUniform
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from raymimic import SpaceError, model_space, plain_space, read_events
from raymimic.cli import main
from raymimic.tune.estimators import building
from raymimic.tune.returning import epochs_of
from raymimic.tune.script import read_script

RETURNS = """
search_space = {"lr": (1e-5, 1e-1), "act": ["relu", "tanh"]}
epochs = 3

def train_fn(config):
    losses = [config["lr"] + 1 / (epoch + 1) for epoch in range(epochs)]
    return {"score": losses[-1], "val_loss": losses, "train_loss": losses, "note": config["act"]}
"""
REPORTS = """
from ray import tune

param_space = {"lr": tune.loguniform(1e-5, 1.0), "width": tune.choice([8, 16])}

def train(config):
    for epoch in range(4):
        tune.report({"test_acc": 0.5, "train_loss": config["lr"], "when": "now"})
"""


@pytest.fixture
def script(tmp_path, monkeypatch, quiet_ray):
    monkeypatch.chdir(tmp_path)
    for name in ("PYTHONPATH", "RAY_CHDIR_TO_TRIAL_DIR", "TUNE_DISABLE_STRICT_METRIC_CHECKING"):
        monkeypatch.setenv(name, "0")  # what a run sets is put back

    def write(text):
        (tmp_path / "script.py").write_text(text)
        return "script.py"

    return write


@pytest.mark.ray
def test_a_function_that_returns_its_curves_is_searched(ray_here, script, tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO, "raymimic")
    command = ["run", script(RETURNS), "--trials", "2", "--llm", "none", "--seed", "0"]
    assert main([*command, "--concurrent", "2"]) == 0
    shown = capsys.readouterr().out
    assert "lr: numbers from 1e-05 to 0.1, logarithmic scale (by its name)" in caplog.text
    assert "Best score 0.33" in shown
    (ledger,) = (tmp_path / "raymimic_results").rglob("raymimic*.jsonl")
    curves = [event["curve"] for event in read_events(ledger).of("outcome")]
    assert [len(curve["epochs"]) for curve in curves] == [3, 3]  # nothing was cut
    assert {"score", "val_loss", "train_loss"} <= curves[0]["columns"].keys()


@pytest.mark.ray
def test_a_metric_that_never_comes_ends_the_run_with_the_names_that_came(
    ray_here, script, capsys, caplog
):
    """Also where it is one of several objectives."""
    command = ["run", script(REPORTS), "--trials", "4", "--llm", "none", "--concurrent", "1"]
    assert main([*command, "--metric", "train_loss,test_ac"]) == 2
    shown = capsys.readouterr()
    assert "train_loss (lower is better) and test_ac (" in shown.out
    assert "the metric 'test_ac' must be reported" in shown.err
    assert "what came is 'test_acc', 'train_loss', 'when': report it" in caplog.text
    assert "reported were test_acc, train_loss; did you mean test_acc?" in shown.err


@pytest.mark.ray
def test_a_check_says_what_is_reported_and_what_is_wrong_with_it(ray_here, script, capsys):
    command = ["check", script(REPORTS), "--metric", "test_acc", "--epochs", "4"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "train_loss  0.001  (number)" in shown
    assert "str, not a number" in shown
    assert "Metric: test_acc, higher is better" in shown
    assert "test_acc is a test metric by its name" in shown
    assert "no validation metric" in shown
    assert "no pair of a training and a validation metric" in shown
    assert "names width in the space alone" in shown
    assert "4 epochs, 20 trials" in shown
    assert "questions to propose" in shown


@pytest.mark.ray
def test_a_check_of_a_training_that_fails_says_why_in_a_line(ray_here, script, capsys):
    assert main(["check", script(RETURNS.replace('config["lr"]', 'config["lrr"]'))]) == 2
    said = capsys.readouterr().err
    assert "KeyError: 'lrr'" in said
    assert "the space has lr, act only; did you mean lr?" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def fit(config): pass", "named train_fn or trainable or train; it has fit"),
        ("def train(config): pass", "named param_space or search_space; it has nothing"),
        ("def train(config): pass\nspace = {'a': 1}", "it has space"),
        ("def train(config): pass\nsearch_space = {'a': (3, 1)}", "a: a tuple must be (low, high)"),
        ("x = 1\nraise ValueError('no data')", "fails at line 2"),
        ("def train(:", "fails at line 1"),
        ("def train(config): pass\nsearch_space = {'a': (0, 1)}", "--metric NAME"),
        (
            "from ray import tune\nfrom raymimic import LLMSearcher\n"
            "tune.Tuner(print, param_space={'a': tune.uniform(0, 1)}, tune_config=tune.TuneConfig("
            "metric='a', mode='min', search_alg=LLMSearcher())).fit()",
            "starts a search itself",
        ),
    ],
)
def test_a_script_without_what_is_needed_is_told_in_a_line(text, message, script, capsys):
    assert main(["run", script(text)]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("said", "metric", "mode", "objectives"),
    [
        ("", "val_loss, acc", None, "val_loss min acc max"),
        ("", "val_loss,acc", "min,min", "val_loss min acc min"),
        ("metric = ['loss', 'latency']\nmode = ['max', 'min']", None, None, "loss max latency min"),
        ("metric = ['loss', 'latency']", "acc", None, "acc max"),
        ("metric = 'acc'\nminimize = True", None, None, "acc min"),
        ("", None, None, "score min"),
    ],
)
def test_several_metrics_are_told_by_commas_or_a_list(said, metric, mode, objectives, script):
    read = read_script(Path(script(f"{RETURNS}\n{said}")), metric, mode)
    assert " ".join(f"{one.name} {one.mode}" for one in read.objectives) == objectives


@pytest.mark.parametrize(
    ("metric", "mode", "words"),
    [
        ("loss,latency", "min", "one mode for each metric, got min for loss, latency"),
        ("loss", "mox", "must be 'min' or 'max', got 'mox'"),
        ("loss,loss", None, "named once, got 'loss' more than once"),
    ],
)
def test_objectives_that_cannot_be_are_told_in_a_line(metric, mode, words, script, capsys):
    modes = [] if mode is None else ["--mode", mode]
    assert main(["run", script(RETURNS), "--metric", metric, *modes]) == 2
    assert words in capsys.readouterr().err


# -- plain spaces


def test_a_plain_space_is_read_with_its_scale():
    own = tune.quniform(0, 1, 0.1)
    space = plain_space(
        {"lr": (1e-3, 1e-2), "units": (8, 1024), "layers": (1, 4), "dropout": (0, 1),
         "model": {"act": ["relu", "tanh"]}, "own": own, "constant": 3}
    )  # fmt: skip
    kinds = {name: (type(d), isinstance(d.sampler, LogUniform)) for name, d in space.items()
             if name not in ("model", "constant", "own")}  # fmt: skip
    assert kinds == {
        "lr": (Float, True), "units": (Integer, True), "layers": (Integer, False),
        "dropout": (Float, False),
    }  # fmt: skip
    assert space["layers"].upper == 5  # both ends belong to it
    assert isinstance(space["model"]["act"], Categorical)
    assert space["own"] is own
    assert space["constant"] == 3


def test_neuropts_own_ranges_are_read_with_both_ends():
    def theirs(name, **bounds):
        return type(name, (), {"__module__": "neuropt.search_space", **bounds})()

    space = plain_space(
        {"a": theirs("LogUniform", low=0.1, high=1.0), "b": theirs("IntUniform", low=1, high=3),
         "c": theirs("Uniform", low=0.0, high=900.0), "d": theirs("Categorical", choices=[1, 2])}
    )  # fmt: skip
    assert isinstance(space["a"].sampler, LogUniform)
    assert (space["b"].lower, space["b"].upper) == (1, 4)
    assert not isinstance(space["c"].sampler, LogUniform)
    assert space["d"].categories == [1, 2]


@pytest.mark.parametrize("value", [(1, 2, 3), ("a", "b"), (2, 1), (0.0, float("inf")), []])
def test_what_is_no_range_and_no_choice_is_refused(value):
    with pytest.raises(SpaceError, match="x: a "):
        plain_space({"x": value})


# -- what a training function returns


@pytest.mark.parametrize(
    ("returned", "scores"),
    [
        (0.5, [0.5]),
        ({"score": 0.2, "val": [0.3, 0.2]}, [0.3, 0.2]),  # the curve that ends in it
        ({"score": 0.2, "val": [0.3, 0.2, 0.4]}, [0.3, 0.2, 0.2]),  # its best so far
        ({"score": 7.0, "val": [0.3, 0.2]}, [None, 7.0]),  # no curve's
        ({"score": [0.3, 0.1]}, [0.3, 0.1]),
    ],
)
def test_a_returned_result_becomes_epochs(returned, scores):
    assert [row.get("score") for row in epochs_of(returned, "score")] == scores


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("0.5", "a number or a dict"),
        ({"loss": 1.0}, "'score' as a number; it returned 'loss'"),
        ({"status": "error", "error": "out of memory"}, "error: out of memory"),
    ],
)
def test_a_returned_result_without_a_score_is_an_error(returned, message):
    with pytest.raises(Exception, match=message):
        epochs_of(returned, "score")


# -- estimators


def test_an_estimator_gives_its_space_and_comes_with_its_parameters_set(script):
    text = """
from sklearn.svm import SVC
model = SVC(degree=2)
def train_fn(config):
    return 1.0
"""
    read = read_script(Path(script(text)))
    assert set(read.space) == {"C", "gamma", "kernel"}
    assert isinstance(read.space["C"].sampler, LogUniform)
    model = SVC(degree=2)
    given = building(model, lambda config: config["model"])({"C": 7.0})
    assert (given.C, given.degree, model.C) == (7.0, 2, 1.0)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (HistGradientBoostingClassifier(),
         "learning_rate max_leaf_nodes min_samples_leaf max_iter l2_regularization"),
        (RandomForestClassifier(), "n_estimators min_samples_leaf max_features"),
        (SGDClassifier(), "alpha"),
        (MLPClassifier(), "alpha learning_rate_init"),
    ],
)  # fmt: skip
def test_any_configuration_of_an_estimators_space_can_be_fitted(model, names):
    """A name may mean something else in another class: the values must be ones it takes."""
    space = model_space(model)
    assert set(space) == set(names.split())
    small = {"n_estimators": 2, "max_iter": 2}
    drawn = {name: small.get(name) or domain.sample() for name, domain in space.items()}
    inputs, targets = [[float(i), i % 3] for i in range(40)], [i % 2 for i in range(40)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(**drawn).fit(inputs, targets)


@pytest.mark.parametrize("model", [object(), StandardScaler()])
def test_a_model_without_known_parameters_is_refused(model):
    with pytest.raises(SpaceError, match=r"write search_space = \{"):
        model_space(model)
