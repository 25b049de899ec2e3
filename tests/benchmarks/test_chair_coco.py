"""CHAIR on COCO: which images are asked about, the official table's quirks, and what is wrong in its files."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chair_coco import ChairCoco, image_urls
from benchmarks.common.chair import read_synonyms, read_synonyms_officially
from harness.errors import DataError
from tests.benchmarks.conftest import judged

GOLDEN = Path(__file__).parents[1] / "golden/chair_coco/data"
IDS = [str(i) for i in range(11, 19)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return shutil.copytree(GOLDEN, tmp_path / "data")


def ids(benchmark: ChairCoco, root: Path) -> list[str]:
    return [sample.id for sample in benchmark.load(root).samples]


def test_images_are_drawn_by_seed_in_the_order_of_their_numbers(root: Path) -> None:
    draws = [ids(ChairCoco(images=4, seed=seed, tagger="lexicon"), root) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert all(len(draw) == 4 and draw == sorted(draw) and set(draw) < set(IDS) for draw in draws)
    data = ChairCoco(images=8, tagger="lexicon").load(root)
    assert [sample.id for sample in data.samples] == IDS
    assert data.samples[0].prompt == "Please describe this image in detail."
    image = data.samples[0].image
    assert image is not None and image.path == root / "val2014/COCO_val2014_000000000011.jpg"


@pytest.mark.parametrize(
    ("name", "text"), [("chair_images.json", '[17, "COCO_val2014_000000000012.jpg"]'), ("chair_images.txt", "17\n12\n")]
)
def test_a_file_names_the_images_in_its_order(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text)
    assert ids(ChairCoco(tagger="lexicon"), root) == ["17", "12"]
    home = "http://images.cocodataset.org/val2014/COCO_val2014_0000000000"
    assert list(image_urls(root).values()) == [f"{home}17.jpg", f"{home}12.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected COCO image ids"),
        ('{"a": 1}', "expected COCO image ids"),
        ("[true]", "expected COCO image ids"),
        ("[12, 12]", "image 12 stands there twice"),
        ('["dog"]', "'dog' is no COCO image id"),
        ("[99]", "image 99 has no ground truth"),
    ],
)
def test_a_bad_list_of_images_is_refused(root: Path, text: str, message: str) -> None:
    (root / "chair_images.json").write_text(text)
    with pytest.raises(DataError, match=message):
        ChairCoco(tagger="lexicon").load(root)


def test_more_images_than_there_are_is_refused(root: Path) -> None:
    with pytest.raises(DataError, match="it has 8 images, fewer than images=500"):
        ChairCoco(tagger="lexicon").load(root)


def test_an_instances_file_without_ids_is_named(root: Path) -> None:
    value: Any = json.loads((root / "instances_val2014.json").read_text())
    (root / "instances_val2014.json").write_text(json.dumps({**value, "images": [{"file_name": "a.jpg"}]}))
    with pytest.raises(DataError, match=r"instances_val2014.json: not a COCO annotation file .*reading its images"):
        ChairCoco(tagger="lexicon", images=1).load(root)


def test_the_official_table_keeps_blanks_and_joins_its_own_pairs_only(root: Path) -> None:
    table = root / "synonyms.txt"
    ours, official = read_synonyms(table), read_synonyms_officially(table)
    assert ("cheesecake" in ours.classes, "cheesecake" in official.classes) == (True, False)
    assert official.classes[" cheesecake"] == "cake"
    assert ("fire fighter" in ours.compounds, "fire fighter" in official.compounds) == (True, False)
    assert official.compounds["bow tie"] == ours.compounds["bow tie"] == "tie"


def test_a_verdict_names_what_is_wrong_and_counts_both_rules(root: Path) -> None:
    """Image 12 shows cake and table. Plainly two mentions, one wrong; officially the cheesecake is none."""
    sample = ChairCoco(images=8, tagger="lexicon").load(root).samples[1]
    verdict = judged(ChairCoco(tagger="lexicon"), sample, "A cheesecake and a dog.")
    assert verdict.details["hallucinated"] == ["dog"]
    wanted = {"mentions": 2, "hallucinated": 1, "recalled": 1, "truths": 2, "words": 5}
    assert {name: verdict.counts[name] for name in wanted} == wanted
    official = {"mentions": 1, "hallucinated": 1, "recalled": 0, "truths": 2}
    assert {name: verdict.counts[f"official_{name}"] for name in official} == official


def test_all_images_of_val2014_may_be_named(tmp_path: Path) -> None:
    """40,504 of them in a fraction of a second, and which one stands there twice is seen among them."""
    (tmp_path / "chair_images.json").write_text(json.dumps([*range(1, 40_505), 7]))
    started = time.process_time()
    with pytest.raises(DataError, match="image 7 stands there twice"):
        ChairCoco(tagger="lexicon").load(tmp_path)
    assert time.process_time() - started < 5
