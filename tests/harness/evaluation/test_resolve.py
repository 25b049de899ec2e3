from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image as PilImage

import dama
from harness.errors import DataError
from harness.evaluation.resolve import DATA_SIZE, load, make_benchmark
from harness.store import Store


def pope(folder: Path, image: str) -> Path:
    """POPE's layout with one question about ``image``."""
    (folder / "val2014").mkdir(parents=True)
    row = {"question_id": 1, "image": image, "text": "Is there a dog?", "label": "yes"}
    (folder / "coco_pope_random.json").write_text(json.dumps(row) + "\n")
    return folder


@pytest.mark.parametrize("image", ["/proc/self/environ", "../../secret.png", "link.png"])
def test_a_benchmark_that_names_a_file_outside_its_folder_is_refused(tmp_path: Path, image: str) -> None:
    PilImage.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    folder = pope(tmp_path / "pope", image)
    (folder / "val2014/link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=r"an image of pope lies outside this folder: .*DAMA_IMAGES"):
        load(make_benchmark("pope"), folder)


def test_a_data_folder_that_is_a_link_and_a_folder_of_images_that_is_named_are_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "coco").mkdir()
    folder = pope(tmp_path / "real", "a.png")
    (tmp_path / "linked").symlink_to(folder)
    assert len(load(make_benchmark("pope"), tmp_path / "linked").samples) == 1
    (folder / "val2014").rmdir()
    (folder / "val2014").symlink_to(tmp_path / "coco")
    with pytest.raises(DataError, match="outside"):
        load(make_benchmark("pope"), folder)
    monkeypatch.setenv("DAMA_IMAGES", f"/nowhere:{tmp_path / 'coco'}")
    assert len(load(make_benchmark("pope"), folder).samples) == 1


@pytest.mark.parametrize("limit", [3, None])
def test_an_evaluation_records_how_many_samples_its_benchmark_has_whatever_was_drawn(
    tmp_path: Path, limit: int | None
) -> None:
    """The limit is no part of a record, and what was drawn of 12 questions looks like a benchmark of 3."""
    data, answers = Path(__file__).parents[2] / "golden/pope/data", tmp_path / "answers.jsonl"
    whole = load(make_benchmark("pope"), data).samples
    answers.write_text("".join(json.dumps({"id": s.id, "response": "Yes"}) + "\n" for s in whole))
    db = tmp_path / "r.sqlite"
    dama.bench(benchmark="pope", model=f"replay:{answers}", data_dir=data, limit=limit, db=db, progress=False)
    (stored,) = Store(db).evaluations()
    assert (stored.n, stored.info[DATA_SIZE]) == (limit or len(whole), len(whole)) and len(whole) > 3
