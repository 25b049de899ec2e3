"""Hardness of preference pairs: how much better CLIP finds the chosen response than the rejected one.

Source: DAMA (arXiv 2502.01943), data-aware half. The CLIP, the splitter and the aggregation are our readings where the
paper's text leaves them open; all stand in the record, so that a run can be repeated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from aligners.pair_hardness.aggregation import Aggregation, aggregate
from aligners.pair_hardness.clip_files import content_hash, files_hash
from aligners.pair_hardness.splitter import SPLITTERS, SplitError, Splitter, split_in_shares
from harness.errors import DataError, HarnessError, UsageError
from harness.protocols.conversation import Image
from harness.protocols.progress import Progress, silent
from harness.util.caches import discard
from harness.util.distributed import rank_and_world_size
from harness.util.division import agreed, in_rounds, read_ahead, share
from harness.util.files import read_object, write_text
from harness.util.options import added, content_key
from harness.util.paths import cache_dir
from harness.util.ranges import at_least, require_ranges

if TYPE_CHECKING:
    from aligners.pair_hardness.clip import ClipModel

READ = 64  # images at a time


class Pair(Protocol):
    """What hardness needs to know of a preference pair."""

    @property
    def id(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def chosen(self) -> str: ...
    @property
    def rejected(self) -> str: ...
    @property
    def images(self) -> Sequence[Image]: ...


@dataclass(frozen=True, kw_only=True)
class HardnessConfig:
    """Everything that determines the hardness of a set of pairs, with the CLIP's weights.

    Args:
        clip: an open_clip model (NAME/PRETRAINED, hf-hub:ID or local-dir:DIR). An objective that needs no hardness
            takes it for the report's charts of hardness alone, where its weights are here, and downloads none.
        splitter: what cuts a response into pieces: "rule" works offline, "llm" asks a model; see `list splitters`.
        aggregation: how the pieces' similarities become one delta; "whole" does not cut the response.
        splitter_model: the model that the splitter "llm" asks.
        splitter_base_url: its endpoint; None: as of the judge openai:.
        splitter_api_key_env: the environment variable that holds the key of ``splitter_base_url``; "" for
            ``OPENAI_API_KEY`` where the endpoint is OpenAI's, and none on this machine or network.
        permute_seed: a control: the deltas are dealt to other pairs at random.
        clip_batch: images or texts a forward pass.
    """

    clip: str = "ViT-L-14-336/openai"
    splitter: str = "rule"
    aggregation: Aggregation = "softmax"
    splitter_model: str = ""
    splitter_base_url: str | None = None
    splitter_api_key_env: str = added("")
    permute_seed: Annotated[int, at_least(0)] | None = None
    clip_batch: Annotated[int, at_least(1, "images or texts")] = 64

    def __post_init__(self) -> None:
        if SPLITTERS.get(self.splitter).needs_model and not self.splitter_model:
            raise UsageError(f"splitter={self.splitter} needs the name of a model: --set splitter_model=NAME.")
        require_ranges(self, "hardness")


@dataclass(frozen=True)
class Hardness:
    """delta of each pair in the order given, their mean, and the record of how they were made.

    A pair without an image has the mean of the others, so that its aD is 1 and its beta the method's own (our reading:
    the paper's pairs all have one image).
    """

    delta: list[float]
    delta_mean: float
    record: dict[str, Any]


def make_splitter(config: HardnessConfig) -> Splitter:
    """The splitter that ``config`` names."""
    splitter = SPLITTERS.get(config.splitter)(config.splitter_model, config.splitter_base_url)
    splitter.api_key_env = config.splitter_api_key_env
    return splitter


def loaded_clip(config: HardnessConfig, device: str | torch.device = "cpu", progress: Progress = silent) -> ClipModel:
    """The CLIP that ``config`` names. Raises UsageError where it cannot be loaded."""
    from aligners.pair_hardness.clip import ClipModel

    progress("CLIP weights", 0, 1)
    clip = ClipModel(config.clip, device, config.clip_batch)
    progress("CLIP weights", 1, 1)
    return clip


def compute_hardness(
    pairs: Sequence[Pair],
    config: HardnessConfig,
    device: str | torch.device = "cpu",
    progress: Progress = silent,
    *,
    workers: int = 0,
    clip: ClipModel | None = None,
) -> Hardness:
    """Hardness of ``pairs``, from the cache where the same CLIP has scored the same pairs in the same way before.

    Every process of a run calls it with the same pairs, does its share of the work, and gets what one alone would get.

    Args:
        progress: called as pairs are looked up, split and embedded.
        workers: processes that read and decode images while the CLIP computes.
        clip: the CLIP of ``config`` if it is loaded already (``loaded_clip``).

    Raises:
        DataError: there is no pair with an image, or a response is empty. HarnessError: a response cannot be split
            (names the pair).
    """
    if not any(pair.images for pair in pairs):
        raise DataError(f"Hardness of {len(pairs)} pairs without an image: expected at least one pair with an image.")
    clip = clip or loaded_clip(config, device, progress)
    splitter = make_splitter(config)
    said = {"clip_files": files} if (files := files_hash(config.clip)) else {}
    digests = _digests(pairs, workers, progress)
    path = cache_dir("hardness") / f"{_key(pairs, config, clip, splitter, digests)}.json"
    # The first process decides and reads, so that processes never disagree about whether to compute.
    hardness = agreed(_known(path, len(pairs)) if (first := rank_and_world_size()[0] == 0) else None)
    if hardness is None:
        scored = _score(pairs, config, clip, splitter, digests, workers, progress)
        hardness = agreed(_permuted(scored, config.permute_seed) if scored else None)
        assert hardness is not None, "the first process scores"
        if first:
            write_text(path, json.dumps(asdict(hardness)))
    return replace(hardness, record={**hardness.record, **said})


def _known(file: Path, pairs: int) -> Hardness | None:
    """What an earlier run computed; a file that does not hold a finite number for each of the ``pairs`` is removed."""
    if not file.exists():
        return None
    try:
        found = Hardness(**read_object(file, "the hardness of pairs"))
        mean = math.fsum(found.delta) / pairs
        if len(found.delta) != pairs or not math.isclose(mean, found.delta_mean, rel_tol=1e-6, abs_tol=1e-9):
            raise ValueError(
                f"{len(found.delta)} numbers of mean {mean:g}, {pairs} of mean {found.delta_mean:g} expected"
            )
        if not isinstance(found.record, dict):
            raise TypeError("its record is none")
    except (DataError, TypeError, ValueError, ZeroDivisionError) as error:
        discard(file, str(error))
        return None
    return found


def _digests(pairs: Sequence[Pair], workers: int, progress: Progress) -> dict[Image, str]:
    """The content hash of each image, of which every process reads its share."""
    images = list(dict.fromkeys(image for pair in pairs for image in pair.images))
    parts = [images[start : start + READ] for start in range(0, len(images), READ)]
    mine = [parts[number] for number in share(len(parts))]
    ahead = read_ahead(mine, lambda part: [content_hash(image.read()) for image in part], workers)
    found: dict[Image, str] = {}
    for number, digests in in_rounds(len(parts), lambda _: next(ahead)):
        found.update(zip(parts[number], digests, strict=True))
        progress("CLIP: looking for known hardness", len(found), len(images))
    return found


def _key(
    pairs: Sequence[Pair], config: HardnessConfig, clip: ClipModel, splitter: Splitter, digests: Mapping[Image, str]
) -> str:
    data = [(pair.chosen, pair.rejected, *(digests[image] for image in pair.images)) for pair in pairs]
    return content_key("hardness-1", clip.identity, splitter.name, config.aggregation, config.permute_seed, data)


def _score(
    pairs: Sequence[Pair],
    config: HardnessConfig,
    clip: ClipModel,
    splitter: Splitter,
    digests: Mapping[Image, str],
    workers: int,
    progress: Progress,
) -> Hardness | None:
    """Hardness in the first process; the others help it and get None."""
    shown = [pair for pair in pairs if pair.images]
    chosen, rejected = _pieces(shown, config, splitter, progress)
    texts = sorted({piece for pieces in (*chosen, *rejected) for piece in pieces})
    text_of = clip.encode_texts({content_hash(text): text for text in texts}, progress)
    by_digest = {digests[image]: image for pair in shown for image in pair.images}
    image_of = clip.encode_images(by_digest, workers, progress)
    truncated = clip.truncated(texts)
    if rank_and_world_size()[0] > 0:
        return None

    def cosines(pieces: list[str], images: Sequence[Image]) -> Tensor:
        """Of each piece with the image that it fits best: a statement about several is true of one of them."""
        features = torch.stack([text_of[content_hash(piece)] for piece in pieces])
        return torch.stack([features @ image_of[digests[image]] for image in images]).amax(0)

    delta = []
    for pieces_w, pieces_l, pair in zip(chosen, rejected, shown, strict=True):
        both = cosines(pieces_w, pair.images), cosines(pieces_l, pair.images)
        delta.append(aggregate(*both, clip.logit_scale, config.aggregation))
    mean = math.fsum(delta) / len(delta)
    counts_w, counts_l = np.array([len(p) for p in chosen]), np.array([len(p) for p in rejected])
    record = {
        "clip": config.clip,
        "clip_identity": clip.identity,
        "logit_scale": clip.logit_scale,
        "splitter": splitter.name if config.aggregation != "whole" else "none",
        "aggregation": config.aggregation,
        "permute_seed": config.permute_seed,
        "pairs": len(pairs),
        "images": len(image_of),
        "delta_mean": mean,
        "pieces_chosen_mean": float(counts_w.mean()),
        "pieces_rejected_mean": float(counts_l.mean()),
        "delta_count_correlation": correlation(np.array(delta), counts_w - counts_l),
        "truncated_texts": truncated,
        "context_length": clip.context_length,
        "summary": _summary(delta),
    }
    if len(shown) < len(pairs):
        record["pairs_without_image"] = len(pairs) - len(shown)
    known = iter(delta)
    return Hardness([next(known) if pair.images else mean for pair in pairs], mean, record)


def _pieces(
    pairs: Sequence[Pair], config: HardnessConfig, splitter: Splitter, progress: Progress
) -> tuple[list[list[str]], list[list[str]]]:
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    for index, text in enumerate(texts):
        if not text.strip():
            raise DataError(f"Pair {pairs[index // 2].id}: the {_side(index)} response is empty; CLIP cannot score it.")
    if config.aggregation == "whole":
        return [[pair.chosen] for pair in pairs], [[pair.rejected] for pair in pairs]
    try:
        pieces = split_in_shares(splitter, texts, progress)
    except SplitError as error:
        pair = pairs[error.index // 2]
        raise HarnessError(f"Pair {pair.id}, {_side(error.index)} response: {error}") from error
    return pieces[0::2], pieces[1::2]


def _side(index: int) -> str:
    return "rejected" if index % 2 else "chosen"


def _permuted(hardness: Hardness, seed: int | None) -> Hardness:
    if seed is None:
        return hardness
    order = np.random.default_rng(seed).permutation(len(hardness.delta))
    return Hardness([hardness.delta[index] for index in order], hardness.delta_mean, hardness.record)


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Pearson's r, or None where one of them does not vary."""
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _summary(delta: list[float]) -> dict[str, Any]:
    """Quantiles and a histogram of 20 bins between the extremes."""
    counts, edges = np.histogram(delta, bins=20)
    quantiles = {f"q{q:02d}": float(np.percentile(delta, q)) for q in (5, 25, 50, 75, 95)}
    spread = float(np.std(delta))
    return {
        "min": min(delta),
        "max": max(delta),
        "std": spread,
        **quantiles,
        "counts": counts.tolist(),
        "edges": edges.tolist(),
    }
