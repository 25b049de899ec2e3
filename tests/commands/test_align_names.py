"""No alignment costs the store another one: names that are taken."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.store import Store
from workflows.align import resolve_alignment
from workflows.stored_runs import with_unique_name


def resolved(**settings: Any) -> Any:
    return resolve_alignment({"method": "dpo", "model": "org/m", "data": "d.jsonl", **settings}, lambda *_: None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A finished run "dpo-s0" with the default settings."""
    store, first = Store(tmp_path / "r.sqlite"), resolved()
    store.start_alignment(first.name, method="dpo", seed=0, panel="", key=first.key, config=first.record)
    store.finish_alignment(first.name, status="done", model_dir="m", seconds=1.0)
    return store


def test_the_same_settings_keep_the_name(store: Store) -> None:
    assert with_unique_name(store, resolved(), named=False, fresh=False).name == "dpo-s0"
    assert with_unique_name(store, resolved(seed=1), named=False, fresh=False).name == "dpo-s1"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_default_name_that_is_taken_gets_the_keys_beginning(store: Store, fresh: bool) -> None:
    other = resolved(lr=1e-5)
    found = with_unique_name(store, other, named=False, fresh=fresh)
    assert found.name == f"dpo-s0-{other.key[:6]}" and found.key == other.key
    assert with_unique_name(store, other, named=False, fresh=fresh).name == found.name, (
        "the same command finds its run again"
    )


def test_a_run_that_failed_gives_its_name_up(store: Store) -> None:
    store.finish_alignment("dpo-s0", status="failed", model_dir="", seconds=1.0)
    assert with_unique_name(store, resolved(lr=1e-5), named=False, fresh=False).name == "dpo-s0"
    assert with_unique_name(store, resolved(lr=1e-5, name="dpo-s0"), named=True, fresh=False).name == "dpo-s0"


def test_a_fresh_start_takes_the_place_of_what_is_stored(store: Store) -> None:
    first, before = resolved(), store.alignment("dpo-s0").created
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key=first.key, config=first.record)
    assert store.alignment("dpo-s0").created == before
    time.sleep(0.002)  # the store's clock has milliseconds
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key=first.key, config=first.record, fresh=True)
    assert store.alignment("dpo-s0").created > before


def test_a_path_that_is_there_is_kept_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llava").mkdir()
    (tmp_path / "llava/config.json").write_text("{}")
    assert resolved(model="llava/").train.model == str(tmp_path / "llava")
    assert resolved(model="llava").key == resolved(model=str(tmp_path / "llava")).key
    assert resolved(model="org/llava").train.model == "org/llava"


def test_a_name_that_was_given_is_taken_from_another_run_only_if_asked(store: Store) -> None:
    other = resolved(name="dpo-s0", lr=1e-5, beta=0.3)
    with pytest.raises(UsageError, match=r"lr=5e-07, now 1e-05; beta=0.1, now 0.3.*--fresh"):
        with_unique_name(store, other, named=True, fresh=False)
    assert with_unique_name(store, other, named=True, fresh=True) == other
