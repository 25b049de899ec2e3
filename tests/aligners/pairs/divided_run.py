"""What is computed of the pairs before the first step, by one process or several, with counts of what each did."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from aligners.pair_hardness import clip as clip_module
from aligners.pair_hardness import hardness
from aligners.pair_hardness.clip import ClipModel
from aligners.pair_hardness.hardness import HardnessConfig, compute_hardness
from aligners.pair_hardness.splitter import SplitError, Splitter
from aligners.pairs.data import load_pairs
from aligners.pairs.encoding import Encoded, Encoder
from aligners.pairs.reference import Reference, ReferenceModel
from harness.errors import HarnessError
from harness.models.prompts import Prompts
from harness.protocols.progress import Progress, silent
from tests.tiny import load_tiny


class FailsOn(Splitter):
    """Cannot split one text, which one process alone is given."""

    name = "fails"

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def split(self, texts: Sequence[str], progress: Progress = silent) -> list[list[str]]:
        if self.text in texts:
            raise SplitError(list(texts).index(self.text), "no list")
        return [[text] for text in texts]


class CountedClip(ClipModel):
    """Notes how many images and texts this process embeds."""

    images, texts = 0, 0

    def _embed_pixels(self, pixels: Any) -> Any:
        CountedClip.images += len(pixels)
        return super()._embed_pixels(pixels)

    def _embed_tokens(self, tokens: Any) -> Any:
        CountedClip.texts += len(tokens)
        return super()._embed_tokens(tokens)


class CountedReference(ReferenceModel):
    """Notes the tokens of the pairs that this process runs."""

    ran: list[int]

    def _forward(self, encoded: Sequence[Encoded]) -> list[Reference]:
        rows = super()._forward(encoded)
        self.ran += [int(row.lengths.sum()) for row in rows]
        return rows


def prepared(model: str, data: str, clip: str, workers: int = 0) -> dict[str, Any]:
    """Hardness and reference of the pairs in ``data``, and what this process did of them."""
    torch.set_num_threads(1)
    clip_module.ClipModel = CountedClip  # type: ignore[misc]
    CountedClip.images = CountedClip.texts = 0
    pairs = load_pairs(data).pairs
    config = HardnessConfig(clip=clip, clip_batch=4)
    scored = compute_hardness(pairs, config, workers=workers)
    loaded, processor = load_tiny(Path(model))
    reference = CountedReference(
        loaded,
        Encoder(Prompts(processor), 64),
        route="shared",
        dtype="float32",
        device=torch.device("cpu"),
        micro_batch=2,
        workers=workers,
    )
    reference.ran = []
    values, cached = reference.logprobs(pairs)
    ran, reference.ran = reference.ran, []
    again, again_cached = reference.logprobs(pairs[3:9])
    return {
        "delta": scored.delta,
        "record": scored.record,
        "images": CountedClip.images,
        "texts": CountedClip.texts,
        "tokens": values.tokens.tolist(),
        "lengths": values.lengths.tolist(),
        "cached": [cached, again_cached],
        "again": torch.equal(again.sums, values.sums[3:9]),
        "ran": ran,
    }


def refused(data: str, clip: str) -> str:
    """What is said where the process that has a text to split cannot."""
    pairs = load_pairs(data).pairs
    hardness.make_splitter = lambda config: FailsOn(pairs[5].rejected)  # type: ignore[misc,assignment]
    try:
        compute_hardness(pairs, HardnessConfig(clip=clip))
    except HarnessError as error:
        return str(error)
    return "nothing"


if __name__ == "__main__":
    model, data, clip, out = sys.argv[1:]
    state = PartialState(cpu=True)
    found = {**prepared(model, data, clip), "refused": refused(data, clip)}
    Path(f"{out}.{state.process_index}.json").write_text(json.dumps(found))
