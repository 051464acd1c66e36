"""Keys stay where they are: nothing that a whole run writes, prints or pickles holds one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.ray

CLAUDE = "sk-ant-recognisable-claude-0123456789"
OPENAI = "odd.key/of+another.shape-9876543210"  # nothing but its value gives it away

# A search behind a Guide whose service fails in every way that could show a key, trials that ask
# the same Guide about their training, and a client of the user's own: all written to one folder.
_RUN = """
import logging, os, pickle, sys
logging.basicConfig(level=logging.DEBUG)
import ray, torch
from ray import tune
from raymimic.testing.server import Says, Status, StubServer
from raymimic import (
    AnthropicLLM, Gateway, Guide, LLMAdvisor, LLMScheduler, LLMSearcher, Modulator, OpenAILLM,
    RaymimicCallback,
)

folder, temp = sys.argv[1:]
CLAUDE, OPENAI = open(folder + "/keys").read().split()

def train(config):
    import small_training as small
    model = small.network()
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    modulator = Modulator(model, optimizer, llm=config["guide"], wait=True, timeout=5,
                          ledger=f"{folder}/modulator-{tune.get_context().get_trial_id()}.jsonl")
    for epoch in range(3):
        small.one_epoch(model, optimizer, modulator.step, epoch)
        modulator.epoch_end({"val_loss": small.validation(model)})
        torch.save(modulator.state_dict(), f"{folder}/state-{epoch}.pt")
        checkpoint = f"{folder}/checkpoint-{tune.get_context().get_trial_id()}"
        os.makedirs(checkpoint, exist_ok=True)
        torch.save(modulator.state_dict(), f"{checkpoint}/state.pt")
        tune.report({"loss": small.validation(model)},
                    checkpoint=tune.Checkpoint.from_directory(checkpoint))

class OwnClient:
    '''The user's own object around a client that holds a key and quotes it when it fails.'''
    model = "own"
    def complete(self, request):
        raise RuntimeError(f"illegal header x-api-key: {CLAUDE}")

def faults():
    told = {"message": f"bad key {CLAUDE} {OPENAI}, Bearer {CLAUDE}"}
    yield from [Status(400, error=told), Status(500, error=told), Says(f"{CLAUDE} {OPENAI}")]
    yield from [Status(401, error=told), Says('{"proposals": "' + CLAUDE + '"}')]

def errors():
    '''Every failure once more in this process, by both adapters and by an object of the user's.'''
    for make in (lambda u: AnthropicLLM(base_url=u), lambda u: OpenAILLM(base_url=u + "/v1"),
                 lambda u: OwnClient()):
        for fault in faults():
            with StubServer().running() as server:
                server.faults.extend([fault] * 9)
                llm = make(f"http://{server.host}")
                if not isinstance(llm, OwnClient):
                    llm = Gateway(llm, transcript=f"{folder}/calls.jsonl")
                searcher = LLMSearcher({"lr": tune.uniform(0, 1)}, "loss", "min", llm=llm,
                                       ledger=f"{folder}/errors.jsonl", timeout=2)
                try:
                    LLMAdvisor(llm, timeout=2).propose(searcher.evidence(), 1)
                except Exception as error:
                    print("RAISED", repr(error), vars(error))
                    pickle.dump((error, llm, searcher), open(f"{folder}/error.pkl", "ab"))
                print("SENT", any(key in str(seen.headers) for seen in server.seen
                                  for key in (CLAUDE, OPENAI)))
                searcher.suggest("a")
                print(searcher.finish())

def search():
    with StubServer().running() as server:
        server.faults.extend([Says('{"knobs": {"lr": 0.01}}'), *faults(), *faults()])
        guide = Guide.start(AnthropicLLM(base_url=f"http://{server.host}"),
                            transcript=f"{folder}/guide.jsonl")
        searcher = LLMSearcher(llm=guide, ledger=f"{folder}/search.jsonl", timeout=5, seed=0)
        scheduler = LLMScheduler(searcher=searcher)
        tuner = tune.Tuner(
            train, param_space={"lr": tune.uniform(0.01, 0.1), "guide": guide},
            tune_config=tune.TuneConfig(metric="loss", mode="min", search_alg=searcher,
                scheduler=scheduler, num_samples=3, max_concurrent_trials=2, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, name="run", verbose=2,
                callbacks=[RaymimicCallback(searcher)]))
        grid = tuner.fit()
        print("ENDED", len(grid), grid.num_errors, searcher.tally)
        searcher.save(f"{folder}/searcher.pkl")
        for thing in (searcher, scheduler, guide):
            pickle.dump(thing, open(f"{folder}/things.pkl", "ab"))
        print("SENT", any(CLAUDE in str(seen.headers) for seen in server.seen), guide.spent())
        guide.stop()

ray.init(num_cpus=2, include_dashboard=False, address="local", _temp_dir=temp)
errors()
search()
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For Ray's sockets, whose paths may be no longer than 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="rmk"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_no_key_is_in_anything_a_run_leaves(tmp_path: Path, short_folder: Path) -> None:
    keys = short_folder / "keys"  # told through a file, which is not looked at
    script = tmp_path.parent / f"{tmp_path.name}.py"
    script.write_text(textwrap.dedent(_RUN).replace('folder + "/keys"', repr(str(keys))))
    keys.write_text(f"{CLAUDE} {OPENAI}")
    tests = Path(__file__).parents[1]
    above = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join([str(tests), str(tests / "modulation"), above])
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path), str(short_folder / "ray")],
        env={
            **os.environ, "ANTHROPIC_API_KEY": CLAUDE, "OPENAI_API_KEY": OPENAI, "PYTHONPATH": path,
            "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0",
            "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0",
        },
        capture_output=True, timeout=180,
    )  # fmt: skip
    printed = ended.stdout + ended.stderr
    assert ended.returncode == 0, printed.decode()[-3000:]
    assert b"ENDED 3 0" in printed
    assert b"SENT True" in printed  # the keys were in use
    assert printed.count(b"RAISED") == 15
    keys.unlink()
    leaks = [name for name in (CLAUDE, OPENAI) if name.encode() in printed]
    read = 0
    for file in (*tmp_path.rglob("*"), *short_folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            data, read = file.read_bytes(), read + 1
            leaks += [f"{file}: {k}" for k in (CLAUDE, OPENAI) if k.encode() in data]
    assert not leaks
    written = {file.name for file in tmp_path.rglob("*")}
    assert {"tuner.pkl", "result.json", "searcher.pkl", "search.jsonl", "guide.jsonl"} <= written
    assert any(file.name == "gcs_server.out" for file in short_folder.rglob("*.out"))
    assert read > 40
