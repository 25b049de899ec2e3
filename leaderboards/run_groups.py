"""Which runs are one method's seeds, which is their base, and which belong into one panel.

A store may hold alignments of several models, on several sets of pairs, with several settings. Nothing but the seed may
differ between runs that are averaged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.models.sources import parts
from harness.models.spec import last_parts, model_id
from harness.store import AlignmentRecord, EvaluationRecord
from leaderboards.condition import condition_of, newest

DPO = "dpo"
BASE = "base"
"""The row of the model that the alignments of a panel started from, whatever its run is called."""

METHOD_ORDER = (BASE, DPO, "hardness", "gap", "dama")
"""Rows come in this order, then the others by name, each followed by its variants ("gap variant=code")."""

REFERENCES = (DPO, BASE)
"""Every row is compared with these."""

EXECUTION_SETTINGS = frozenset(
    {
        *("method", "seed", "model", "data", "heldout"),
        *("device", "micro_batch", "gradient_checkpointing", "route", "attention", "sharding", "workers", "clip_batch"),
        *("checkpoint_every", "probe_every", "merge", "skip_bad_rows", "report_to"),
    }
)
"""Settings of an alignment that say how and of what; two runs that differ in nothing else are trained alike."""


def training_times(alignments: Sequence[AlignmentRecord]) -> dict[str, float]:
    """Seconds of training by run, to be compared: of the optimiser steps alone, or of every whole run where one of them
    does not say the former (older, or resumed)."""
    alone = {a.name: a.training_seconds for a in alignments if a.training_seconds is not None}
    return alone if len(alone) == len(alignments) else {a.name: a.seconds for a in alignments}


def method_order(label: str) -> tuple[int, str]:
    """Sorts rows' labels as METHOD_ORDER says."""
    method = label.split(" ", maxsplit=1)[0]
    return METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER), label


@dataclass(frozen=True)
class RunGroups:
    """The alignments of a store under the panel and method that tables name them by, and each panel's base model.

    ``roots``: the model below a panel's base, which may be adapters on it or a run that started from it.
    """

    alignments: Mapping[str, AlignmentRecord]
    bases: Mapping[str, str]
    roots: Mapping[str, str]

    @property
    def panels(self) -> list[str]:
        """The panels of the finished alignments, in the order of their first run."""
        finished = dict.fromkeys(a.panel for a in self.alignments.values() if a.status == "done")
        return list(finished) or list(self.bases) or [""]

    def label(self, evaluation: EvaluationRecord, panel: str) -> str | None:
        """The row of ``panel`` that an evaluation belongs to, None for none.

        A model that was not aligned here belongs to every panel; one that runs were made from, or that has adapters on
        such a model, only to the panels of that model, and another panel's base to none but that one. A run belongs to
        its own panel, and as the base to that of the runs that started from it. An evaluation of a run that was aligned
        anew since belongs to none: it is of another model. One that was given a name (`--name`) is called so.
        """
        alignment, given = self.alignments.get(evaluation.alignment or ""), bool(evaluation.info.get("named"))
        if alignment is not None:
            if self.outdated(evaluation):
                return None
            is_base = alignment.panel != panel and self.bases.get(panel) == f"run:{alignment.name}"
            own = BASE if is_base else alignment.method
            return (evaluation.run if given else own) if is_base or alignment.panel == panel else None
        model = model_id(evaluation.model)
        if model == self.bases.get(panel):
            return evaluation.run if given else BASE
        root = parts(model)[0]
        if model in self.bases.values() or (root in self.roots.values() and root != self.roots.get(panel)):
            return None
        methods = {a.method for a in self.alignments.values() if a.panel == panel and a.status == "done"}
        taken = evaluation.run in methods or (evaluation.run == BASE and panel in self.bases)
        return evaluation.model if taken else evaluation.run  # it is no seed of the method whose name it bears

    def is_own(self, evaluation: EvaluationRecord, panel: str) -> bool:
        """Whether a row of ``panel`` is one of its runs or its base, not a model that is shown beside them."""
        base = self.bases.get(panel)
        return evaluation.alignment in self.alignments or base in (None, model_id(evaluation.model))

    def key(self, evaluation: EvaluationRecord, panel: str) -> str:
        """What stands for an evaluation's model in ``panel``: BASE for its base and for nothing else, or the run."""
        if self.label(evaluation, panel) == BASE:
            return BASE
        return evaluation.model if evaluation.run == BASE else evaluation.run

    def training_seeds(self, evaluations: Sequence[EvaluationRecord]) -> tuple[int | None, ...]:
        """The seed that the model of each was trained with; None of one that was not trained here."""
        aligned = (self.alignments.get(evaluation.alignment or "") for evaluation in evaluations)
        return tuple(None if alignment is None else alignment.seed for alignment in aligned)

    def outdated(self, evaluation: EvaluationRecord) -> bool:
        """Whether its run was aligned anew after it."""
        alignment = self.alignments.get(evaluation.alignment or "")
        return alignment is not None and evaluation.id < alignment.number

    def references(self, panel: str, labels: Sequence[str]) -> dict[str, dict[str, str]]:
        """Of every row the rows it is compared with, by reference (DPO, BASE).

        A method is compared with the DPO that was trained as it was, if there is one; DPO's own variants and models
        that were not aligned here with plain DPO.
        """
        configs = {a.method: a.config for a in self.alignments.values() if a.panel == panel and a.method in labels}
        compared = {}
        for label in labels:
            dpo = self._dpo_of(label, configs, labels)
            rows = {DPO: dpo, BASE: BASE if BASE in labels and label != BASE else None}
            compared[label] = {name: row for name, row in rows.items() if row is not None}
        return compared

    def _dpo_of(self, label: str, configs: Mapping[str, Mapping[str, Any]], labels: Sequence[str]) -> str | None:
        config = configs.get(label, {})
        if label == DPO:
            return None
        if not config or config.get("method") == DPO:
            return DPO if DPO in labels else None
        training = _settings(config)[0]
        alike = [
            row
            for row, other in configs.items()
            if other.get("method", row) == DPO and not _differing(_settings(other)[0], training)
        ]
        wanted = (DPO, f"{DPO} {label.partition(' ')[2]}", *(alike if len(alike) == 1 else ()))
        return next((row for row in wanted if row in alike), None)


