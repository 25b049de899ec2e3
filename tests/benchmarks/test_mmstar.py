"""MMStar: the published files' shapes, the official rule, figures worked out by hand."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.mmstar import MMStar, reads_officially, slug
from harness.errors import DataError
from harness.evaluation.resolve import load
from tests.benchmarks.conftest import figures, judged

PICTURE = b"the bytes of a picture, which are not opened here; they are longer than an index is" * 2
OPTIONS = "Options: A: one, B: two, C: three, D: four"


def row(index: int, answer: str = "A", kind: tuple[str, str] = ("math", "geometry"), **more: Any) -> dict[str, Any]:
    """A row of mmstar.parquet as its home has it."""
    meta = {"source": "MMBench", "split": "val", "image_path": f"images/{index}.jpg"}
    return {"index": index, "question": f"Which of {index}?\n{OPTIONS}", "image": PICTURE, "answer": answer,
            "category": kind[0], "l2_category": kind[1], "meta_info": meta, **more}  # fmt: skip


def write(root: Path, *rows: dict[str, Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(list(rows)), root / "mmstar.parquet")
    return root


def test_the_parquet_file_gives_a_question_a_row(tmp_path: Path) -> None:
    rows = [row(0), row(7, "D", ("coarse perception", "image emotion"), image={"bytes": PICTURE, "path": "7.jpg"})]
    for each in rows:  # datasets writes a struct where the home's own file has bytes
        each["image"] = {"bytes": PICTURE, "path": None}
    data = MMStar().load(write(tmp_path, *rows))
    first, second = data.samples
    assert first.prompt == f"Which of 0?\n{OPTIONS}\nAnswer with the option's letter from the given choices directly."
    assert second.id == "7" and second.image is not None and second.image.data == PICTURE
    assert second.data["options"] == {"A": "one", "B": "two", "C": "three", "D": "four"}
    assert "mmstar.parquet: 2 rows, official 1500" in data.notes and data.info == {"unofficial": []}
    assert MMStar().decoding.max_new_tokens == 32


def test_the_tables_with_tabs_hold_base64_indices_and_columns_of_options(tmp_path: Path) -> None:
    encoded = base64.b64encode(PICTURE).decode()
    head = "index\tquestion\tA\tB\tanswer\tcategory\tl2_category\timage"
    lines = [f"0\tWhich?\tone\ttwo\tB\tmath\tgeometry\t{encoded}", "1\tAnd now?\tone\t\tA\tmath\tgeometry\t0"]
    (tmp_path / "MMStar.tsv").write_text("\n".join([head, *lines]) + "\n")
    first, second = MMStar(ask="direct").load(tmp_path).samples
    assert first.prompt == "Which?\nA. one\nB. two\nAnswer the question directly." and first.data["answer"] == "B"
    assert second.image == first.image and second.data["options"] == {"A": "one"}


def test_an_option_that_a_data_frame_wrote_as_nan_is_none(tmp_path: Path) -> None:
    (sample,) = MMStar().load(write(tmp_path, row(0, question="Which?", A="one", B="two", C=float("nan")))).samples
    assert sample.data["options"] == {"A": "one", "B": "two"} and "nan" not in sample.prompt


@pytest.mark.parametrize(
    ("answer", "right"),
    [("B", True), ("b", True), ("Because", True), ("(b) two", True), ("Option B", True), ("The answer is B", True),
     ("The answer is: B", False), ("", False), ("The correct answer is B", False), (" b\n", True), ("**B**", False)],
)  # fmt: skip
def test_the_official_rule_looks_at_the_first_characters(answer: str, right: bool) -> None:
    assert reads_officially(answer, "B") is right


def test_figures_by_hand(tmp_path: Path) -> None:
    """Geometry: A right, "A shape" officially right and not read; image emotion: wrong, and its text, which is right.

    Plain: 2 of 4, unread 1 of 4; math 1 of 2. Officially: the two of geometry alone.
    """
    emotion = ("coarse perception", "image emotion")
    root = write(tmp_path, row(0), row(1), row(2, "B", emotion), row(3, "C", emotion))
    benchmark = MMStar()
    samples = benchmark.load(root).samples
    answers = ["A", "A shape", "A", "Three."]
    verdicts = [judged(benchmark, s, answer) for s, answer in zip(samples, answers, strict=True)]
    assert all(verdict.error is None for verdict in verdicts)
    values = figures(benchmark, samples, verdicts)
    expected = {"accuracy": 50, "math": 50, "geometry": 50, "coarse_perception": 50, "image_emotion": 50, "unread": 25}
    expected |= {"official_accuracy": 50, "official_geometry": 100, "official_coarse_perception": 0}
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_the_multimodal_gain_is_what_the_images_add(tmp_path: Path) -> None:
    """Of four questions three are right with their image and one is without: 75 - 25 = 50; nothing else moves."""
    benchmark = MMStar(images="both")
    samples = benchmark.load(write(tmp_path, *(row(i) for i in range(4)))).samples
    assert [s.id for s in samples] == ["0", "1", "2", "3", "0:text", "1:text", "2:text", "3:text"]
    assert [s.image is None for s in samples] == [False] * 4 + [True] * 4
    assert samples[4].prompt == samples[0].prompt and samples[4].group == samples[0].group
    answers = ["A", "A", "A", "B", "A", "B", "I cannot see it", "B"]
    values = figures(benchmark, samples, [judged(benchmark, s, a) for s, a in zip(samples, answers, strict=True)])
    expected = {"accuracy": 75, "math": 75, "unread": 0, "text_accuracy": 25, "multimodal_gain": 50}
    expected |= {"official_accuracy": 75, "official_text_accuracy": 25, "official_multimodal_gain": 50}
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert "multimodal_gain" not in {metric.name for metric in MMStar().metrics(samples)}


@pytest.mark.parametrize("limit", [4, 7, 20])
def test_a_limit_draws_the_same_questions_with_their_images_and_without(limit: int, tmp_path: Path) -> None:
    """What the images add is of these questions; the shown ones are those that half the limit draws of them alone."""
    kinds = [("math", "geometry"), ("coarse perception", "image emotion")]
    root = write(tmp_path, *(row(i, kind=kinds[i % 2]) for i in range(30)))
    ids = [sample.id for sample in load(MMStar(images="both"), root, limit).samples]
    shown, text = [[i for i in ids if i.endswith(":text") == of_text] for of_text in (False, True)]
    assert [f"{i}:text" for i in shown] == text and len(ids) in (limit - 1, limit)
    if limit % 4 == 0:
        assert shown == [sample.id for sample in load(MMStar(), root, limit // 2).samples]


def test_without_images_the_questions_keep_their_ids(tmp_path: Path) -> None:
    (sample,) = MMStar(images="none").load(write(tmp_path, row(5))).samples
    assert (sample.id, sample.image) == ("5", None) and "images=none" in MMStar(images="none").version


def test_all_categories_have_figures_of_their_own() -> None:
    names = [metric.name for metric in MMStar().metrics([])]
    assert len(names) == len(set(names)) == 2 * 25 + 1  # 6 + 18 + 1, and unread
    assert slug("electronics & energy & mechanical eng.") == "electronics_energy_mechanical_eng"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"answer": "E"}, "the answer is 'E', the options are A, B, C, D"),
        ({"l2_category": "image emotion"}, "'image emotion' is no part of a category 'math'"),
        ({"image": b""}, "'image' should hold an encoded image"),
        ({"question": None}, "'question' should be str"),
    ],
)
def test_a_row_that_is_none_is_named(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"mmstar.parquet row 1: .*{message}"):
        MMStar().load(write(tmp_path, row(0), {**row(1), **changed}))


def test_a_file_that_is_no_parquet_and_one_that_is_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MMStar's questions not found; expected mmstar.parquet or MMStar.tsv"):
        MMStar().load(tmp_path)
    (tmp_path / "mmstar.parquet").write_bytes(b"none")
    with pytest.raises(DataError, match="not a readable parquet file"):
        MMStar().load(tmp_path)
