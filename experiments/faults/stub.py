"""A language model on the loopback that reads what it is asked: the bill to compare with.

Requests come through a real SDK client. The answer to a running training is always `ADJUSTMENT`,
the same for each question, so that a training that is repeated gets the same advice.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time

from raymimic.testing import StubServer

ADJUSTMENT = json.dumps(
    {
        "review": "",
        "rationale": "a little smaller, a little more dropout",
        "knobs": {"dropout": 0.2},
        "alpha": 0.3,
        "operations": [
            {"kind": "shrink", "params": "3.*", "amount": 0.02, "toward": None, "values": None}
        ],
    }
)


class StubModel(StubServer):
    """Takes ``latency`` seconds a reply."""

    def __init__(self, latency: float) -> None:
        super().__init__()
        self.latency = latency
        self.base_url = f"http://{self.host}/v1"
        self._lock = threading.Lock()
        self._random = random.Random(7)

    @property
    def received(self) -> int:
        """How many questions came."""
        return len(self.seen)

    def reply(self, user: str) -> str:
        """Propose as many configurations as the question wants, or adjust a training."""
        time.sleep(self.latency)
        found = re.search(r"Propose exactly (\d+) new configuration", user)
        if found is None:
            return ADJUSTMENT
        with self._lock:
            proposals = [self._proposal() for _ in range(int(found[1]))]
        return json.dumps({"proposals": proposals})

    def _proposal(self) -> dict[str, object]:
        config = {
            "lr": 10 ** self._random.uniform(-3, -1),
            "weight_decay": 10 ** self._random.uniform(-5, -2),
        }
        return {"config": config, "rationale": "somewhere new", "expected": None}
