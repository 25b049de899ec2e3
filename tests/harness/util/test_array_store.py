from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.util import array_store
from harness.util.array_store import ArrayStore, Saving


def pack(rows: Sequence[float]) -> dict[str, np.ndarray]:
    return {"values": np.array(rows)}


def unpack(arrays: Mapping[str, Any]) -> list[float]:
    values: list[float] = arrays["values"].tolist()
    if max(values) > 1000:
        raise ValueError("a value is too large")
    return values


def store(folder: Path) -> ArrayStore[float]:
    return ArrayStore(folder / "made", pack, unpack)


def test_rows_are_found_by_key_whichever_file_they_are_in(tmp_path: Path) -> None:
    assert store(tmp_path).read({"a"}) == {}
    store(tmp_path).write({"a": 1.0, "b": 2.0})
    store(tmp_path).write({"c": 3.0, "b": 2.0})
    assert store(tmp_path).read({"a", "c", "z"}) == {"a": 1.0, "c": 3.0}
    store(tmp_path).clear()
    assert store(tmp_path).read({"a"}) == {}


def test_files_of_earlier_versions_with_keys_as_texts_are_read(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    np.savez(tmp_path / "made/old.npz", keys=np.array(["a", "b"]), values=np.array([1.0, 2.0]))
    assert store(tmp_path).read({"b"}) == {"b": 2.0}


@pytest.mark.parametrize("place", range(0, 400, 17))
def test_a_file_with_a_changed_byte_is_removed_or_gives_what_was_written(tmp_path: Path, place: int) -> None:
    store(tmp_path).write({"a": 1.0, "b": 2.0})
    store(tmp_path).write({"c": 3.0})
    damaged = next(file for file in (tmp_path / "made").glob("*.npz") if b"\0\0\0\0\0\0\x08@" not in file.read_bytes())
    content = bytearray(damaged.read_bytes())
    content[place % len(content)] ^= 4
    damaged.write_bytes(content)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = store(tmp_path).read({"a", "b", "c"})
    assert found in ({"c": 3.0}, {"a": 1.0, "b": 2.0, "c": 3.0})
    assert damaged.exists() == (len(found) == 3) == (not said)


@pytest.mark.parametrize("bit", [1, 8])
def test_whichever_bit_is_changed_the_rest_is_read(tmp_path: Path, bit: int) -> None:
    store(tmp_path).write({"a": 1.0})
    file = next((tmp_path / "made").iterdir())
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert store(tmp_path).read({"a"}) in ({}, {"a": 1.0}), place


def test_rows_that_are_none_are_removed_with_a_warning(tmp_path: Path) -> None:
    store(tmp_path).write({"a": 1001.0})
    with pytest.warns(UserWarning, match=r"is damaged \(a value is too large\)"):
        assert store(tmp_path).read({"a"}) == {}
    assert not list((tmp_path / "made").iterdir())


def test_rows_are_kept_by_number_by_time_and_where_the_work_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(array_store, "ROWS", 3)
    with pytest.raises(KeyboardInterrupt), Saving(store(tmp_path)) as saving:
        for key in "abcd":
            saving.add({key: 1.0})
        assert set(store(tmp_path).read(set("abcd"))) == set("abc"), "before it ends"
        raise KeyboardInterrupt
    assert set(store(tmp_path).read(set("abcd"))) == set("abcd")
    monkeypatch.setattr(array_store, "SECONDS", 0.0)
    with Saving(store(tmp_path)) as saving:
        saving.add({"e": 1.0})
        assert store(tmp_path).read({"e"}) == {"e": 1.0}


def _write(folder: Path, start: int) -> None:
    with Saving(store(folder)) as saving:
        for number in range(start, start + 40):
            saving.add({str(number): float(number)})
            array_store.SECONDS = 0.0
            store(folder).read({str(number)})


def test_processes_that_write_the_same_and_other_rows_at_once_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_write, args=(tmp_path, start)) for start in (0, 0, 20)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    wanted = {str(number) for number in range(60)}
    assert store(tmp_path).read(wanted) == {key: float(key) for key in wanted}
