"""A table in which no row is handed out twice in a search.

A mind that proposes two configurations near one row would else see the same curve twice, and read
causes into parameters that the table's steps have rounded away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from experiments.common.tables import TableTask
from raymimic.records import Config


class Distinct:
    """A `task.Task` for one search: each training takes the nearest row not used yet."""

    def __init__(self, table: TableTask) -> None:
        self._table = table
        self._rows: dict[str, int] = {}
        self._used: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        row = self._table.unused_row(config, self._used)
        self._used.add(row)
        self._rows[_key(config)] = row
        return self._table.train(self._table.config_of(row), seed, trial)

    def value(self, config: Config) -> float:
        return self._table.value(self._taken(config))

    def regret(self, config: Config) -> float:
        return self._table.regret(self._taken(config))

    def test(self, config: Config) -> float:
        return self._table.test(self._taken(config))

    def _taken(self, config: Config) -> Config:
        return self._table.config_of(self._rows[_key(config)])


def _key(config: Config) -> str:
    return json.dumps(config, sort_keys=True)
