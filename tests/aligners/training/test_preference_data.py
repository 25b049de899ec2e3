"""The order of training, and the data columns that an objective reads."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest
from torch import Tensor

from aligners.dpo import Dpo
from aligners.mdpo import Mdpo
from aligners.objective import Batch
from aligners.pairs.data import load_pairs
from aligners.pairs.report import described
from aligners.training.config import AlignConfig
from aligners.training.order import training_order
from aligners.training.preference_data import training_pairs
from aligners.training.probes import spread
from harness.errors import DataError, UsageError
from harness.protocols.progress import silent
from tests.aligners.training.runs import Bench
from tests.tiny import tiny_pairs


def test_the_seed_alone_decides_the_order(pairs_file: Path) -> None:
    pairs = load_pairs(pairs_file).pairs
    order = training_order(pairs, batch_size=12, epochs=2, seed=3)
    assert order == training_order(pairs, batch_size=12, epochs=2, seed=3)
    assert order != training_order(pairs, batch_size=12, epochs=2, seed=4)
    assert len(order) == 60  # 64 // 12 = 5 whole steps
    assert len(training_order(pairs[:3], batch_size=8, epochs=1, seed=0)) == 8
    assert [pair.id for pair in spread(pairs, 4)] == ["0", "8", "16", "24"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadsScore(Dpo):
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "column:score"})

    def losses(self, batch: Batch, beta: Tensor) -> Tensor:
        return super().losses(batch, beta * (1 + batch.columns["score"]))


def test_objectives_read_data_columns_and_their_absence_is_an_error(bench: Bench, tmp_path: Path) -> None:
    assert bench.run(ReadsScore(), "column").steps == 4
    file = tiny_pairs(tmp_path / "data", count=4)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "score"}) for row in rows))
    with pytest.raises(UsageError, match="data column 'score'"):
        bench.run(ReadsScore(), "bare", data=str(file))


def test_what_is_left_out_is_in_the_report_and_corrupted_images_need_images(tmp_path: Path) -> None:
    file = tiny_pairs(tmp_path, count=4)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1].pop("image")
    rows[2]["image"] = "gone.png"
    file.write_text("\n".join(map(json.dumps, rows)))
    config = AlignConfig(model="", data=str(file), method="mdpo", skip_bad_rows=True)
    said = "; ".join(described(training_pairs(config, silent).report))
    assert re.match(r"3 pairs; 1 without an image; dropped 1 \(first: .* line 3\): image: no such", said)
    with pytest.raises(DataError, match=r"1 pairs have no image \(first: 1\), and mdpo trains on corrupted images"):
        training_pairs(config, silent, Mdpo.needs)
