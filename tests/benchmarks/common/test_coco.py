"""Reading COCO's ground truth."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.common.coco import image_key, read_facts
from harness.errors import DataError
from tests.benchmarks.conftest import write_json, write_jsonl


@pytest.mark.parametrize("value", [42, "42", "000000000042", "http://x/COCO_val2014_000000000042.jpg"])
def test_an_image_has_one_key(value: object) -> None:
    assert image_key(value) == "42"


def coco(root: Path) -> Path:
    instances = {
        "images": [{"id": 1}],
        "annotations": [{"image_id": 1, "category_id": 3, "segmentation": [[1, 2]]}, {"image_id": 2, "category_id": 3}],
        "categories": [{"id": 3, "name": "dog"}],
    }
    write_json(root / "instances_train2014.json", instances)
    write_json(root / "captions_train2014.json", {"annotations": [{"image_id": 1, "caption": 'A "dog", [really].'}]})
    return root


def test_only_wanted_images_with_facts_are_returned(tmp_path: Path) -> None:
    facts = read_facts(coco(tmp_path), {"1", "5"})
    assert list(facts) == ["1"]
    assert (facts["1"].instances, facts["1"].captions) == ({"dog"}, ['A "dog", [really].'])


def test_an_empty_array_is_no_rows(tmp_path: Path) -> None:
    write_json(coco(tmp_path) / "captions_train2014.json", {"annotations": []})
    assert read_facts(tmp_path, {"1"})["1"].captions == []


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    path = coco(tmp_path) / "captions_train2014.json"
    path.write_text(path.read_text()[:-2] + "x")
    with pytest.raises(DataError, match=r"captions_train2014\.json"):
        read_facts(tmp_path, {"1"})


@pytest.mark.parametrize("kind", ["instances", "captions"])
def test_each_split_needs_both_its_files_and_those_of_another_split_are_no_replacement(
    tmp_path: Path, kind: str
) -> None:
    (coco(tmp_path) / f"{kind}_train2014.json").rename(tmp_path / f"{kind}_val2014.json")
    with pytest.raises(DataError, match=rf"{kind}_train2014\.json is missing; CHAIR needs both .* of train2014"):
        read_facts(tmp_path, {"1"})
    (tmp_path / f"{kind}_val2014.json").unlink()
    with pytest.raises(DataError, match=rf"{kind}_train2014\.json is missing"):
        read_facts(tmp_path, {"1"})


@pytest.mark.parametrize(
    ("value", "key"), [("²", "²"), ("٣", "٣"), ("0" * 6000 + "7", "7"), ("9" * 6000,) * 2, ("0", "0")]
)
def test_a_key_is_a_number_of_ascii_digits_however_many(value: str, key: str) -> None:
    assert image_key(value) == key


def test_a_caption_that_is_no_text_is_refused_by_its_file(tmp_path: Path) -> None:
    captions = coco(tmp_path) / "captions_train2014.json"
    write_json(captions, {"annotations": [{"image_id": 1, "caption": 3.5}]})
    with pytest.raises(DataError, match=r"captions_train2014\.json: not a COCO annotation file.*is float, not text"):
        read_facts(tmp_path, {"1"})


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("captions", {"info": {}}, "it has no array 'annotations'"),
        ("instances", {"annotations": []}, "it has no array 'categories'"),
        ("captions", {"annotations": [{"image_id": 1, "category_id": 3}]}, "KeyError.'caption'."),
        ("instances", {"annotations": [{"image_id": 1, "caption": "A dog."}], "categories": []}, "KeyError"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    tmp_path: Path, file: str, content: dict[str, object], why: str
) -> None:
    """Read as it is, its images would show less than they do, and CHAIR would be higher."""
    write_json(coco(tmp_path) / f"{file}_train2014.json", content)
    with pytest.raises(DataError, match=rf"{file}_train2014\.json: not a COCO annotation file .*{why}"):
        read_facts(tmp_path, {"1"})


def test_an_image_that_stands_twice_in_the_ground_truth_is_refused(tmp_path: Path) -> None:
    rows = [{"image_id": id_, "instances": [name], "captions": []} for id_, name in ((1, "dog"), ("01.jpg", "cat"))]
    write_jsonl(tmp_path / "ground_truth.jsonl", rows)
    with pytest.raises(DataError, match=r"ground_truth\.jsonl line 2: image 1 stands above already"):
        read_facts(tmp_path, {"1"})
