"""Encoded pairs in memory: what the reference, the probes, an earlier epoch or run encoded is not encoded again."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from aligners.pairs.data import Pair
from aligners.pairs.encoding import Encoded, Encoder
from harness.models.inputs import Vision
from harness.protocols.conversation import Image

GIGABYTE = 10**9


class KeptPairs:
    """Encoded pairs by their content, up to ``limit`` bytes of tensors; pairs of one image hold it once.

    The first that fit stay: epochs pass over all pairs, so that a set that never changes is found in every epoch, where
    one that drops the least recently used would never be.
    """

    def __init__(self, limit: float) -> None:
        self.limit, self.size = limit, 0
        self.encoded = 0  # how many pairs were not found
        self._pairs: dict[tuple[str, str, bool], Encoded] = {}
        self._images: dict[tuple[Image, ...], Vision] = {}

    def __reduce__(self) -> tuple[type[KeptPairs], tuple[float]]:
        return KeptPairs, (self.limit,)  # another process begins with nothing

    def __call__(self, index: int, pair: Pair, encode: Callable[[int, Pair], Encoded]) -> Encoded:
        """``pair`` as pair ``index``: kept, or by ``encode``, whose errors are raised and not kept."""
        key = (pair.content, pair.prefix, pair.ends)
        found = self._pairs.get(key)
        if found is None:
            self.encoded += 1
            found = self._keep(key, pair, encode(index, pair))
        if get_worker_info() is not None:  # what leaves a worker lies in shared memory, which is small
            found = _copied(found)
        return dataclasses.replace(found, index=index, id=pair.id)

    def _keep(self, key: tuple[str, str, bool], pair: Pair, made: Encoded) -> Encoded:
        known = self._images.get(pair.images)
        if known is not None and _equal(known, made.vision):
            made = dataclasses.replace(made, vision=known)
        size = _bytes(made.prefix, made.chosen, made.rejected, *made.marks.values(), *made.corrupted.values())
        size += 0 if made.vision is known else _bytes(*made.vision.values())
        if self.size + size <= self.limit:
            self.size += size
            self._pairs[key] = made
            self._images.setdefault(pair.images, made.vision)
        return made


@functools.lru_cache(1)
def of_process(encoder: str, limit: float) -> KeptPairs:
    """The pairs that this process keeps of an encoder that is named: a run finds those of the run before it.

    Another encoder, or another ``limit``, takes their place.
    """
    return KeptPairs(limit)


@dataclasses.dataclass
class KeepingEncoder(Encoder):
    """An encoder that encodes no pair twice while ``kept`` has room."""

    kept: KeptPairs = dataclasses.field(default_factory=lambda: KeptPairs(0))

    @classmethod
    def of(cls, encoder: Encoder, limit: float) -> KeepingEncoder:
        """``encoder`` with what this process keeps of its pairs, up to ``limit`` bytes.

        What is more than half full is dropped: other pairs than those of the run before may be coming.
        """
        name = encoder.whole_identity
        kept = of_process(name, limit) if name else KeptPairs(limit)
        if 2 * kept.size > limit:
            of_process.cache_clear()
            kept = of_process(name, limit)
        return cls(encoder.prompts, encoder.max_length, encoder.corruption, kept)

    def __call__(self, index: int, pair: Pair) -> Encoded:
        """As ``Encoder``."""
        return self.kept(index, pair, super().__call__)


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def _equal(one: Vision, other: Vision) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _copied(pair: Encoded) -> Encoded:
    return dataclasses.replace(
        pair,
        prefix=pair.prefix.clone(),
        chosen=pair.chosen.clone(),
        rejected=pair.rejected.clone(),
        vision=_clones(pair.vision),
        marks=_clones(pair.marks),
        corrupted=_clones(pair.corrupted),
    )


def _clones(tensors: Vision) -> Vision:
    return {name: tensor.clone() for name, tensor in tensors.items()}
