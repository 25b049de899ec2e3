"""What `--limit` draws: shares worked out by hand, whole sets, the same samples whatever else is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.hallusion_bench import HallusionBench
from benchmarks.pope import Pope
from harness.evaluation.drawing import draw, shares
from harness.evaluation.resolve import data_key, load
from harness.protocols.benchmark import Sample


@pytest.mark.parametrize(
    ("count", "wanted"),
    [
        (1, {"a": 1, "b": 0, "c": 0}),  # fewer than parts: the largest ones
        (3, {"a": 1, "b": 1, "c": 1}),
        (4, {"a": 2, "b": 1, "c": 1}),  # 60 / 3 = 20, 30 / 3 = 10, 10 / 3
        (5, {"a": 3, "b": 1, "c": 1}),  # 60 / 5 = 12, 30 / 3 = 10
        (6, {"a": 3, "b": 2, "c": 1}),  # 60 / 7 = 8.6, 30 / 3 = 10
        (10, {"a": 6, "b": 3, "c": 1}),
        (100, {"a": 60, "b": 30, "c": 10}),
    ],
)
def test_every_part_has_one_then_its_proportion(count: int, wanted: dict[str, int]) -> None:
    assert shares({"a": 60, "b": 30, "c": 10}, count) == wanted


def test_a_small_part_is_not_asked_for_more_than_it_has() -> None:
    """Of 2 and 3 samples four are drawn: one each, 3 / 3 = 1 to b, then 2 / 3 before 3 / 5 to a."""
    assert shares({"a": 2, "b": 3}, 4) == {"a": 2, "b": 2}


def of_splits(*splits: str) -> list[Sample]:
    return [Sample(f"{s}:{i}", "?", data={"split": s, "label": "no"}, group=str(i)) for s in splits for i in range(40)]


def test_a_draw_is_spread_over_the_splits_in_file_order_and_holds_the_smaller_ones() -> None:
    samples = of_splits("random", "popular", "adversarial")
    order = [sample.id for sample in samples]
    few, many = ([sample.id for sample in draw(Pope(), samples, count)] for count in (10, 30))
    assert [sum(id_.startswith(split) for id_ in few) for split in ("random", "popular", "adversarial")] == [4, 3, 3]
    assert set(few) < set(many) and len(many) == 30
    assert few == sorted(few, key=order.index) != order[:10]
    assert few == [sample.id for sample in draw(Pope(), samples, 10)]


def test_what_is_drawn_of_a_part_does_not_depend_on_the_others() -> None:
    alone = draw(Pope(), of_splits("popular"), 5)
    among = draw(Pope(), of_splits("random", "popular"), 10)
    assert [sample.id for sample in among if sample.id.startswith("popular")] == [sample.id for sample in alone]


def hallusion(set_sizes: dict[str, int]) -> list[Sample]:
    common = {"category": "VD", "subcategory": "chart", "question_id": "0", "gt_answer": "1", "visual_input": "1"}
    return [
        Sample(f"{name}-{i}", "?", data={**common, "set_id": name, "figure_id": str(i)}, group=name)
        for name, size in set_sizes.items()
        for i in range(size)
    ]


@pytest.mark.parametrize("limit", [7, 8, 11])
def test_sets_that_are_counted_as_one_stay_whole(limit: int) -> None:
    samples = hallusion(dict.fromkeys("abcde", 4))
    drawn = draw(HallusionBench(), samples, limit)
    assert len(drawn) == limit // 4 * 4
    assert all(sum(sample.group == name for sample in drawn) in (0, 4) for name in "abcde")


def test_a_limit_below_the_smallest_set_takes_a_part_of_one() -> None:
    assert len(draw(HallusionBench(), hallusion({"a": 4, "b": 4}), 3)) == 3


def test_what_is_drawn_stands_in_the_key_of_the_data(tmp_path: Path) -> None:
    rows = [{"question_id": i, "image": f"{i}.jpg", "text": "Is there a dog?", "label": "yes"} for i in range(9)]
    for split in ("random", "popular"):
        (tmp_path / f"coco_pope_{split}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole, first, again, other = (load(Pope(), tmp_path, n).samples for n in (None, 6, 6, 7))
    assert [len(s) for s in (whole, first, other)] == [18, 6, 7]
    keys = [data_key("pope", samples) for samples in (whole, first, other)]
    assert len(set(keys)) == 3 and data_key("pope", again) == keys[1]
    assert {sample.data["split"] for sample in first} == {"random", "popular"}
    assert load(Pope(), tmp_path, 18).samples == whole
