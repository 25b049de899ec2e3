"""What work is handed to which worker, and what becomes of it where workers are lost: without Ray."""

from __future__ import annotations

import time
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.work import LOSSES, Loss, Work, too_many
from harness.cluster.workers import STARTS


def test_a_call_has_whole_units_of_about_a_batch_and_the_last_calls_are_divided_among_all() -> None:
    work = Work([3, 3, 3, 3, 3, 3], most=8)
    assert [work.take(2) for _ in range(3)] == [[0, 1], [2, 3], [4]], "8, 8, then half of what is left"
    assert len(work) == 1
    assert Work([20], most=8).take(1) == [0], "a unit that is larger than a batch stays whole"


def on(node: str) -> Loss:
    return Loss(frozenset({node}), 0.0)


def living(loss: Loss) -> bool:
    return False


def test_units_of_a_lost_worker_are_asked_again_alone_and_given_up_after_their_tries() -> None:
    work = Work([1, 1, 1], most=2, tries=2)
    first = work.take(1)
    assert first == [0, 1] and work.lost(first, on("a"), living) == []
    assert work.take(1) == [0], "alone, and before what was not asked yet"
    assert work.lost([0], on("b"), living) == [0], "its second worker was lost too"
    assert (work.take(1), work.take(1), len(work)) == ([1], [2], 0)


def test_losses_of_nodes_are_no_tries_of_a_unit_but_are_bounded() -> None:
    work, dead = Work([1], tries=2, losses=6), {"a", "b", "c"}
    for node in ("a", "b", "c", "living"):
        assert work.take(1) == [0]
        assert work.lost([0], on(node), lambda loss: loss.nodes <= dead) == [], node
    assert work.take(1) == [0]
    assert work.lost([0], on("living"), lambda loss: loss.nodes <= dead) == [0], "its second on a living node"
    assert work.lost_with(0) == 5

    bounded = Work([1], tries=2, losses=3)
    given_up = [bounded.lost(bounded.take(1), on("a"), lambda loss: True) for _ in range(3)]
    assert given_up == [[], [], [0]]


def test_workers_that_went_with_their_nodes_before_they_were_ready_do_not_end_a_command() -> None:
    """Nine on nodes that live on and any number on others are few; one more on a living node is one too many."""
    few = [*(on("dead") for _ in range(STARTS)), *(on("living") for _ in range(STARTS - 1))]

    def gone(loss: Loss) -> bool:
        return loss.nodes == {"dead"}

    assert not too_many(few, gone, tries=STARTS)
    assert too_many([*few, on("living")], gone, tries=STARTS)
    assert too_many([on("dead")] * LOSSES, gone, tries=STARTS), "but some number is"


class Looked:
    """What Ray says of a node "a" that is gone at the second look, and of a node "b" that stays."""

    def __init__(self) -> None:
        self.looks = 0

    def nodes(self) -> list[dict[str, Any]]:
        self.looks += 1
        return [{"NodeID": "a", "Alive": self.looks < 2}, {"NodeID": "b", "Alive": True}]


def test_a_node_may_be_found_gone_a_little_later_than_its_process() -> None:
    ray = Looked()
    cluster = Cluster(ray, 1, 0.0, 1)
    long_ago = float("-inf")
    assert not cluster.gone(["a"], long_ago), "one look, since it had its time"
    assert cluster.gone(["a"], time.monotonic() + 9) and ray.looks == 2
    assert not cluster.gone(["b"], long_ago) and cluster.gone(["a", "b"], long_ago)
    cluster.ended.set()
    assert not cluster.gone(["b"], time.monotonic() + 9), "nobody waits for this any more"
