"""How many of the pictures that a row is asked about its runs were trained on, as `contamination` found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.evaluation.pictures import key_in_results
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards.snapshot import Snapshot

RECORD = "trained_on"
"""The member of a run's record that says, by benchmark, which of its pictures the run's pairs show."""


def entry(keys: Iterable[str], pictures: int, synthetic: str) -> dict[str, Any]:
    """What a run's record says of a benchmark of so many ``pictures``: ``keys`` of those that its pairs show, and of
    made-up data what they are: their pictures are other ones under the same names."""
    return {"keys": sorted(set(keys)), "pictures": pictures, "synthetic": synthetic}


def trained_on(seeds: Mapping[str, EvaluationRecord], snapshot: Snapshot) -> int | None:
    """How many pictures, each once, one of a row's runs was trained on; None where no run was compared."""
    found: set[str] | None = None
    for evaluation in seeds.values():
        known = _known(evaluation, snapshot.every_alignment)
        if known is not None:
            rows = snapshot.samples(evaluation.data_key) if known else []
            asked = {key_in_results(row["grp"] or row["sample_id"], row["image"]) for row in rows}
            found = (found or set()) | (known & asked)
    return None if found is None else len(found)


def _known(evaluation: EvaluationRecord, alignments: Mapping[str, AlignmentRecord]) -> set[str] | None:
    """Keys of the benchmark's pictures that the pairs of a run, or of a run that it started from, show."""
    found: set[str] | None = None
    name, seen = evaluation.alignment or "", {""}
    while name in alignments and name not in seen:
        seen.add(name)
        said = alignments[name].info.get(RECORD, {}).get(evaluation.benchmark)
        if said is not None and said["synthetic"] == evaluation.info.get("synthetic", ""):
            found = (found or set()) | set(said["keys"])
        name = alignments[name].parent or ""
    return found
