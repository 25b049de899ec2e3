"""Alignments of the tiny model under one cache, and what tests read off them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor

from aligners.dama import Dama
from aligners.objective import Objective
from aligners.training.config import AlignConfig
from aligners.training.pipeline import AlignResult, align


@dataclasses.dataclass
class Notes:
    """A recorder that keeps everything; ``stop_at`` plays the machine that dies."""

    stop_at: int | None = None
    steps: dict[int, dict[str, float]] = dataclasses.field(default_factory=dict)
    gaps: dict[tuple[int, str], list[tuple[str, float]]] = dataclasses.field(default_factory=dict)
    info: dict[str, Any] = dataclasses.field(default_factory=dict)

    def log_step(self, step: int, metrics: Mapping[str, float]) -> None:
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.steps[step] = dict(metrics)

    def log_gaps(self, step: int, split: str, gaps: Sequence[tuple[str, float]]) -> None:
        self.gaps[step, split] = list(gaps)

    def log_hardness(self, split: str, deltas: Mapping[str, float]) -> None:
        self.info[f"delta_{split}"] = dict(deltas)

    def log_info(self, values: Mapping[str, Any]) -> None:
        self.info.update(values)


@dataclasses.dataclass
class Bench:
    """Runs alignments of the tiny model under one cache."""

    base: AlignConfig
    folder: Path

    def run(
        self, objective: Objective, name: str, notes: Notes | None = None, *, resume: bool = False, **changes: Any
    ) -> AlignResult:
        config = dataclasses.replace(self.base, **changes)
        return align(config, objective, notes or Notes(), self.folder / name, hardness=None, resume=resume)


def weights(result: AlignResult) -> dict[str, Tensor]:
    return load_file(next(result.model_dir.glob("*.safetensors")))


def distance(one: AlignResult, other: AlignResult) -> float:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    return max((a[name] - b[name]).abs().max().item() for name in a)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DamaOfScores(Dama):
    """Dama whose hardness is each pair's place in the step's order: no CLIP, and a changed order would show."""

    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def compute_weights(self, step: Any, state: Any) -> Any:
        delta = torch.linspace(-1, 1, step.size, dtype=torch.float64)
        return super().compute_weights(dataclasses.replace(step, delta=delta), state)
