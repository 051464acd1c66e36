"""The ledger lies in the experiment's folder, wherever that is, unless the user named its place."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem
from ray import tune

from raymimic import LLMScheduler, LLMSearcher, RaymimicCallback, read_events
from raymimic.ledger import Ledger
from raymimic.report.find import find_ledgers

SPACE = {"x": tune.uniform(0.0, 1.0)}


def numbers(path: Path) -> list[int]:
    return [row["n"] for row in read_events(path).rows]


def test_a_ledger_settles_once_with_all_that_was_written_and_goes_on_there(tmp_path) -> None:
    ledger = Ledger.at(None)
    begun = ledger.path
    ledger.append("summary", text="one")
    assert str(begun) in ledger.where
    ledger.settle(tmp_path / "run")
    ledger.append("summary", text="two")
    ledger.settle(tmp_path / "elsewhere")
    ledger.append("summary", text="three")
    ledger.flush()
    assert ledger.path.parent == tmp_path / "run"
    assert numbers(ledger.path) == [0, 1, 2]
    assert not begun.exists()
    again = pickle.loads(pickle.dumps(ledger))
    again.settle(tmp_path / "moved")  # the user moved the run: the file comes along
    again.append("summary", text="four")
    again.flush()
    assert numbers(tmp_path / "moved" / ledger.path.name) == [0, 1, 2, 3]


def test_a_ledger_with_a_named_place_stays(tmp_path) -> None:
    ledger = Ledger.at(tmp_path / "mine.jsonl")
    ledger.settle(tmp_path / "run")
    assert ledger.path == tmp_path / "mine.jsonl"


@pytest.mark.parametrize("written", [True, False])
def test_a_folder_that_cannot_be_made_leaves_the_ledger_where_it_was(tmp_path, written) -> None:
    (tmp_path / "file").write_text("")
    ledger = Ledger.at(None)
    if written:
        ledger.append("summary", text="one")
    ledger.settle(tmp_path / "file" / "run")
    ledger.append("summary", text="two")
    ledger.flush()
    assert len(numbers(ledger.path)) == 1 + written
    assert ledger.path.parent != tmp_path / "file" / "run"


def test_a_ledger_whose_file_is_gone_takes_no_name_that_may_be_stored_elsewhere(tmp_path) -> None:
    ledger = Ledger.at(None)
    ledger.append("summary", text="on another machine")
    ledger.flush()
    ledger.path.unlink()
    again = pickle.loads(pickle.dumps(ledger))
    again.settle(tmp_path)
    assert again.path.name != ledger.path.name


# -- under Tune ------------------------------------------------------------------------------------


def run(tmp_path: Path, name: str, **settings: object) -> None:
    def train(config: dict[str, float]) -> None:
        for epoch in range(2):
            tune.report({"loss": abs(config["x"] - 0.3) + 1 / (1 + epoch)})

    callbacks = settings.pop("callbacks", None)
    storage = settings.pop("storage", {"storage_path": str(tmp_path)})
    tune.Tuner(
        train,
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="loss", mode="min", num_samples=2, reuse_actors=True, **settings
        ),
        run_config=tune.RunConfig(name=name, verbose=0, callbacks=callbacks, **storage),
    ).fit()


def searcher() -> LLMSearcher:
    return LLMSearcher(llm="none", seed=0)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here")
def test_it_lies_in_the_experiments_folder_and_is_stored_with_it(tmp_path) -> None:
    shown = searcher()
    run(tmp_path, "shown", search_alg=shown, callbacks=[RaymimicCallback(shown)])
    assert shown.ledger.path.parent == tmp_path / "shown"

    paired = searcher()
    scheduler = LLMScheduler(searcher=paired, llm="none")
    run(tmp_path, "paired", search_alg=paired, scheduler=scheduler)
    assert paired.ledger.path.parent == tmp_path / "paired"

    run(tmp_path, "alone", search_alg=searcher())

    cloud = SubTreeFileSystem(str(tmp_path / "cloud"), LocalFileSystem())
    (tmp_path / "cloud").mkdir()
    far = searcher()
    remote = {"storage_path": "bucket", "storage_filesystem": cloud}
    run(tmp_path, "far", search_alg=far, callbacks=[RaymimicCallback(far)], storage=remote)
    assert far.ledger.path.parent.name == "driver_artifacts"  # what lies there is uploaded
    assert far.summary().endswith("; a copy lies in the experiment's folder")

    for folder in ("shown", "paired", "alone", "cloud/bucket/far"):
        (found,) = find_ledgers(str(tmp_path / folder))
        events = read_events(found)
        assert len(events.of("outcome")) == 2, folder
        assert len(events.of("summary")) == 1 or folder == "paired", folder
    (by_uri,) = find_ledgers((tmp_path / "cloud/bucket/far").as_uri())
    assert len(read_events(by_uri).of("summary")) == 1
    left = Path(os.environ["HOME"]) / "ray_results" / "raymimic"
    assert not list(left.glob("*")), "nothing stays where runs of nobody's folder go"
