"""A Ray cluster for tests, nodes of it that come and go, and what two results files must have in common."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from harness.cluster.connection import load_ray

os.environ.setdefault("RAY_worker_niceness", "0")  # else whatever runs beside a test comes before its workers
MEMORY = 100_000_000
"""Bytes of a node's object store."""
LEFT_OUT = {"claim", "activity", "schema_version", "asked"}
"""Tables of what happened when, which say nothing of results."""
TIMES = {"created", "seconds", "training_seconds", "at"}
"""Columns and facts that are clock readings."""


STARTS = 4
"""How often a node is started that is not there within Ray's thirty seconds, on a machine that others use too."""


def patiently(start: Callable[[], Any]) -> Any:
    """What ``start`` returns, tried again where a node took too long."""
    for _ in range(STARTS - 1):
        with contextlib.suppress(Exception):
            return start()
    return start()


@contextlib.contextmanager
def one_node(cpus: int = 2) -> Iterator[None]:
    """A cluster of this machine with ``cpus`` cores, to which this process is connected."""
    ray = load_ray()
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    patiently(lambda: ray.init(address="local", num_cpus=cpus, object_store_memory=MEMORY, **quiet))
    try:
        yield
    finally:
        ray.shutdown()


class Nodes:
    """A cluster of ``count`` nodes of one core each, of which all but the first, its head, can be killed."""

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        load_ray()
        head = {"num_cpus": 1, "object_store_memory": MEMORY, "include_dashboard": False}
        self._cluster: Any = patiently(lambda: Cluster(initialize_head=True, head_node_args=head))
        self._nodes = [self._add() for _ in range(count - 1)]
        self.address = str(self._cluster.address)
        self.killed = 0

    def __len__(self) -> int:
        """Nodes that can be killed."""
        return len(self._nodes)

    def _add(self) -> Any:
        from ray._private.node import Node

        # Only a main thread may set what a signal does; ``close`` ends all nodes.
        with mock.patch.object(Node, "_register_shutdown_hooks"):
            return patiently(lambda: self._cluster.add_node(num_cpus=1, object_store_memory=MEMORY))

    def kill(self, which: int) -> None:
        """Kill a node with all its processes, and add another one."""
        self.lose(which)
        self._nodes.insert(which, self._add())

    def lose(self, which: int) -> None:
        """Kill a node with all its processes."""
        self._cluster.remove_node(self._nodes.pop(which), allow_graceful=False)
        self.killed += 1

    def close(self) -> None:
        self._cluster.shutdown()


@contextlib.contextmanager
def killed_at_random(nodes: Nodes, *, every: tuple[float, float], times: int, seed: int = 0) -> Iterator[None]:
    """Within it nodes are killed at random moments, ``times`` of them at most."""
    draw, stop = random.Random(seed), threading.Event()

    def kill() -> None:
        for _ in range(times):
            if stop.wait(draw.uniform(*every)):
                return
            nodes.kill(draw.randrange(len(nodes)))
        stop.wait()  # nodes end with the thread that has started them

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def contents(db: Path) -> dict[str, list[str]]:
    """Every row of every table of results, without clock readings, in an order of its own."""
    connection = sqlite3.connect(db)
    connection.row_factory = sqlite3.Row
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    kept = [name for name in names if name not in LEFT_OUT and not name.startswith("sqlite_")]
    rows = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in kept}
    return {name: sorted(json.dumps(_timeless(row), sort_keys=True) for row in rows[name]) for name in kept}


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in TIMES}
    if isinstance(value, list):
        return [_timeless(each) for each in value]
    if isinstance(value, str) and value[:1] in "{[":
        with contextlib.suppress(ValueError):
            return _timeless(json.loads(value))
    return value
