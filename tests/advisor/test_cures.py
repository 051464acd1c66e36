"""Under every diagnosis rules and prompts say the same."""

from __future__ import annotations

import re

import pytest

from raymimic import HeuristicAdvisor, SearchEvidence, TrialRecord
from raymimic.advisor import KnobState, build_adjust_request, build_judge_request, build_request
from raymimic.advisor.cures import CURES, REGULARISER, Turn, cures_for, turned
from raymimic.curves import Curve, Diagnosis, Signal
from raymimic.space import FloatRange, SearchSpace
from raymimic.testing.runs import evidence as run_evidence
from raymimic.testing.trials import case
from raymimic.testing.trials import evidence as judge_evidence

KNOBS = (
    KnobState("lr", 0.01, 1e-4, 1.0),
    KnobState("weight_decay", 0.01, 0.0, 1.0),
    KnobState("dropout", 0.2, 0.0, 0.9),
    KnobState("augmentation", 0.2, 0.0, 1.0),
    KnobState("temperature", 0.2, 0.0, 1.0),
)
TOLD_AS = {
    "lr": "learning rate",
    "weight_decay": "weight decay",
    "dropout": "dropout",
    "augmentation": "augmentation, smoothing and their like",
}
WORDS = {
    "learning_rate": ("lower learning rate", "higher learning rate"),
    "batch_size": ("smaller batch", "larger batch"),
    "width": ("less width", "more width"),
    "dropout": ("less dropout", "more dropout"),
    "weight_decay": ("less weight decay", "more weight decay"),
    "depth": ("shallower net", "deeper net"),
}


def line_for(system: str, kind: str) -> str:
    """What a prompt says of a diagnosis, after its name."""
    part = system.partition("What experience supports")[2].partition("\n\n")[0]
    heading = re.escape(CURES[kind].heading)
    found = [
        line.partition(": ")[2]
        for line in part.splitlines()
        if re.search(rf"(^- |, ){heading}[,:]", line, re.IGNORECASE)
    ]
    assert len(found) == 1, (kind, part)
    return found[0]


def asked(space: SearchSpace) -> str:
    """What a model is shown once a training has reported more than once."""
    config = {name: dimension.from_unit(0.5) for name, dimension in space.dimensions.items()}
    curve = Curve([1, 2], {"loss": [1.0, 0.5]})
    trial = TrialRecord("t", config, "done", "llm", score=0.5, curve=curve)
    return build_request(SearchEvidence(space, "loss", "min", (trial,)), 1).user


def told_moves(line: str) -> dict[str, bool]:
    """Which knobs a line turns: whether up."""
    moves = {}
    for knob, name in TOLD_AS.items():
        found = re.search(rf"{name} (x[\d.]*\d|[+-][\d.]*\d|up by)", line)
        if found:
            amount = found[1]
            moves[knob] = float(amount[1:]) > 1 if amount[0] == "x" else amount[0] in "+u"
    return moves


def made_moves(knobs) -> dict[str, bool]:
    stood = {knob.name: knob.value for knob in KNOBS}
    return {name: value > stood[name] for name, value in knobs.items()}


def diagnosed(kind: str) -> Diagnosis:
    return Diagnosis((Signal(kind, 2, f"{kind} since epoch 2"),))


@pytest.mark.parametrize("kind", CURES)
def test_a_running_trial_is_turned_as_the_judges_prompt_says(kind):
    asked = judge_evidence(case(diagnosis=diagnosed(kind), knobs=KNOBS))
    (judged,) = HeuristicAdvisor().judge(asked).judgements
    line = line_for(build_judge_request(asked).system, kind)
    assert made_moves(judged.knobs) == told_moves(line)
    assert (judged.action == "continue") == ("leave the knobs" in line)
    assert judged.reason.startswith("no rule applies") == ("leave the knobs" in line)


@pytest.mark.parametrize("kind", CURES)
def test_a_training_is_steered_in_no_way_that_its_prompt_does_not_say(kind):
    asked = run_evidence(
        diagnosis=diagnosed(kind), knobs=KNOBS, steps_per_epoch=1000, epochs_total=100
    )
    made = HeuristicAdvisor().adjust(asked).adjustment
    line = line_for(build_adjust_request(asked).system, kind)
    assert made_moves(made.knobs).items() <= told_moves(line).items()
    for operation in made.operations:
        assert f'a {operation.kind} toward "{operation.toward}" by {operation.amount:g}' in line


@pytest.mark.parametrize("kind", CURES)
def test_both_questions_about_running_trainings_turn_a_knob_the_same_way(kind):
    judged = told_moves(line_for(build_judge_request(judge_evidence()).system, kind))
    steered = told_moves(line_for(build_adjust_request(run_evidence()).system, kind))
    assert all(steered[name] == up for name, up in judged.items() if name in steered)


