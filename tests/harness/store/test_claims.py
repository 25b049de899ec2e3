"""Claims: no two living processes hold the same, and what a dead one held is free."""

from __future__ import annotations

import multiprocessing as mp
import os
import sqlite3
import time
from pathlib import Path

import pytest

from harness.evaluation.sharing import generate_shared
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer
from harness.store import Store
from harness.store.claims import Claims
from tests.harness.fakes import Recorded

ITEMS = [f"i{n}" for n in range(10)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Store(tmp_path / "r.sqlite").path


def test_what_one_holds_the_other_does_not_get_until_it_is_given_back(path: Path) -> None:
    with Claims(path) as a, Claims(path) as b:
        assert a.take("x", ITEMS, 4) == ITEMS[:4]
        assert b.take("x", ITEMS, 4) == ITEMS[4:8]
        assert b.take("y", ITEMS, 1) == ITEMS[:1], "scopes are apart"
        a.release("x", ITEMS[:2])
        assert b.take("x", ITEMS[:4], 9) == ITEMS[:2]
    with Claims(path) as c:
        assert c.take("x", ITEMS, 99) == ITEMS, "leaving gives everything back"


def _hold_and_die(path: Path) -> None:
    claims = Claims(path)
    claims.__enter__()
    claims.take("x", ITEMS, 5)
    os.kill(os.getpid(), 9)


def test_what_a_killed_process_held_is_free_at_once(path: Path) -> None:
    child = mp.get_context("fork").Process(target=_hold_and_die, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == -9
    with Claims(path) as claims:
        assert claims.take("x", ITEMS, 99) == ITEMS


def test_what_another_host_holds_is_free_when_its_lease_ends(path: Path) -> None:
    with sqlite3.connect(path) as db:
        for item, until in (("i0", time.time() + 60), ("i1", time.time() - 1)):
            db.execute("INSERT INTO claim VALUES ('x', ?, 'o', 'elsewhere', 1, ?)", [item, until])
    with Claims(path) as claims:
        assert claims.take("x", ["i0", "i1"], 9) == ["i1"]


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_jump_of_the_clock_frees_no_claim_of_the_living_and_keeps_none_of_the_dead(
    path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    child = mp.get_context("fork").Process(target=_hold_and_die, args=(path,))
    child.start()
    child.join()
    real = time.time
    with Claims(path) as a, Claims(path) as b:
        a.take("x", ["mine"], 1)
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        assert b.take("x", ["mine", *ITEMS], 99) == ITEMS


def test_a_process_that_is_dead_and_not_yet_buried_holds_nothing(path: Path) -> None:
    child = os.fork()
    if not child:
        _hold_and_die(path)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # a corpse: its parent has not asked for it
    with Claims(path) as claims:
        assert claims.take("x", ITEMS, 99) == ITEMS
    os.waitpid(child, 0)


def test_a_process_that_got_the_number_of_a_dead_one_does_not_hold_its_claims(path: Path) -> None:
    with Claims(path) as claims:
        claims.take("x", ["i0"], 1)
        machine, started, name = claims.owner.split("/")
        with sqlite3.connect(path) as db:
            db.execute("UPDATE claim SET owner = ?", [f"{machine}/{int(started) - 1}/{name}"])
    with Claims(path) as other:
        assert other.take("x", ["i0"], 1) == ["i0"]


def test_a_claim_whose_end_no_clock_can_have_meant_is_free(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO claim VALUES ('x', 'i0', 'o', 'elsewhere', 1, ?)", [time.time() + 86_400])
    with Claims(path) as claims:
        assert claims.take("x", ["i0"], 9) == ["i0"]


def test_a_lease_is_renewed_while_its_holder_lives(path: Path) -> None:
    with Claims(path, lease=0.3) as a, Claims(path) as b:
        a.take("x", ITEMS, 99)
        time.sleep(0.7)
        assert b.take("x", ITEMS, 99) == []


def test_a_sample_that_fails_is_an_error_and_does_not_keep_the_work_from_ending(path: Path) -> None:
    samples = [Sample(str(i), f"{i}?", group=str(i // 3)) for i in range(9)]
    store, model = Store(path), Recorded({str(i): Answer(None, "no") if i == 4 else Answer("yes") for i in range(9)})
    with Claims(path) as claims:
        found = generate_shared(store, model, samples, Decoding(), claims, poll=0.01)
    assert {id_ for id_, answer in found.items() if answer.text is None} == {"4"} and len(found) == 9
    assert sorted(model.asked) == sorted(found), "each is asked once"
