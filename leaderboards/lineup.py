"""Which runs are one method's seeds, which is their base, and which belong into one panel.

A store may hold alignments of several models, on several sets of pairs, with several settings. Nothing but the seed may
differ between runs that are averaged.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.store import AlignmentRecord, EvaluationRecord, Store
from leaderboards.condition import newest

BASE = "base"
"""The row of the model that the alignments of a panel started from, whatever its run is called."""

HOW = frozenset(
    {
        *("method", "seed", "model", "data", "heldout"),
        *("device", "micro_batch", "gradient_checkpointing", "route", "attention", "sharding", "workers", "clip_batch"),
        *("checkpoint_every", "probe_every", "merge", "skip_bad_rows"),
    }
)
"""Settings of an alignment that say how and of what, but do not tell two ways of training apart."""


@dataclass(frozen=True)
class Lineup:
    """The alignments of a store under the panel and method that tables name them by, and each panel's base model."""

    alignments: Mapping[str, AlignmentRecord]
    bases: Mapping[str, str]

    @property
    def panels(self) -> list[str]:
        """The panels in the order of their first run."""
        return list(dict.fromkeys(a.panel for a in self.alignments.values())) or [""]

    def label(self, evaluation: EvaluationRecord, panel: str) -> str | None:
        """The row of ``panel`` that an evaluation belongs to, None for none.

        A model that was not aligned here belongs to every panel, unless it is another panel's base. An evaluation of a
        run that was aligned anew since belongs to none: it is of another model.
        """
        alignment = self.alignments.get(evaluation.alignment or "")
        if alignment is not None:
            return alignment.method if alignment.panel == panel and not self.outdated(evaluation) else None
        model = _model(evaluation.model)
        if model == self.bases.get(panel):
            return BASE
        return None if model in self.bases.values() else evaluation.run

    def outdated(self, evaluation: EvaluationRecord) -> bool:
        """Whether its run was aligned anew, with other settings, after it."""
        alignment = self.alignments.get(evaluation.alignment or "")
        return alignment is not None and evaluation.created < alignment.created

    def unaligned(self, evaluation: EvaluationRecord) -> str:
        """The row of a model that was not aligned here, in whichever panel it stands."""
        return BASE if _model(evaluation.model) in self.bases.values() else evaluation.run

    def key(self, evaluation: EvaluationRecord, panel: str) -> str:
        """What stands for an evaluation's model in ``panel``: its run, or BASE."""
        return BASE if self.label(evaluation, panel) == BASE else evaluation.run


def standing(evaluations: Sequence[EvaluationRecord], names: Lineup) -> list[EvaluationRecord]:
    """The evaluations that tables are made of: of each run under each condition the newest, none outdated."""
    current = [evaluation for evaluation in evaluations if not names.outdated(evaluation)]
    kept = {e.id for group in newest(current, lambda e: e.run).values() for e in group.values()}
    return [evaluation for evaluation in current if evaluation.id in kept]


def to_repeat(store: Store) -> dict[str, list[str]]:
    """By run the benchmarks whose only evaluations are of the model that the run was before it was aligned anew."""
    names, found = lineup(store.alignments()), store.evaluations()
    current = {(e.run, e.benchmark) for e in found if not names.outdated(e)}
    missing: dict[str, list[str]] = defaultdict(list)
    for run, benchmark in dict.fromkeys((e.run, e.benchmark) for e in found if names.outdated(e)):
        if (run, benchmark) not in current:
            missing[run].append(benchmark)
    return missing


def lineup(alignments: Sequence[AlignmentRecord]) -> Lineup:
    """The alignments, oldest first, under the names that tables give them.

    Runs with other settings than the first add to the name what differs ("dpo lr=1e-05"); a label that a recipe or the
    user gave is kept. Runs from another model make a panel of their own ("model NAME"), and so do runs on
    other pairs ("data NAME") unless the user named their panel.
    """
    grouped: dict[str, list[AlignmentRecord]] = defaultdict(list)
    for alignment in alignments:
        grouped[alignment.panel].append(alignment)
    named = {a.name: replace(a, panel=title) for group in grouped.values() for title, a in _panels(group)}
    members: dict[str, list[AlignmentRecord]] = defaultdict(list)
    for alignment in alignments:
        members[named[alignment.name].panel].append(named[alignment.name])
    labelled = {a.name: replace(a, method=label) for group in members.values() for label, a in _methods(group)}
    found = {alignment.name: labelled[alignment.name] for alignment in alignments}
    bases = {a.panel: _model(a.config["model"]) for a in found.values() if a.config.get("model")}
    return Lineup(found, bases)


def _panels(group: Sequence[AlignmentRecord]) -> list[tuple[str, AlignmentRecord]]:
    """Alignments of one panel name, each with the panel it belongs to."""
    titles = [a.panel for a in group]
    for name in ("model",) if group[0].panel else ("model", "data"):
        values = [str(a.config.get(name)) for a in group]
        short = _short(values)
        if len(short) > 1:
            titles = [f"{title} · {name} {short[value]}" for title, value in zip(titles, values, strict=True)]
    return [(title.removeprefix(" · "), a) for title, a in zip(titles, group, strict=True)]


def _methods(group: Sequence[AlignmentRecord]) -> list[tuple[str, AlignmentRecord]]:
    """Alignments of one panel, each with its row's name.

    How all methods were trained is told against the panel's first finished run, an objective's own settings against the
    method's first: so a comparison under different learning rates shows.
    """
    first: dict[str, Mapping[str, Any]] = {}
    names: dict[str, str] = {}
    taken: set[tuple[str, int]] = set()
    for alignment in sorted(group, key=lambda a: a.status != "done"):
        label = alignment.method
        if label == alignment.config.get("method"):  # else it was given: what it stands for is the giver's business
            training, own = _settings(alignment.config)
            told = _differing(training, first.setdefault("", training))
            told |= _differing(own, first.setdefault(label, own))
            label = " ".join([label, *(f"{name}={value}" for name, value in told.items())])
            if (label, alignment.seed) in taken:
                label += f" run={alignment.name}"  # the same once more: no seed of its own
            taken.add((label, alignment.seed))
        names[alignment.name] = label
    return [(names[alignment.name], alignment) for alignment in group]


def _settings(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What all methods are trained with, and the objective's and hardness's own; paths by their last part."""
    known = {k: Path(v).name if isinstance(v, str) and "/" in v else v for k, v in _flat(config) if k not in HOW}
    return {k: v for k, v in known.items() if k in config}, {k: v for k, v in known.items() if k not in config}


def _flat(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield name, value


def _differing(settings: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """The ``settings`` that were others ``first``; one that an older version did not record says nothing."""
    return {k: v for k, v in settings.items() if k in first and v != first[k]}


def _short(names: Sequence[str]) -> dict[str, str]:
    """Every path or hub id by its last part, or whole where that does not tell it from the others."""
    last = {name: Path(name).name for name in dict.fromkeys(names)}
    return last if len(set(last.values())) == len(last) else {name: name for name in last}


@lru_cache
def _model(spec: str) -> str:
    """A model's directory or hub id as two ways of writing it have in common."""
    target = spec.removeprefix("hf:")
    return str(Path(target).resolve()) if Path(target).exists() else os.path.normpath(target)
