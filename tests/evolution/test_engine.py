"""An evolution from ask to tell: who makes children, what is refused, what is kept."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from minds import BODY, EditingLLM, answer, block_of, evaluate, evolution, next_one, rows
from tiny_program import PROGRAM, tiny_task

from raymimic.errors import LLMCallError, LLMSetupError, ProgramError
from raymimic.evolution import Budget, Evolution, Program, Shares
from raymimic.evolution.operators import RULE
from raymimic.evolution.table import edit_table, operator_table, summary


def test_the_seed_comes_first_and_children_follow_without_waiting(tmp_path):
    gate = threading.Event()

    def slow(request):
        gate.wait(10)
        return llm.edited(request)

    llm = EditingLLM(slow)
    made = evolution(tmp_path, llm)
    seed = made.ask("t0")
    assert (seed.id, seed.source) == (0, PROGRAM)
    assert made.ask("t1") is None  # the model is still thinking
    gate.set()
    child = next_one(made, "t1")
    assert child.parents == (0,)
    assert "EDIT_1" in child.source
    assert child.rationale == "because"


def test_children_descend_from_the_best_and_the_front_is_what_nothing_dominates(tmp_path):
    made = evolution(tmp_path, EditingLLM(), population=4)
    ended = list(evaluate(made, 25))
    assert max(one.parents[0] for one in ended if one.parents) > 5
    front = made.state.front()
    assert len(front) > 2
    assert front[0].values["accuracy"] == max(one.values["accuracy"] for one in ended)
    parents = Counter(one.parents[0] for one in ended if one.parents)
    assert len(parents) > 2
    used = set(made.state.tally)
    assert {"crossover", "evolution of thought", "plain"} <= used
    assert "crossover" in operator_table(made.state)
    assert "25 programs evaluated" in summary(made.state)


def test_a_crossovers_result_goes_into_the_block_it_was_made_from(tmp_path):
    def crossed(request):
        if "Another program of the population" in request.user:
            return answer(block_of(request) + "\nUNITED = 0\n")
        return llm.edited(request)

    llm = EditingLLM(crossed)
    made = evolution(tmp_path, llm, shares=Shares(crossover=0.8))
    found = [one for one in evaluate(made, 25) if one.operator == "crossover"]
    assert found
    for one in found:
        first = made.state.individuals[one.parents[0]].program
        assert one.program.changed(first) == one.blocks
        assert "UNITED" in one.program.blocks[one.blocks[0]]
        exec(one.source, {"__name__": "program"})  # a block written elsewhere would not run


def test_without_a_model_the_keyless_mutator_makes_the_children(tmp_path):
    made = evolution(tmp_path)
    ended = list(evaluate(made, 8))
    assert {one.operator for one in ended[1:]} == {RULE}
    assert len({one.program.identity for one in ended}) == 8
    told = [{said.partition(":")[0] for said in one.rationale.split("; ")} for one in ended[1:]]
    for kind, count in Counter(kind for kinds in told for kind in kinds).items():
        assert f"| {kind} | {count} |" in edit_table(made.state)
    again = evolution(tmp_path / "again")
    assert [one.source for one in evaluate(again, 8)] == [one.source for one in ended]


def test_a_duplicate_is_refused_before_a_trial_and_told_to_the_model(tmp_path):
    replies = iter([answer(BODY), answer("x = (")])

    def stubborn(request):
        return next(replies, None) or llm.edited(request)

    llm = EditingLLM(stubborn)
    only_body = Program.parse(
        PROGRAM.replace("# EVOLVE-BLOCK-START optimizer", "#", 1).replace(
            "# EVOLVE-BLOCK-END", "#", 1
        )
    )
    made = Evolution(
        only_body,
        evolution(tmp_path).state.objectives,
        llm=llm,
        ledger=tmp_path / "one_block.jsonl",
    )
    list(evaluate(made, 3))
    tally = sum((one.rejected for one in made.state.tally.values()), Counter())
    assert tally["duplicate"] == 1
    repaired = [r for r in llm.requests if "an edit that failed (parses)" in r.user]
    assert len(repaired) == 1
    assert "x = (" in block_of(repaired[0])
    told = [r.user for r in llm.requests if "- duplicate:" in r.user]
    assert told


def test_a_child_that_fails_the_smoke_test_is_repaired_once_and_counted(tmp_path, sandboxed):
    del sandboxed  # skips where no mechanism works
    broken = BODY.replace("self.linear(x)", "self.linear(x).nothing()")

    def faulty(request):
        if "an edit that failed (smoke: error)" in request.user:
            assert "nothing" in request.user
            return answer(BODY + "MENDED = 1\n") if "body" in request.user else "no"
        return answer(broken) if 'block "body"' in request.user else llm.edited(request)

    llm = EditingLLM(faulty)
    made = evolution(tmp_path, llm, task=tiny_task(), shares=Shares(crossover=0, thought=0))
    ended = []
    for one in evaluate(made, 8):
        ended.append(one)
        if one.repaired:
            break
    made.close()
    assert ended[-1].repaired
    assert "MENDED" in ended[-1].source
    assert "samples of shape (8,) in" in llm.requests[0].system
    assert sum(tally.repaired for tally in made.state.tally.values()) == 1


def test_a_dead_model_is_left_alone_and_the_keyless_mutator_goes_on(tmp_path, caplog):
    def dead(request):
        raise LLMCallError("connection refused", status="connection")

    llm = EditingLLM(dead)
    made = evolution(tmp_path, llm)
    ended = list(evaluate(made, 6))
    assert {one.operator for one in ended[1:]} == {RULE}
    assert len(llm.requests) <= 2  # then it pauses
    assert caplog.text.count("the keyless mutator goes on") == 1
    made.ledger.flush()
    assert [row["status"] for row in rows(tmp_path, "call")][:1] == ["connection"]


def test_a_wrong_setting_is_never_asked_again(tmp_path):
    def unknown(request):
        raise LLMSetupError("no such model", status="404")

    llm = EditingLLM(unknown)
    list(evaluate(evolution(tmp_path, llm), 5))
    assert len(llm.requests) == 1


def test_a_model_that_raises_what_it_must_not_is_a_failed_call(tmp_path):
    def bug(request):
        raise ZeroDivisionError("oops")

    made = evolution(tmp_path, EditingLLM(bug))
    assert len(list(evaluate(made, 3))) == 3
    made.ledger.flush()
    assert rows(tmp_path, "call")[0]["status"] == "crash"


@pytest.mark.parametrize(
    ("budget", "calls"), [(Budget(calls=3), 3), (Budget(tokens=400), 3), (Budget(usd=0.02), 2)]
)
def test_a_budget_is_kept_also_over_a_restart(tmp_path, monkeypatch, budget, calls):
    monkeypatch.setattr("raymimic.evolution.purse.cost", lambda *_: 0.01)
    llm = EditingLLM()
    made = evolution(tmp_path, llm, budget=budget)
    list(evaluate(made, 6))
    assert len(llm.requests) == calls
    made.close()
    again = evolution(tmp_path, llm, budget=budget)
    list(evaluate(again, 3, first=6))
    assert len(llm.requests) == calls


def test_a_budget_in_dollars_needs_a_price(tmp_path):
    with pytest.raises(LLMSetupError, match="needs a known price"):
        evolution(tmp_path, EditingLLM(), budget=Budget(usd=1.0))


def test_all_evaluations_failing_ends_with_the_seeds_error(tmp_path):
    made = evolution(tmp_path)
    for number in range(8):
        next_one(made, f"t{number}")
        made.tell(f"t{number}", {}, [], status="failed", error=f"error {number}")
    assert made.ask("t8") is None
    assert "all of the first 8 evaluations failed" in made.why_over
    assert "error 0" in made.why_over


def test_nothing_passing_the_gates_ends_with_the_reason(tmp_path):
    source = "# EVOLVE-BLOCK-START a\nx = y\n# EVOLVE-BLOCK-END\n"
    made = Evolution(Program.parse(source), [], ledger=tmp_path / "ledger.jsonl")
    made.ask("t0")
    while made.why_over is None:
        made.ask("t1", ahead=50)
        made.wait(10)
    assert "finds nothing to change" in made.why_over


def test_the_ledger_alone_brings_everything_back(tmp_path):
    llm = EditingLLM()
    made = evolution(tmp_path, llm)
    list(evaluate(made, 6))
    running = next_one(made, "lost")
    made.wait(10)  # a call is under way
    made.close()
    paid = len(llm.requests)
    again = evolution(tmp_path, llm)
    assert {k: v for k, v in again.state.individuals.items() if k != running.id} == {
        k: v for k, v in made.state.individuals.items() if k != running.id
    }
    again.release_running()
    first = again.ask("again")
    assert (first.id, first.source) == (running.id, running.source)
    assert len(llm.requests) == paid  # what was paid for is not asked again
    assert again.state.spent.calls == paid == len(rows(tmp_path, "call"))
    assert len(again.state.identities) == len(again.state.individuals)


def test_a_reply_that_was_paid_for_and_not_used_is_used_after_a_crash(tmp_path):
    llm = EditingLLM()
    made = evolution(tmp_path, llm)
    made.ask("t0")
    made.wait(10)  # the reply is in the ledger, its child is not
    made.ledger.flush()
    assert len(rows(tmp_path, "call")) == 1
    assert not rows(tmp_path, "child")
    again = evolution(tmp_path, llm)
    again.release_running()
    assert again.ask("t0").id == 0
    child = next_one(again, "t1")
    assert "EDIT_1" in child.source
    assert len(rows(tmp_path, "call")) >= 1
    assert sum("EDIT_1" in row["reply"] for row in rows(tmp_path, "call")) == 1


def test_another_programs_ledger_is_refused(tmp_path):
    made = evolution(tmp_path)
    made.ask("t0")
    made.close()
    other = Program.parse(PROGRAM.replace("0.05", "0.5"))
    with pytest.raises(ProgramError, match="another program"):
        Evolution(other, made.state.objectives, ledger=tmp_path / "ledger.jsonl")


def test_an_evolution_pickles_and_a_repeated_end_is_passed_over(tmp_path):
    made = evolution(tmp_path, EditingLLM(), task=None)
    list(evaluate(made, 3))
    copy = pickle.loads(pickle.dumps(made))
    assert copy.state.individuals == made.state.individuals
    assert copy.tell("t0", {"accuracy": 0.0}, []) is None
    assert copy.tell("unknown", {}, []) is None
    assert next_one(copy, "t3").status == "running"


def test_paper_mode_goes_by_generations_and_crosses_both_ways(tmp_path):
    from raymimic.evolution.generational import Generational

    made = evolution(tmp_path, EditingLLM(), paper=True)
    made._planner = Generational(Shares(crossover=1.0), seed=0, start=8, parents=6)
    ended = list(evaluate(made, 21))
    assert [one.id for one in ended if one.generation == 0] == list(range(9))
    assert not [one for one in ended[1:9] if "thought" in one.operator]
    made.ledger.flush()
    begun = rows(tmp_path, "generation")
    assert begun[0]["number"] == 1
    assert len(begun[0]["elites"]) == len(begun[0]["parents"]) == 6
    plans = [row for row in rows(tmp_path, "plan") if row["generation"] == 1]
    both = [tuple(row["parents"]) for row in plans if len(row["parents"]) == 2]
    assert both
    assert all((second, first) in both for first, second in both)
    assert any(len(row["steps"]) == 2 for row in plans)
    # No child of the next generation is made before the last one has ended.
    assert max(ended.index(one) for one in ended if one.generation == 0) < min(
        ended.index(one) for one in ended if one.generation == 1
    )


HANGING = """
import sys, time
sys.path[:0] = [{here!r}]
from pathlib import Path
from minds import EditingLLM, evolution

made = evolution(Path({folder!r}), EditingLLM(lambda request: time.sleep(1000)))
print(made.ask("t0").id, made.ask("t1"))
made.close()
"""


def test_a_model_that_hangs_does_not_keep_the_driver_from_ending(tmp_path):
    here = Path(__file__).parent
    code = HANGING.format(here=str(here), folder=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=here.parents[1], capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["0", "None"]
