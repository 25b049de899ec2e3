"""Reward gaps of probe pairs as they are stored, and which of the pairs are hard, middling and easy for CLIP."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.store import AlignmentRecord
from leaderboards.snapshot import Snapshot

TERCILES = ("hard", "middle", "easy")


def terciles(deltas: Mapping[str, float]) -> dict[str, str]:
    """Pair id -> "hard", "middle" or "easy", by hardness delta (larger: easier for CLIP).

    Three sets as equal as can be; ties are split by pair id, so that every run splits alike.
    """
    order = sorted(deltas, key=lambda pair: (deltas[pair], pair))
    return {pair: TERCILES[3 * i // len(order)] for i, pair in enumerate(order)}


def finite_gaps(snapshot: Snapshot, name: str) -> list[tuple[int, str, str, float]]:
    """The gaps of an alignment that are numbers: those of a training that diverged are stored as nothing."""
    return [gap for gap in snapshot.gaps(name) if gap[3] is not None and math.isfinite(gap[3])]


def hardness_of(
    snapshot: Snapshot, alignment: AlignmentRecord, others: Sequence[AlignmentRecord], split: str
) -> dict[str, float]:
    """Hardness of the pairs of ``alignment``, its own or that of another run of its panel (of its seed first)."""
    # The control that permutes hardness over the pairs says nothing about which pairs are hard.
    usable = [a for a in others if a.panel == alignment.panel and not _permuted(a.config)]
    for candidate in sorted(usable, key=lambda a: (a.name != alignment.name, a.seed != alignment.seed)):
        stored = snapshot.pair_hardness(candidate.name, split)
        known = {pair: delta for pair, delta in stored.items() if delta is not None and math.isfinite(delta)}
        if known:
            return known
    return {}


def _permuted(config: Mapping[str, Any]) -> bool:
    """Whether ``permute_seed`` is set, at the top of the settings or in a section of them."""
    sections = [config, *(section for section in config.values() if isinstance(section, Mapping))]
    return any(section.get("permute_seed") is not None for section in sections)


def probed(deltas: Mapping[str, float], gaps: Sequence[tuple[int, str, str, float]], split: str) -> dict[str, float]:
    """The hardness of the pairs whose gaps were logged: the terciles are of these."""
    probed = {pair for _, of_split, pair, _ in gaps if of_split == split}
    return {pair: delta for pair, delta in deltas.items() if pair in probed}
