from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from aligners.pairs.data import load_pairs
from aligners.pairs.report import described
from harness.errors import DataError
from harness.util.paths import nothing_kept
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


def test_base64_may_be_broken_into_lines_and_an_ending_written_large(folder: Path) -> None:
    row = {**ROW, "image": base64.encodebytes(PICTURE).decode()}
    (pair,) = load_pairs(jsonl(folder, row).rename(folder / "TRAIN.JSONL")).pairs
    assert pair.image_bytes() == PICTURE


def test_what_opening_its_images_changes_is_counted_by_image_and_said(folder: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(folder / "drawing.png")
    rows = [
        {**ROW, "idx": i, "chosen": f"{i} dog", "image": name} for i, name in enumerate(["drawing.png"] * 2 + ["a.png"])
    ]
    report = load_pairs(jsonl(folder, *rows)).report
    assert report["images_changed"] == {"laid on white": 1}
    assert "1 image laid on white" in described(report)
    assert "images_changed" not in load_pairs(jsonl(folder, rows[2])).report


def test_rlaif_v_parquet_holds_image_bytes(folder: Path) -> None:
    image = {"bytes": PICTURE, "path": "x.jpg"}
    rows = [{**ROW, "idx": i, "chosen": f"{i} dog", "image": image, "origin_dataset": "vg"} for i in range(3)]
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


def test_no_pair_holds_an_image_and_what_was_read_is_kept_while_the_files_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = {"bytes": PICTURE, "path": "x.jpg"}
    rows = [{**ROW, "idx": i, "chosen": f"{i} dog", "image": image} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    first = load_pairs(folder / "part.parquet")
    assert all(image.data is None for pair in first.pairs for image in pair.images)
    assert len({image.path for pair in first.pairs for image in pair.images}) == 1, (
        "an image that rows share is one file"
    )
    monkeypatch.setattr("aligners.pairs.data.check", lambda *_: pytest.fail("it was read before"))
    assert load_pairs(folder / "part.parquet") == first
    kept = first.pairs[0].images[0].path
    assert kept is not None
    kept.unlink()
    with pytest.raises(pytest.fail.Exception, match="it was read before"):
        load_pairs(folder / "part.parquet")


@pytest.fixture
def own_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of the test's own."""
    monkeypatch.setenv("DAMA_HOME", str(folder / "home"))
    return folder / "home"


@pytest.mark.parametrize(
    ("written", "found"),
    [(r"(?s).{9}\Z", ""), ("a dog", "a god"), (r"(?s).*", ""), (r"(?s).*", "[]\n"), ("facts", "fact"), (r"\A", "\0")],
)
def test_kept_pairs_that_are_not_what_was_written_are_read_anew(
    folder: Path, own_home: Path, written: str, found: str
) -> None:
    file = jsonl(folder, {**ROW, "image": "a.png"})
    first = load_pairs(file)
    (kept,) = (own_home / "cache/pairs").glob("*.jsonl")
    kept.write_text(re.sub(written, found, kept.read_text(), count=1))
    with pytest.warns(UserWarning, match="is damaged .*: it is thrown away and made anew"):
        assert load_pairs(file) == first
    assert load_pairs(file) == first, "and kept again, without a word"


def test_an_image_kept_from_a_table_is_written_anew_where_it_was_cut(folder: Path) -> None:
    row = {**ROW, "image": base64.b64encode(PICTURE).decode()}
    (kept,) = load_pairs(jsonl(folder, row)).pairs[0].images
    assert kept.path is not None
    kept.path.write_bytes(PICTURE[:50])
    assert load_pairs(jsonl(folder, row)).pairs[0].image_bytes() == PICTURE


def test_nothing_is_kept_where_nothing_is_to_be_left_behind(folder: Path, own_home: Path) -> None:
    file = jsonl(folder, {**ROW, "image": base64.b64encode(PICTURE).decode()})
    with nothing_kept():
        (pair,) = load_pairs(file).pairs
        assert pair.image_bytes() == PICTURE
    assert not own_home.exists()
    assert load_pairs(file).pairs[0].image_bytes() == PICTURE
    before = sorted(own_home.rglob("*"))
    with nothing_kept():
        load_pairs(file)
    assert sorted(own_home.rglob("*")) == before


def test_the_hash_changes_with_the_image_and_the_text(folder: Path) -> None:
    row = {**ROW, "image": "a.png"}
    first = load_pairs(jsonl(folder, row)).content_hash
    assert load_pairs(jsonl(folder, row)).content_hash == first
    assert load_pairs(jsonl(folder, {**row, "chosen": "a car"})).content_hash != first
    file = jsonl(folder, row)
    assert load_pairs(file).content_hash == first
    (folder / "a.png").write_bytes(picture(2))
    assert load_pairs(file).content_hash != first, "the image alone is another one"


def test_repeated_ids_are_told_apart_and_counted(folder: Path) -> None:
    loaded = load_pairs(jsonl(folder, {**ROW, "image": "a.png"}, {**ROW, "image": "a.png", "chosen": "a car"}))
    assert [pair.id for pair in loaded.pairs] == ["0:7", "1:7"]
    assert loaded.report["duplicate_ids"] == 1


IMAGE_PART = {"type": "image"}
USER = [{"role": "user", "content": [IMAGE_PART, {"type": "text", "text": "what ?"}]}]
ASSISTANT = {"role": "assistant", "content": "a dog"}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "what ?", "chosen": "a dog", "rejected": "a cat"},
        {
            "prompt": USER,
            "chosen": [{"role": "assistant", "content": "a dog"}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "a cat"}]}],
        },
        {
            "chosen": [*USER, {"role": "assistant", "content": [{"type": "text", "text": "a dog"}]}],
            "rejected": [*USER, {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]}],
        },
    ],
    ids=["text", "conversation", "implicit prompt"],
)
def test_trls_formats_are_read(folder: Path, row: dict[str, Any]) -> None:
    (pair,) = load_pairs(jsonl(folder, {**row, "images": ["a.png"]})).pairs
    assert (pair.question, pair.chosen, pair.rejected) == ("what ?", "a dog", "a cat")
    table = pa.Table.from_pylist([{**row, "images": [{"bytes": PICTURE, "path": None}]}])
    pq.write_table(table, folder / "trl.parquet")
    assert load_pairs(folder / "trl.parquet").pairs[0].content == pair.content