@pytest.mark.parametrize("kind", CURES)
def test_a_new_configuration_is_told_what_the_rules_change_in_their_order(kind):
    space = SearchSpace(dict.fromkeys(WORDS, FloatRange(1e-4, 1.0)))
    line = line_for(asked(space), kind)
    wanted: dict[str, str] = {}
    for remedy in cures_for(kind):
        if remedy.role in WORDS:
            wanted.setdefault(remedy.role, WORDS[remedy.role][remedy.direction > 0])
    places = [line.replace("much ", "").find(words) for words in wanted.values()]
    assert -1 not in places
    assert places == sorted(places)


def test_a_plateau_wants_a_lower_rate_whoever_is_asked():
    space = SearchSpace({"lr": FloatRange(1e-4, 1.0)})
    assert [r.direction for r in cures_for("plateau") if r.role == "learning_rate"] == [-1]
    searched = asked(space)
    assert "a lower learning rate" in line_for(searched, "plateau")
    for request in (build_judge_request(judge_evidence()), build_adjust_request(run_evidence())):
        assert told_moves(line_for(request.system, "plateau")) == {"lr": False}


def test_a_net_that_never_left_chance_wants_a_higher_rate_where_that_is_low():
    assert cures_for("stuck", low_rate=True)[0].direction == 1
    assert cures_for("stuck")[0].role == "optimizer"
    assert cures_for("overfitting", low_rate=True) == cures_for("overfitting")
    assert cures_for("a kind of another version") == ()


def test_only_what_the_space_has_is_told_and_the_usual_where_a_name_tells_nothing():
    def told(*names: str) -> str:
        space = SearchSpace(dict.fromkeys(names, FloatRange(1e-4, 1.0)))
        return asked(space)

    assert line_for(told("lr"), "overfitting") == "a lower learning rate."
    assert line_for(told("num_leaves"), "ceiling") == "more leaves."
    assert "leave" not in told("lr", "dropout")
    assert line_for(told("lr", "optimizer"), "diverged") == "a much lower learning rate."
    stuck = ("Stuck from the first epoch", "with a learning rate low in its range")
    assert (
        f"- {stuck[0]}: another optimizer, a much lower learning rate.\n"
        f"- {stuck[0]} {stuck[1]}: a much higher learning rate, another optimizer.\n"
    ) in told("lr", "optimizer")
    assert stuck[1] not in told("optimizer")
    assert "Oscillating" not in told("dropout")
    assert "dropout" not in told("lr")
    assert line_for(told("lr", "foo"), "plateau") == (
        "more width, less dropout, a lower learning rate."
    )


def test_the_role_that_a_name_tells_goes_before_a_word_in_it():
    turns = (Turn("dropout", step=0.1), Turn(REGULARISER, share=0.5))
    knobs = (
        KnobState("augment_dropout", 0.1, 0.0, 1.0), KnobState("cutmix", 0.1, 0.0, 1.0),
        KnobState("temperature", 0.1, 0.0, 1.0),
    )  # fmt: skip
    assert turned(knobs, turns) == pytest.approx({"augment_dropout": 0.2, "cutmix": 0.6})


@pytest.mark.parametrize(
    ("turn", "knob", "value"),
    [
        (Turn("lr", factor=0.5), KnobState("lr", 0.1, 0.08, 1.0), 0.08),
        (Turn("lr", factor=3.0), KnobState("lr", 0.1, 0.0, 0.2), 0.2),
        (Turn("wd", factor=3.0, least=1e-4), KnobState("wd", 0.0, 0.0, 1.0), 1e-4),
        (Turn("wd", factor=3.0, most=0.1), KnobState("wd", 0.05, 0.0, 1.0), 0.1),
        (Turn("wd", factor=3.0, most=0.1), KnobState("wd", 0.5, 0.0, 1.0), 0.5),
        (Turn("dropout", step=-0.1, least=0.5), KnobState("dropout", 0.2, 0.0, 1.0), 0.1),
        (Turn("dropout", step=0.1, most=0.5), KnobState("dropout", 0.45, 0.0, 0.9), 0.5),
        (Turn("dropout", step=0.1, most=0.5), KnobState("dropout", 0.6, 0.0, 0.9), 0.6),
        (Turn("wd", factor=1.5, most=0.1), KnobState("wd", 0.2, 0.0, 1.0), 0.2),
        (Turn("mixup", share=0.5, most=0.5), KnobState("mixup", 0.4, 0.0, 1.0), 0.5),
        (Turn("mixup", share=0.25), KnobState("mixup", 1.0, 0.0, 4.0), 2.0),
    ],
)
def test_a_turn_stays_within_its_bounds_and_those_of_the_knob(turn, knob, value):
    assert turn.of(knob) == pytest.approx(value)
