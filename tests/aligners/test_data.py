from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aligners.data import load_pairs
from harness.errors import DataError
from tests.tiny import picture

PICTURE = picture(1)
ROW = {"idx": 7, "question": "what ?", "chosen": "a dog", "rejected": "a cat"}


def jsonl(folder: Path, *rows: dict[str, Any] | str) -> Path:
    file = folder / "train.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(PICTURE)
    return tmp_path


@pytest.mark.parametrize("image", ["a.png", base64.b64encode(PICTURE).decode(), {"bytes": None, "path": "a.png"}])
def test_an_image_may_be_a_path_or_base64(folder: Path, image: object) -> None:
    (pair,) = load_pairs(jsonl(folder, {**ROW, "image": image, "score": 3})).pairs
    assert (pair.id, pair.question, pair.chosen, pair.rejected) == ("7", "what ?", "a dog", "a cat")
    assert pair.image_bytes() == PICTURE
    assert pair.columns == {"score": 3}


def test_rlaif_v_parquet_holds_image_bytes(folder: Path) -> None:
    rows = [{**ROW, "idx": i, "image": {"bytes": PICTURE, "path": "x.jpg"}, "origin_dataset": "vg"} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
    loaded = load_pairs(folder, limit=2)
    assert [pair.id for pair in loaded.pairs] == ["0", "1"]
    assert loaded.pairs[0].image_bytes() == PICTURE
    assert loaded.report["pairs"] == 2


def test_rlhf_v_packs_its_texts_in_one_column(folder: Path) -> None:
    text = json.dumps({"question": "what ?", "chosen": "a dog", "rejected": "a cat"})
    pq.write_table(pa.Table.from_pylist([{"idx": 1, "image": {"bytes": PICTURE}, "text": text}]), folder / "p.parquet")
    (pair,) = load_pairs(folder / "p.parquet").pairs
    assert (pair.question, pair.chosen, pair.rejected) == ("what ?", "a dog", "a cat")


def test_the_hash_changes_with_the_image_and_the_text(folder: Path) -> None:
    row = {**ROW, "image": "a.png"}
    first = load_pairs(jsonl(folder, row)).content_hash
    assert load_pairs(jsonl(folder, row)).content_hash == first
    assert load_pairs(jsonl(folder, {**row, "chosen": "a car"})).content_hash != first
    (folder / "a.png").write_bytes(picture(2))
    assert load_pairs(jsonl(folder, row)).content_hash != first


def test_repeated_ids_are_told_apart_and_counted(folder: Path) -> None:
    loaded = load_pairs(jsonl(folder, {**ROW, "image": "a.png"}, {**ROW, "image": "a.png", "chosen": "a car"}))
    assert [pair.id for pair in loaded.pairs] == ["0:7", "1:7"]
    assert loaded.report["duplicate_ids"] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "line 1: not valid JSON"),
        ("[1]", "line 1: expected a JSON object"),
        ({"image": "a.png", "question": "q", "chosen": "a"}, "line 1: no rejected. Expected columns image, question"),
        ({**ROW, "image": "a.png", "rejected": "a dog "}, "line 1: chosen and rejected are equal"),
        ({**ROW, "image": "missing.png"}, "line 1: image 'missing.png': no such file"),
        ({**ROW, "image": base64.b64encode(PICTURE[:500]).decode()}, "line 1: the image cannot be read"),
        ({**ROW, "image": 3}, "line 1: image: expected a path"),
    ],
)
def test_a_bad_row_is_named_with_its_file(folder: Path, row: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        load_pairs(jsonl(folder, row))
    assert message in str(caught.value)
    assert "train.jsonl" in str(caught.value)


def test_empty_or_absent_data_are_errors(folder: Path) -> None:
    with pytest.raises(DataError, match="no pairs"):
        load_pairs(jsonl(folder))
    with pytest.raises(DataError, match="no such file"):
        load_pairs(folder / "none.jsonl")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected train\.jsonl or \*\.parquet"):
        load_pairs(folder / "empty")
    (folder / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable parquet"):
        load_pairs(folder / "broken.parquet")
