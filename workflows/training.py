"""The training of a resolved alignment, in whichever process it is to happen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.protocols.progress import Progress
from harness.protocols.recorder import Recorder
from workflows.align_spec import AlignSpec

if TYPE_CHECKING:
    from aligners.pairs.data import PairSet


def heldout_of(spec: AlignSpec, progress: Progress) -> PairSet | None:
    """The pairs that are only measured; None where there are none."""
    from aligners.pairs.data import load_pairs

    def held_out(step: str, done: int, total: int, note: str = "") -> None:
        progress(f"held-out {step}", done, total, note)

    if not spec.heldout:
        return None
    reading = spec.train.of_other_data
    return load_pairs(spec.heldout, skip_bad=spec.train.skip_bad_rows, reading=reading, progress=held_out)


def train(
    spec: AlignSpec,
    recorder: Recorder,
    out: Path,
    *,
    heldout: PairSet | None,
    resume: bool,
    probe: bool,
    progress: Progress,
) -> Path:
    """Train ``spec`` in this process, as one of all that a launcher started; returns the model's directory."""
    from aligners.training.pipeline import align as trained

    result = trained(
        spec.train, spec.objective, recorder, out,
        hardness=spec.hardness, heldout=heldout, name=spec.name, resume=resume, probe=probe, progress=progress,
    )  # fmt: skip
    return result.model_dir
