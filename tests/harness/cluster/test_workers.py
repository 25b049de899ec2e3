"""What work is handed to which worker, and what becomes of it where workers are lost: without Ray."""

from __future__ import annotations

import pytest

from harness.cluster.connection import ClusterOptions, room_on, sent_environment
from harness.cluster.workers import Work
from harness.errors import UsageError


def test_a_call_has_whole_units_of_about_a_batch_and_the_last_calls_are_divided_among_all() -> None:
    work = Work([3, 3, 3, 3, 3, 3], most=8)
    assert [work.take(2) for _ in range(3)] == [[0, 1], [2, 3], [4]], "8, 8, then half of what is left"
    assert len(work) == 1
    assert Work([20], most=8).take(1) == [0], "a unit that is larger than a batch stays whole"


def test_units_of_a_lost_worker_are_asked_again_alone_and_given_up_after_their_tries() -> None:
    work = Work([1, 1, 1], most=2, tries=2)
    first = work.take(1)
    assert first == [0, 1] and work.lost(first) == []
    assert work.take(1) == [0], "alone, and before what was not asked yet"
    assert work.lost([0]) == [0], "its second worker was lost too"
    assert (work.take(1), work.take(1), len(work)) == ([1], [2], 0)


@pytest.mark.parametrize(
    ("node", "gpus", "room"),
    [
        ({"CPU": 4.0}, 0.0, 4),
        ({"CPU": 4.0, "GPU": 2.0}, 1.0, 2),
        ({"CPU": 4.0, "GPU": 2.0}, 0.5, 4),
        ({"GPU": 2.0}, 0.6, 2),
        ({"GPU": 1.0}, 0.1, 10),
        ({"GPU": 8.0}, 3.0, 2),
        ({"GPU": 1.0}, 2.0, 0),
        ({}, 0.0, 0),
    ],
)
def test_a_gpu_has_room_for_whole_workers(node: dict[str, float], gpus: float, room: int) -> None:
    assert room_on(node, gpus) == room


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 2}, "--workers: this is about the workers of a cluster; add --cluster"),
        ({"gpus_per_worker": 0.5}, "--gpus-per-worker: this is about"),
        ({"cluster": "yes"}, "expected local, auto, HOST:PORT or ray://HOST:PORT"),
        ({"cluster": "http://head:10001"}, "expected local"),
        ({"cluster": "local", "workers": 0}, "at least 1"),
        ({"cluster": "local", "gpus_per_worker": 1.5}, "a share of one GPU above 0, or a whole number"),
        ({"cluster": "local", "gpus_per_worker": 0.0}, "a share of one GPU"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ClusterOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["local", "auto", "head:6379", "10.0.0.1:6379", "ray://head.example:10001"])
def test_a_cluster_is_one_word(address: str) -> None:
    assert ClusterOptions(cluster=address).cluster == address


def test_workers_get_where_artefacts_lie_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", "relative/home")
    monkeypatch.setenv("DAMA_API_KEY", "sk-a-secret-of-mine-123")
    monkeypatch.setenv("HF_TOKEN", "hf_a_secret_of_mine_123")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    sent = sent_environment()
    assert sent["DAMA_HOME"].endswith("/relative/home") and sent["DAMA_HOME"].startswith("/")
    assert sent["HF_HUB_OFFLINE"] == "1" and not any("secret" in value for value in sent.values())
