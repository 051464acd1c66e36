"""The searcher's contract, driven as Tune drives it, without Ray's processes."""

from __future__ import annotations

import copy
import json
import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from ray import tune
from ray.tune.search import ConcurrencyLimiter, Repeater

from raymimic import LLMSearcher, ReplayLLM, ScriptedLLM, read_events
from raymimic.advisor import build_request, evidence_from_ledger, question_to_guide
from raymimic.errors import ConfigError, LLMCallError, LLMSetupError, SpaceError
from raymimic.testing.advisors import CountingAdvisor, HeldAdvisor, run_trial, suggest


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine, every local proposal is waited for."""
    monkeypatch.setattr("raymimic.search.queue._IDLE_WAIT_S", 60.0)


# -- proposals ---------------------------------------------------------------------------------


def test_none_while_a_call_is_in_flight_and_trials_run(make):
    advisor = HeldAdvisor()
    searcher = make(llm=advisor, batch_size=1, points_to_evaluate=[{"x": 0.5}])
    assert searcher.suggest("a") == {"x": 0.5}
    assert searcher.suggest("b") is None
    assert not advisor.asked  # nobody waited for its answer
    advisor.gate.set()
    assert suggest(searcher, "b") == {"x": 0.01}


def test_a_model_that_fails_is_counted_call_by_call(make, events):
    searcher = make(llm=ScriptedLLM([LLMCallError("gone", status="503")]))
    suggest(searcher, "a")
    (call,) = events("call")
    assert (call["status"], call["error"]) == ("503", "gone")
    assert searcher.tally.calls == {"503": 1}


@pytest.mark.parametrize(("llm", "why"), [("none", "no language model wanted"), ("auto", "no key")])
def test_the_first_line_says_why_no_model_reads(make, caplog, llm, why):
    with caplog.at_level("INFO", logger="raymimic"):
        make(llm=llm).suggest("a")
    assert any(line.startswith(f"raymimic: {why}") for line in caplog.messages)


def test_one_bad_configuration_costs_only_itself(make, events):
    reply = (
        '{"proposals": ['
        '{"config": {"x": 1.05, "y": 3}, "rationale": "edge", "expected": 0.5},'
        '{"config": {"x": "much"}, "rationale": "?", "expected": null},'
        '{"config": {"x": 0.25}, "rationale": "one too many", "expected": null}]}'
    )
    searcher = make(llm=ScriptedLLM([reply]), batch_size=3)
    xs = [suggest(searcher, f"t{i}")["x"] for i in range(3)]
    # The keyless first guess, the model's mended one, and another in the place of the bad one.
    assert xs[1] == 1.0
    assert searcher.tally.started["llm"] == 1
    texts = [row["text"] for row in events("drop")]
    assert "more than the 2 asked for" in texts[0]
    assert "must be a number, got 'much'" in texts[1]
    mended = events("proposal")[1]
    assert len(mended["repairs"]) == 2
    assert "clamped" in " ".join(mended["repairs"])


def test_no_more_is_asked_than_the_budget_can_start(make):
    advisor = CountingAdvisor()
    searcher = make(llm=advisor, batch_size=8, space=None, metric=None, mode=None)
    assert searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)}, num_samples=3)
    for i in range(3):
        suggest(searcher, f"t{i}")
        run_trial(searcher, f"t{i}", [1.0])
    assert sum(n for _, n in advisor.asked) == 3


def test_same_seed_same_keyless_search(make, tmp_path, patient):
    paths = (tmp_path / f"{number}.jsonl" for number in range(4))

    def search(seed: int) -> list[dict[str, Any]]:
        searcher = make(seed=seed, ledger=next(paths))  # any path will do
        configs = []
        for i in range(6):
            configs.append(suggest(searcher, f"t{i}"))
            run_trial(searcher, f"t{i}", [1.0, abs(configs[-1]["x"] - 0.3)])
        return configs

    assert search(1) == search(1)
    assert search(1) != search(2)


# -- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_non_finite_result_is_no_score(make, value):
    searcher = make()
    suggest(searcher, "a")
    searcher.on_trial_result("a", {"loss": value, "training_iteration": 1})
    searcher.on_trial_complete("a", {"loss": value, "training_iteration": 1})
    assert searcher.trial("a").score is None
    assert "no trial ended with a finite loss" in searcher.summary()


def test_the_last_epoch_that_comes_only_at_the_end_is_kept(make):
    searcher = make()
    suggest(searcher, "a")
    searcher.on_trial_result("a", {"loss": 2.0, "training_iteration": 1})
    searcher.on_trial_complete(trial_id="a", result={"loss": 1.0, "training_iteration": 2})
    assert list(searcher.trial("a").curve.column("loss")) == [2.0, 1.0]
    searcher.on_trial_complete(trial_id="a", result={"loss": 1.0, "training_iteration": 2})
    assert len(searcher.trial("a").curve) == 2  # told twice, known once


def test_a_retry_replaces_the_epochs_it_runs_again(make):
    searcher = make()
    suggest(searcher, "a")
    for epoch, since in [(1, 1), (2, 2), (3, 3), (2, 1), (3, 2)]:
        searcher.on_trial_result(
            "a",
            {"loss": 10.0 * epoch + since, "training_iteration": epoch,
             "iterations_since_restore": since},
        )  # fmt: skip
    searcher.on_trial_complete("a")
    assert list(searcher.trial("a").curve.column("loss")) == [11.0, 21.0, 32.0]


def test_failures_and_max_mode(make):
    searcher = make(mode="max", metric="acc")
    for trial_id, acc in [("a", 0.5), ("b", 0.9), ("c", 0.7)]:
        suggest(searcher, trial_id)
        searcher.on_trial_complete(trial_id, {"acc": acc, "training_iteration": 1})
    suggest(searcher, "d")
    searcher.on_trial_complete("d", error=True)
    searcher.note_error("d", "Traceback ...\nRuntimeError: out of memory")
    assert searcher.trial("d").status == "failed"
    assert searcher.trial("d").error.endswith("out of memory")
    assert searcher.tally.best.trial_id == "b"


def test_bookkeeping_of_tune_is_not_a_curve(make):
    searcher = make()
    suggest(searcher, "a")
    result = {"loss": 1.0, "nested/acc": 0.5, "training_iteration": 1, "pid": 7, "done": False,
              "time_this_iter_s": 0.1, "config/x": 0.3, "node_ip": "127.0.0.1"}  # fmt: skip
    searcher.on_trial_complete("a", result)
    assert set(searcher.trial("a").curve.columns) == {"loss", "nested/acc"}


def test_a_trial_restarted_under_a_new_id_is_taken_on(make):
    searcher = make()
    searcher.on_trial_result("new", {"loss": 1.0, "training_iteration": 1, "config/x": 0.4})
    searcher.on_trial_complete("new", {"loss": 0.5, "training_iteration": 2, "config/x": 0.4})
    assert (searcher.trial("new").config, searcher.trial("new").score) == ({"x": 0.4}, 0.5)
    searcher.on_trial_result("alien", {"loss": 1.0})  # none of ours, and no harm
    searcher.on_trial_complete("alien", error=True)


# -- Ray's own expectations of a searcher (its test_searchers.py, written anew) ------------------


def test_invalid_values_do_not_raise_on_the_anonymous_metric(make):
    searcher = make(metric=None, mode="max")
    for trial_id, value in [("a", math.inf), ("b", -math.inf), ("c", math.nan), ("d", 1)]:
        suggest(searcher, trial_id)
        searcher.on_trial_complete(trial_id, {"_metric": value})
    assert searcher.tally.best.trial_id == "d"


def test_evaluated_points_count_as_evidence_before_and_during_a_run(make):
    advisor = CountingAdvisor(remote=False)
    searcher = make(llm=advisor, space=None, mode=None, metric=None)
    searcher.add_evaluated_point({"x": 0.9}, 7.0, intermediate_values=[9.0, 8.0, 7.0])
    searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1), "constant": 3})
    searcher.add_evaluated_point({"x": 0.8, "constant": 3}, 5.0, pruned=True)
    searcher.add_evaluated_point({"x": 0.7}, math.nan, error=True)
    copy.deepcopy(searcher)
    suggest(searcher, "a")
    first, second, third = advisor.asked[-1][0].trials
    assert (first.score, len(first.curve), first.source) == (7.0, 3, "user")
    assert (second.score, third.score, third.status) == (5.0, None, "failed")
    with pytest.raises(ConfigError, match="x"):
        searcher.add_evaluated_point({"y": 1}, 1.0)


def test_points_to_evaluate_come_first_and_exactly(make):
    points = [{"x": 0.123456789}, {"x": 0.0}]
    searcher = make(points_to_evaluate=points)
    assert [suggest(searcher, "a"), suggest(searcher, "b")] == points
    assert searcher.tally.started == {"user": 2}


@pytest.mark.parametrize("point", [{"y": 1.0}, {"x": "high"}, {"x": 1.01}])
def test_a_point_that_does_not_fit_is_refused_before_the_run(make, point):
    searcher = make(space=None, points_to_evaluate=[point])
    with pytest.raises(ConfigError, match="x"):
        searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)})


def test_nested_spaces_and_exact_categories(make):
    listed, nothing = [1, 2], None
    space = {"model": {"width": tune.randint(1, 9), "kind": tune.choice([listed, nothing, "1", 1])}}
    searcher = make(space=space)
    for i in range(8):
        config = suggest(searcher, f"t{i}")
        assert type(config["model"]["width"]) is int
        assert any(config["model"]["kind"] is value for value in (listed, nothing, "1", 1))


def test_what_must_be_defined_before_a_suggestion():
    with pytest.raises(RuntimeError, match="search space"):
        LLMSearcher(metric="loss", mode="min", llm="none").suggest("a")
    with pytest.raises(RuntimeError, match="mode"):
        LLMSearcher({"x": tune.uniform(0, 1)}, llm="none").suggest("a")
    with pytest.raises(SpaceError, match=r"tune\.choice"):
        LLMSearcher({"x": tune.grid_search([1, 2])}, llm="none")
    with pytest.raises(LLMSetupError, match="anthropic:MODEL"):
        LLMSearcher(llm="gpt")


def test_a_space_given_twice_is_left_to_ray_to_refuse(make):
    searcher = make()
    assert not searcher.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)})
    assert make(metric=None).set_search_properties("loss", "min", {"constant": 1})


def test_a_second_run_goes_on_where_the_first_ended(make):
    searcher = make(space=None)
    for run in range(2):
        assert searcher.set_search_properties(
            "loss", "min", {"x": tune.uniform(0, 1)}, num_samples=2
        )
        for i in range(2):
            suggest(searcher, f"run{run}-{i}")
            assert searcher.evidence().budget.trials_left == 1 - i
            run_trial(searcher, f"run{run}-{i}", [1.0])
    assert searcher.tally.ended == {"done": 4}
    assert not searcher.set_search_properties("loss", "min", {"y": tune.uniform(0, 1)})


def test_concurrency_limiter_and_repeater(make):
    limited = ConcurrencyLimiter(make(llm=CountingAdvisor()), max_concurrent=2)
    assert suggest(limited, "a")
    assert suggest(limited, "b")
    assert limited.suggest("c") is None
    limited.on_trial_complete("a", {"loss": 1.0})
    assert suggest(limited, "d")
    repeated = Repeater(make(llm=CountingAdvisor()), repeat=2)
    assert suggest(repeated, "a")["x"] == suggest(repeated, "b")["x"]


def test_it_finds_a_minimum(make, patient):
    searcher = make(space={"x": tune.uniform(0, 20)})
    best = math.inf
    for i in range(30):  # each fits a Gaussian process
        config = suggest(searcher, f"t{i}")
        best = min(best, config["x"] ** 2)
        searcher.on_trial_complete(f"t{i}", {"loss": config["x"] ** 2})
    assert best < 1e-2


# -- state ---------------------------------------------------------------------------------------


def test_it_pickles_and_copies_with_a_call_in_flight(make):
    searcher = make(llm=ScriptedLLM(['{"proposals": []}'], latency=0.2))
    searcher.suggest("a")
    assert copy.deepcopy(searcher).ledger.path == searcher.ledger.path
    again = pickle.loads(pickle.dumps(searcher))
    assert suggest(again, "b")


def test_save_and_restore_bring_back_queue_trials_and_counters(make, tmp_path):
    searcher = make(llm=CountingAdvisor(), batch_size=4)
    suggest(searcher, "a")
    run_trial(searcher, "a", [2.0, 1.0])
    suggest(searcher, "b")
    searcher.save(str(tmp_path / "state.pkl"))

    restored = make(llm=CountingAdvisor(), batch_size=4)
    restored.restore(str(tmp_path / "state.pkl"))
    assert list(restored.trial("a").curve.column("loss")) == [2.0, 1.0]
    assert restored.trial("b").status == "running"
    assert suggest(restored, "c")["x"] == 0.03
    run_trial(restored, "b", [1.5])
    assert restored.tally.started == {"llm": 3}
    assert restored.tally.ended == {"done": 2}


def test_a_fresh_searcher_restores_space_metric_and_mode(make, tmp_path):
    searcher = make(mode="max", metric="acc")
    suggest(searcher, "a")
    searcher.on_trial_complete("a", {"acc": 0.5})
    searcher.save(str(tmp_path / "state.pkl"))
    restored = LLMSearcher(llm="none")
    restored.restore(str(tmp_path / "state.pkl"))
    assert (restored.metric, restored.mode) == ("acc", "max")
    assert 0 <= suggest(restored, "b")["x"] <= 1
    restored.save(str(tmp_path / "again.pkl"))  # and once more
    again = LLMSearcher(llm="none")
    again.restore(str(tmp_path / "again.pkl"))
    assert list(again.trial("a").curve.column("acc")) == [0.5]


def test_a_blank_searcher_saves_and_restores(make, tmp_path):
    blank = make(space=None, metric=None, mode=None, points_to_evaluate=[{"x": 0.5}])
    blank.save(str(tmp_path / "state.pkl"))
    restored = make(space=None, metric=None, mode=None)
    restored.restore(str(tmp_path / "state.pkl"))
    restored.set_search_properties("loss", "min", {"x": tune.uniform(0, 1)})
    assert suggest(restored, "a") == {"x": 0.5}


def test_the_ledger_tells_the_next_question_exactly(make):
    searcher = make(llm=CountingAdvisor(), batch_size=4, instruction="be quick")
    searcher.add_evaluated_point({"x": 0.9}, 3.0, pruned=True, intermediate_values=[4.0, 3.0])
    for trial_id in "abc":
        suggest(searcher, trial_id)
    run_trial(searcher, "a", [2.0, 1.0, 0.5])
    searcher.on_trial_complete("b", error=True)
    searcher.note_error("b", "MemoryError: full")
    evidence, n = searcher.next_question()
    searcher.ledger.flush()
    known = evidence_from_ledger(read_events(searcher.ledger.path))
    told, asked = question_to_guide(known, known.budget.cap(4), 0)
    assert asked == n
    assert without_seconds(build_request(told, n)) == without_seconds(build_request(evidence, n))


def without_seconds(request):
    return re.sub(r"\d+ s used", "", request.system + request.user), request.schema


def test_a_recorded_search_runs_again_from_its_ledger(make, tmp_path):
    def search(llm, path):
        searcher = make(llm=llm, batch_size=2, ledger=str(path))
        xs = [suggest(searcher, f"{path.stem}{i}")["x"] for i in range(4)]
        searcher.ledger.flush()
        return xs

    replies = [
        json.dumps({"proposals": [{"config": {"x": x}} for x in pair]})
        for pair in ([0.1, 0.2], [0.3, 0.4])
    ]
    first = search(ScriptedLLM(replies), tmp_path / "first.jsonl")
    again = search(ReplayLLM.from_ledger(tmp_path / "first.jsonl"), tmp_path / "again.jsonl")
    assert first == again
    assert {0.1, 0.3} < set(first)  # beside the keyless first guess


def test_no_secret_is_in_the_saved_state(make, tmp_path, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-do-not-store")
    searcher = make(llm="anthropic:claude-haiku-5-5")
    searcher.save(str(tmp_path / "state.pkl"))
    assert b"do-not-store" not in (tmp_path / "state.pkl").read_bytes() + pickle.dumps(searcher)


def test_a_ledger_that_cannot_be_written_does_not_stop_a_search(make, tmp_path):
    (tmp_path / "file").write_text("")
    searcher = make(ledger=str(tmp_path / "file" / "ledger.jsonl"))
    assert suggest(searcher, "a")


def test_the_default_ledger_lies_beside_rays_results(tmp_path):
    assert Path(LLMSearcher(llm="none").ledger.path).parent == tmp_path / "ray_results/raymimic"


@pytest.mark.parametrize("answer", [None, "x = 0.5", {"x": 0.5}, [{"x": 0.5}]])
def test_an_answer_of_another_form_is_a_counted_fallback(make, events, answer):
    advisor = CountingAdvisor()
    advisor.propose = lambda evidence, n: answer
    searcher = make(llm=advisor)
    assert 0.0 <= suggest(searcher, "a")["x"] <= 1.0
    assert [row["reason"] for row in events("fallback")] == ["bad_advice"]
