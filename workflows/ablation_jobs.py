"""The alignments that an ablation's jobs stand for: checked before anything is built, and which are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, unknown_name
from harness.protocols.progress import silent
from harness.store import AlignmentRecord, Store
from workflows.ablation import Ablation, Job
from workflows.benched import Read, is_benched, wanted_of
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.lineage import lookup_run

if TYPE_CHECKING:
    from workflows.align_spec import AlignSpec


def check(
    ablation: Ablation, planned: Sequence[Job], store: Store, device: str, *, only_estimate: bool = False
) -> None:
    """Raise the UsageError that the judge, the benchmarks or a planned run would end in; nothing is built or loaded.

    A run that starts from another run of the same recipe is not looked at: that one may not be there yet. With
    ``only_estimate`` the judge will not be asked, so that it needs no key.
    """
    judges = Judges.of(ablation.judge, {}, ablation.budget, ablation.prices)
    root = None if ablation.data_dir is None else Path(ablation.data_dir)
    judges.check(wanted_of(ablation), root, only_estimate=only_estimate)
    own = {f"run:{job.name}" for job in planned}
    for job in planned:
        _require_twin(store, job, planned)
        if own.isdisjoint(each for each in job.settings.values() if isinstance(each, str)):
            _without_twin(store, job, device)


def _require_twin(store: Store, job: Job, planned: Sequence[Job]) -> None:
    """Raise UsageError where the run that ``job`` takes its beta from is neither planned nor stored."""
    if job.match is None:
        return
    same = [each for each in planned if each.match is None and each.panel == job.panel]
    labels = {each.label for each in same if each.settings["seed"] == job.settings["seed"]}
    if job.match not in labels and not _twins(store, job):
        raise unknown_name("label of ablation recipe to match", job.match, labels)


def resolved(store: Store, job: Job, device: str, *, built: bool = True) -> AlignSpec:
    """The alignment of a job; ``built`` as of ``resolve_alignment``."""
    from workflows.align import resolve_alignment

    return resolve_alignment(settings_of(store, job, device), silent, lookup_run(store), built=built)


def planned(store: Store, job: Job, device: str) -> tuple[AlignSpec, AlignmentRecord | None]:
    """A job's alignment, and its record if it is finished; nothing is built.

    The beta of a control is not known before its twin is done: until then it has no record.
    """
    from workflows.stored_runs import finished

    spec, known = _without_twin(store, job, device)
    return spec, finished(store, spec) if known else None


def _without_twin(store: Store, job: Job, device: str) -> tuple[AlignSpec, bool]:
    """A job's alignment, and whether all of it is known: the beta of a control is not before its twin is done."""
    known = job.match is None or bool(_twins(store, job))
    return resolved(store, job if known else dataclasses.replace(job, match=None), device, built=False), known


def settings_of(store: Store, job: Job, device: str) -> dict[str, Any]:
    """What `align` is given for a job."""
    chosen = {} if device == "auto" and "device" in job.settings else {"device": device}  # a recipe may name one
    settings = {**job.settings, **chosen, "name": job.name, "panel": job.panel, "label": job.label}
    return settings if job.match is None else {**settings, "beta": matched_beta(store, job)}


def is_stored(store: Store, job: Job, device: str, read: Read) -> bool:
    """Whether a job's alignment and all its evaluations are there, so that no worker need look."""
    from workflows.stored_runs import finished

    try:
        record = finished(store, resolved(store, job, device))
    except HarnessError:  # the worker will say why
        return False
    eval_model = EvalModel(job.name, f"run:{job.name}", job.name)
    return record is not None and is_benched(store, eval_model, job.ablation, since=record.number, read=read)


def matched_beta(store: Store, job: Job) -> float:
    """The mean effective beta of the run that ``job`` is a control for: same panel, same seed."""
    twins = _twins(store, job)
    if not twins:
        raise HarnessError(f"{job.name}: no finished run labelled {job.match!r} of its panel and seed to match.")
    betas = [row["beta_mean"] for row in store.train_log(twins[-1].name)]
    return float(sum(betas) / len(betas))


def _twins(store: Store, job: Job) -> list[AlignmentRecord]:
    """The finished runs of the label that a control matches, of its panel and seed."""
    same = [run for run in store.alignments() if (run.method, run.panel) == (job.match, job.panel)]
    return [run for run in same if run.seed == job.settings["seed"] and run.status == "done"]


def kept(store: Store, jobs: Sequence[Job], device: str) -> str:
    """What is done of the planned ``jobs``, and where those that were begun resume.

    A run of the same name with other settings or on other pairs, which would be replaced, is none of them.
    """
    from workflows.interruption import kept_of

    done, begun = 0, list[str]()
    stored = {run.name: run for run in store.alignments()}
    for job in jobs:
        if job.name not in stored:
            continue
        try:
            spec, record = planned(store, job, device)
        except HarnessError:  # that of a run which failed is said elsewhere
            continue
        done += record is not None
        if stored[job.name].key == spec.key and stored[job.name].status != "done":
            begun.append(kept_of(store, stored[job.name]))
    summary = f"{done} of {len(jobs)} alignments are done, and kept with their answers in {store.path}."
    return "\n  ".join([summary, *begun])
