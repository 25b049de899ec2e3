"""The options of a cluster, its room, and what its workers get of the environment: without Ray."""

from __future__ import annotations

import pytest

from harness.cluster.connection import ClusterOptions, room_on, sent_environment
from harness.errors import UsageError


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