def current_evaluations(evaluations: Sequence[EvaluationRecord], names: RunGroups) -> list[EvaluationRecord]:
    """The evaluations that tables are made of: of each run under each condition the newest, none outdated."""
    current = [evaluation for evaluation in evaluations if not names.outdated(evaluation)]
    kept = {e.id for group in newest(current, lambda e: e.run).values() for e in group.values()}
    return [evaluation for evaluation in current if evaluation.id in kept]


def stale_evaluations(evaluations: Sequence[EvaluationRecord], names: RunGroups) -> dict[str, list[str]]:
    """By run the benchmarks some of whose evaluations are of the model that the run was before it was aligned anew."""
    current = {(e.run, condition_of(e)) for e in evaluations if not names.outdated(e)}
    missing: dict[str, dict[str, None]] = defaultdict(dict)
    for e in evaluations:
        if names.outdated(e) and (e.run, condition_of(e)) not in current:
            missing[e.run][e.benchmark] = None
    return {run: list(benchmarks) for run, benchmarks in missing.items()}


def run_groups(alignments: Sequence[AlignmentRecord]) -> RunGroups:
    """The alignments, oldest first, under the names that tables give them.

    Runs with other settings than the first add to the name what differs ("dpo lr=1e-05"); a label that a recipe or the
    user gave is kept. Runs from another model make a panel of their own ("model NAME"), and so do runs on other pairs
    ("data NAME") unless the user named their panel. Only finished runs have a say in this.
    """
    finished = [a for a in alignments if a.status == "done"]
    grouped: dict[str, list[AlignmentRecord]] = defaultdict(list)
    for alignment in finished:
        grouped[alignment.panel].append(alignment)
    named = {a.name: replace(a, panel=title) for group in grouped.values() for title, a in _panels(group)}
    members: dict[str, list[AlignmentRecord]] = defaultdict(list)
    for alignment in finished:
        members[named[alignment.name].panel].append(named[alignment.name])
    labelled = {a.name: replace(a, method=label) for group in members.values() for label, a in _methods(group)}
    shown = {alignment.name: labelled.get(alignment.name, alignment) for alignment in alignments}
    bases = {a.panel: _start(a) for a in labelled.values() if a.config.get("model")}
    return RunGroups(shown, bases, {a.panel: _root(a) for a in labelled.values() if a.config.get("model")})


def _start(alignment: AlignmentRecord) -> str:
    """What an alignment started from: "run:NAME", or a model as ``model_id`` writes it."""
    return f"run:{alignment.parent}" if alignment.parent else model_id(str(alignment.config.get("model")))


def _root(alignment: AlignmentRecord) -> str:
    """The model below what an alignment started from."""
    base = alignment.info.get("lineage", {}).get("base") or alignment.config.get("model")
    return parts(model_id(str(base)))[0]


def _panels(group: Sequence[AlignmentRecord]) -> list[tuple[str, AlignmentRecord]]:
    """Alignments of one panel name, each with the panel it belongs to."""
    titles = [a.panel for a in group]
    for name in ("model",) if group[0].panel else ("model", "data"):
        values = [_start(a) if name == "model" else model_id(str(a.config.get(name))) for a in group]
        short = last_parts(dict.fromkeys(values))
        if len(short) > 1:
            titles = [f"{title} · {name} {short[value]}" for title, value in zip(titles, values, strict=True)]
    return [(title.removeprefix(" · "), a) for title, a in zip(titles, group, strict=True)]


def _methods(group: Sequence[AlignmentRecord]) -> list[tuple[str, AlignmentRecord]]:
    """Alignments of one panel, each with its row's name.

    How all methods were trained is compared with the panel's first run, an objective's own settings with the method's
    first: so a comparison under different learning rates shows.
    """
    paths = {v for a in group for _, v in _flat(a.config) if isinstance(v, str) and "/" in v}
    short = last_parts(paths)
    first: dict[str, Mapping[str, Any]] = {}
    taken: set[tuple[str, int]] = set()
    pairs: dict[str, str] = {}
    named = []
    for alignment in group:
        label = alignment.method
        if label == alignment.config.get("method"):  # else it was given: what it stands for is the giver's business
            training, own = _settings(alignment.config)
            differing = _differing(training, first.setdefault("", training))
            read_as = str([alignment.config.get("data"), *differing.items()])
            differing |= _differing(own, first.setdefault(label, own))
            label = " ".join([label, *(f"{name}={short.get(str(value), value)}" for name, value in differing.items())])
            data = str(alignment.info.get("data", {}).get("hash", ""))
            if data and data != pairs.setdefault(read_as, data):
                label += f" data={data[:6]}"  # the file's pairs were changed in between
            if (label, alignment.seed) in taken:
                label += f" run={alignment.name}"  # the same once more: no seed of its own
            taken.add((label, alignment.seed))
        named.append((label, alignment))
    return named


def _settings(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What all methods are trained with, and the objective's and hardness's own."""
    known = {k: v for k, v in _flat(config) if k not in EXECUTION_SETTINGS}
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
