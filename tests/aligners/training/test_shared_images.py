"""A run whose pairs share rows of one image, and whose steps are of like lengths, is the same in any micro-batch."""

from __future__ import annotations

import json
from pathlib import Path

from aligners.gap import Gap
from tests.aligners.training.runs import Bench, Notes, distance
from tests.tiny import tiny_pairs


def of_few_images(folder: Path, images: int) -> Path:
    """Pairs of a few images, with two questions."""
    file = tiny_pairs(folder)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {
            "image": rows[number % images]["image"],
            "question": ("describe the image .", "what do you see ?")[number % 2],
        }
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_shared_images_and_like_lengths_train_alike_in_any_micro_batch(bench: Bench, tmp_path: Path) -> None:
    data = str(of_few_images(tmp_path / "data", 8))
    whole, cut = Notes(), Notes()
    one = bench.run(Gap(), "one", whole, micro_batch=16, data=data, share_images=True, group_lengths=True)
    other = bench.run(Gap(), "other", cut, micro_batch=4, data=data, share_images=True, group_lengths=True)
    assert distance(one, other) < 1e-6
    assert "pairs of one image in one row" in whole.info["route"]
    assert whole.steps[4]["loss"] < whole.steps[1]["loss"]