def test_a_repeated_pair_is_dropped_and_reported(folder: Path) -> None:
    rows = [{**ROW, "idx": i, "image": "a.png"} for i in range(3)] + [{**ROW, "image": "a.png", "chosen": "a car"}]
    loaded = load_pairs(jsonl(folder, *rows))
    assert [pair.chosen for pair in loaded.pairs] == ["a dog", "a car"]
    dropped = loaded.report["dropped"]["equal to an earlier pair"]
    assert dropped["rows"] == 2 and dropped["first"][0].endswith("line 2")


def test_bad_rows_may_be_skipped_and_are_reported_by_reason(folder: Path) -> None:
    good = {**ROW, "image": "a.png"}
    bad = [{**good, "image": f"{name}.png"} for name in ("b", "c", "d")] + [{**good, "rejected": "a dog"}]
    file = jsonl(folder, *bad, good, {**good, "chosen": "a car"})
    loaded = load_pairs(file, 1, skip_bad=True)
    assert [pair.chosen for pair in loaded.pairs] == ["a dog"], "the limit counts pairs that are kept"
    missing, equal = loaded.report["dropped"].items()
    assert missing[0] == "image: no such file, and not base64" and missing[1]["rows"] == 3, "counted by their reason"
    assert "equal: there is no preference" in equal[0]
    with pytest.raises(DataError, match=r"line 1: image: no such file, and not base64: 'b.png' under"):
        load_pairs(file)
    assert any("dropped 3 (first: " in line for line in described(loaded.report)), "what the screen shows"

    (folder / "b.png").write_bytes(picture(3))
    assert load_pairs(file, 1, skip_bad=True).report["dropped"] == {}, "an image that is there by now is found"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{not json", "line 1: not valid JSON"),
        ("[1]", "line 1: expected one JSON object a line"),
        ({"image": "a.png", "question": "q", "chosen": "a"}, "line 1: no rejected. Expected columns image, question"),
        ({**ROW, "image": "a.png", "rejected": "a dog "}, "line 1: chosen and rejected are equal"),
        ({**ROW, "image": "missing.png"}, "line 1: image: no such file, and not base64: 'missing.png' under"),
        ({**ROW, "image": base64.b64encode(PICTURE[:500]).decode()}, "line 1: the image cannot be read"),
        ({**ROW, "image": 3}, "line 1: image: expected a path"),
        ({**ROW, "question": " "}, "line 1: question is empty"),
        ({**ROW, "question": "\u200b"}, "line 1: question is empty"),
        ({**ROW, "image": "a.png", "chosen": " \u200b\ufeff\x07"}, "line 1: chosen is empty"),
        ({**ROW, "image": "a.png", "chosen": ["a dog"]}, "line 1: chosen: expected a text, found a list (['a dog'])"),
        (
            '{"image": "a.png", "question": "q", "chosen": NaN, "rejected": "a"}',
            "line 1: chosen: expected a text, found NaN",
        ),
        ({**ROW, "image": "a.png", "rejected": 7}, "line 1: rejected: expected a text, found a int (7)"),
        ({**ROW, "image": "a.png", "rejected": "a <image>"}, "line 1: rejected holds <image>"),
        (
            {**ROW, "image": "a.png", "question": "<image> or <image> ?"},
            "has 2 places for images (<image>), the row has 1",
        ),
        ({**ROW, "question": "<image> what ?"}, "has 1 places for images (<image>), the row has 0"),
        ({**ROW, "image": "https://example.org/a.png"}, "the image is a URL: set image_urls=true"),
        ({**ROW, "image_id": 7}, "the image is given by its number (image_id): set --image-root"),
        ({**ROW, "image": "a.png", "context": "A room."}, "column context: set --columns prefix=context if both"),
        ({**ROW, "image": "a.png", "videos": ["a.mp4"]}, "videos: only texts and images are trained on"),
        (
            {"image": "a.png", "prompt": [*USER, ASSISTANT], "chosen": "a", "rejected": "b"},
            "ends with a message of the assistant",
        ),
        (ROW, "no pair has an image; columns idx, question, chosen, rejected. Name the images' column"),
    ],
)
def test_a_bad_row_is_named_with_its_file(folder: Path, row: dict[str, Any] | str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        load_pairs(jsonl(folder, row))
    assert message in str(caught.value)
    assert "train.jsonl" in str(caught.value)


def test_an_image_too_large_to_be_opened_safely_or_cut_short_is_named_or_left_out(
    folder: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    (folder / "bomb.png").write_bytes(picture(2, side=60))
    (folder / "cut.png").write_bytes(picture(3)[:-300])
    (folder / "text.jpg").write_text("no picture")
    with pytest.raises(DataError, match=rf"line 1: .*\({folder}/text\.jpg: it is of no known image format\)"):
        load_pairs(jsonl(folder, {**ROW, "image": "text.jpg"}))
    names = ("a.png", "bomb.png", "cut.png")
    rows = [{**ROW, "idx": name, "image": name, "chosen": f"a dog {name}"} for name in names]
    with pytest.raises(DataError, match=r"line 2: the image cannot be read .*decompression bomb"):
        load_pairs(jsonl(folder, *rows))
    loaded = load_pairs(jsonl(folder, *rows), skip_bad=True)
    assert [pair.id for pair in loaded.pairs] == ["a.png"]
    assert loaded.report["dropped"]["the image cannot be read"]["rows"] == 2


def test_a_byte_order_mark_is_no_part_of_the_data(folder: Path) -> None:
    file = jsonl(folder, {**ROW, "image": "a.png"})
    plain = load_pairs(file).content_hash
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_pairs(file).content_hash == plain


def test_empty_or_absent_data_are_errors(folder: Path) -> None:
    with pytest.raises(DataError, match="no pairs"):
        load_pairs(jsonl(folder))
    with pytest.raises(DataError, match="no such file"):
        load_pairs(folder / "none.jsonl")
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected a \.jsonl, .* or \.arrow file in this directory"):
        load_pairs(folder / "empty")
    (folder / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable parquet"):
        load_pairs(folder / "broken.parquet")
