"""What is said of a set of pairs: how many, of what kind, and which rows were left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aligners.pairs.pair import Pair

COUNTED = {
    "without_image": "without an image", "several_images": "with several images", "several_turns": "with several turns",
    "with_prefix": "with a given beginning of the answers",
    "responses_cut": "of which a response is cut at max_length",
}  # fmt: skip
"""Counts of a report that are shown where they are not 0."""


def report_of(
    source: str | Path,
    notes: Sequence[str],
    pairs: Sequence[Pair],
    repeated: int,
    dropped: Mapping[str, list[str]],
    changes: Mapping[Path | None, Sequence[str]],
) -> dict[str, Any]:
    """Counts of ``pairs`` of ``source``; ``repeated`` ids; rows ``dropped`` by reason, each by its place; what opening
    its images ``changes`` of them, by their files.
    """
    files = {image.path for pair in pairs for image in pair.images}
    changed = Counter(change for file in files for change in changes.get(file, ()))
    words = [[len(text.split()) for text in (pair.chosen, pair.rejected)] for pair in pairs]
    return {
        "source": str(source),
        "pairs": len(pairs),
        "chosen_words": sum(w for w, _ in words) / len(pairs),
        "rejected_words": sum(w for _, w in words) / len(pairs),
        "duplicate_ids": repeated,
        "without_image": sum(not pair.images for pair in pairs),
        "several_images": sum(len(pair.images) > 1 for pair in pairs),
        "several_turns": sum(len(pair.prompt) > 1 for pair in pairs),
        "with_prefix": sum(bool(pair.prefix) for pair in pairs),
        **({"images_changed": dict(sorted(changed.items()))} if changed else {}),
        "notes": list(notes),
        "dropped": counted(dropped),
    }


def counted(dropped: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """How many rows were dropped for each reason, and the first of them."""
    return {reason: {"rows": len(places), "first": places[:3]} for reason, places in dropped.items()}


def left_out(dropped: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What was dropped (``counted``) in phrases, one a reason."""
    return [f"dropped {each['rows']} (first: {each['first'][0]}): {reason}" for reason, each in dropped.items()]


def described(report: Mapping[str, Any]) -> list[str]:
    """What a ``report`` says of the pairs that a user should know before hours of training, in phrases."""
    lines = [f"{report['pairs']} pairs", *report.get("notes", ())]
    lines += [f"{report[name]} {what}" for name, what in COUNTED.items() if report.get(name)]
    lines += [
        f"{count} image{'s' * (count > 1)} {change}" for change, count in report.get("images_changed", {}).items()
    ]
    if len(report["dropped"]) > 1:
        lines.append(f"{sum(each['rows'] for each in report['dropped'].values())} rows are left out in all")
    return lines + left_out(report["dropped"])
