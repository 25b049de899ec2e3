"""Runs of the store that a command names again: only the same settings on the same files are the same run."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, HarnessError, UsageError
from harness.protocols.progress import Progress, silent
from harness.store import AlignmentRecord, Store
from harness.util.distributed import rank_and_world_size
from harness.util.options import content_key
from workflows.embedded import unbuilt
from workflows.lineage import model_folder

if TYPE_CHECKING:
    from workflows.align_spec import AlignSpec


def finished(store: Store, spec: AlignSpec, progress: Progress = silent) -> AlignmentRecord | None:
    """The record of an alignment that finished with these very settings and data, if its model is still there."""
    done = _of_settings(store, spec)
    if done is None or done.status != "done" or model_folder(done) is None:
        return None
    if _changed(done, spec, progress):
        return None
    return done


def changed_data(store: Store, spec: AlignSpec, progress: Progress) -> str:
    """Which pairs are others now than a stored run of this name and these settings was made of, in words; or ""."""
    run = _of_settings(store, spec)
    changed = [] if run is None else _changed(run, spec, progress)
    if not changed:
        return ""
    what = {spec.train.model: "from other weights", getattr(spec.hardness, "clip", None): "with another CLIP"}
    how = " and ".join(dict.fromkeys(what.get(source, "on other pairs") for source in changed))
    return f"{spec.name} was trained {how} ({' and '.join(changed)} changed since)"


def _of_settings(store: Store, spec: AlignSpec) -> AlignmentRecord | None:
    return next((a for a in store.alignments() if a.name == spec.name and a.key == spec.key), None)


def _now(spec: AlignSpec, progress: Progress) -> dict[str, Any]:
    """By the part of a run's record that says of it: what pairs and CLIP that ``spec`` names are now (hashes)."""
    read = {part: _pairs_now(spec, part, progress) for part in _sources(spec)}
    now = {part: facts for part, facts in read.items() if facts is not None}
    return now | ({"clip": files} if (files := _clip_now(spec)) else {})


def _clip_now(spec: AlignSpec) -> str:
    """The hash of the files of the CLIP that weighs the pairs; "" where none does, or where it does not lie here."""
    if "hardness" not in spec.objective.needs or not spec.hardness:
        return ""
    from aligners.pair_hardness.clip_files import files_hash

    return files_hash(spec.hardness.clip)


def _other_start(run: AlignmentRecord | None, spec: AlignSpec, progress: Progress) -> dict[str, Any]:
    """The hashes of the weights that ``spec`` starts from now, where ``run`` started from others; or nothing.

    A hub model has no hash (its commit says it), nor has an embedded world that is not built.
    """
    before = [] if run is None else run.info.get("start_weights") or []
    if not any(before):
        return {}
    from aligners.training.start_model import start_weights

    try:
        now = start_weights(spec.train, progress)
    except HarnessError:  # what is gone cannot be compared
        return {}
    other = len(now) != len(before) or any(
        was and is_now not in ("", was) for was, is_now in zip(before, now, strict=False)
    )
    return {"start_weights": now} if other else {}


def _sources(spec: AlignSpec) -> dict[str, str]:
    """The sources of pairs, by the part of a run's record that says of them."""
    return {"data": spec.train.data, **({"heldout_data": spec.heldout} if spec.heldout else {})}


def _pairs_now(spec: AlignSpec, part: str, progress: Progress) -> dict[str, Any] | None:
    """Hashes of the pairs of ``part`` as they are now, with those of the columns that the objective needs.

    None for pairs of an embedded world that is not built: built again, they are the same. Raises DataError.
    """
    from aligners.pairs.data import pairs_identity

    train, source, trained = spec.train, _sources(spec)[part], part == "data"
    if unbuilt(*source.split(",")):
        return None
    read = pairs_identity(
        source,
        train.limit if trained else None,
        skip_bad=train.skip_bad_rows,
        reading=train if trained else train.of_other_data,
        progress=progress,
    )
    needed = {need.partition(":")[2] for need in spec.objective.needs if need.startswith("column:")}
    return {**read, "columns": _of(read["columns"], needed)}


def _of(columns: Mapping[str, str], needed: set[str]) -> dict[str, str]:
    return {name: columns[name] for name in sorted(needed & columns.keys())}


def _changed(run: AlignmentRecord, spec: AlignSpec, progress: Progress) -> list[str]:
    """The sources whose pairs, and the CLIP and the model whose files, are others now than those that ``run`` was made
    of, as far as its record says.

    Of a finished run whose pairs cannot be read any more nothing else can be known: a warning says so.
    """
    changed = []
    for part, source in _sources(spec).items() if (run.info.get("data") or {}).get("hash") else ():
        try:
            now = _pairs_now(spec, part, progress)
        except DataError as error:
            if run.status != "done":
                raise
            if rank_and_world_size()[0] == 0:
                warnings.warn(f"{run.name} is as it was stored; its pairs could not be compared: {error}", stacklevel=2)
            continue
        if now is not None and _differs(run.info.get(part), now):
            changed.append(source)
    weighed = run.info.get("hardness")
    before = weighed.get("clip_files") if isinstance(weighed, Mapping) else None
    if before and (now_clip := _clip_now(spec)) and now_clip != before:
        changed.append(spec.hardness.clip)
    return [*changed, *([spec.train.model] if _other_start(run, spec, progress) else [])]


def _differs(recorded: Any, now: Mapping[str, Any]) -> bool:
    """Whether what a run's record says of its pairs is not what they are ``now``.

    An older record has the hash of those that could be put to the model: it says nothing where some were left out.
    """
    if not isinstance(recorded, Mapping):
        return False
    read = recorded.get("read")
    if read is None:
        return not recorded.get("dropped") and recorded.get("hash", now["hash"]) != now["hash"]
    return bool(read["hash"] != now["hash"] or _of(read["columns"], {*now["columns"]}) != now["columns"])


def with_unique_name(
    store: Store, spec: AlignSpec, *, named: bool, fresh: bool, progress: Progress = silent
) -> AlignSpec:
    """``spec`` under a name that costs the store no other run.

    A run that failed gives its name up. A default name that a run with other settings, or on pairs that have changed
    since, has gets the beginning of the key added ("dpo-s0-3fa9c1"); changed pairs are said, and are then part of the
    key. A name that the user gave (``named``) is taken from such a run only with ``fresh``; without it a UsageError
    says what differs.
    """
    base, runs = spec.name, {run.name: run for run in store.alignments()}
    said = ""
    while taken := runs.get(spec.name):
        changed = "" if fresh else changed_data(store, spec, progress)
        if not changed and (taken.key == spec.key or taken.status == "failed" or (named and fresh)):
            break
        if named:
            raise _refused(taken, spec, changed)
        if changed:
            now = {**_now(spec, progress), **_other_start(taken, spec, progress)}
            said, spec = changed, dataclasses.replace(spec, content=content_key(now))
        name = f"{base}-{spec.key[:6]}"
        if name == spec.name:
            break
        spec = dataclasses.replace(spec, name=name)
    if said and rank_and_world_size()[0] == 0:
        warnings.warn(f"{said}: this run is called {spec.name}.", stacklevel=2)
    return spec


def _refused(taken: AlignmentRecord, spec: AlignSpec, changed: str) -> UsageError:
    before, now = _flat(taken.config), _flat(spec.record)
    other = [f"{k}={before[k]}, now {now[k]}" for k in now if k in before and str(before[k]) != str(now[k])]
    what = "; ".join(other[:4]) or "of an older version"
    why = changed or f"{taken.status} before with other settings ({what})"
    return UsageError(f"--name {spec.name}: {why}. Give another --name, or --fresh to replace that run.")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    inner = [value for value in settings.values() if isinstance(value, Mapping)]
    values = ((k, v) for group in (settings, *inner) for k, v in group.items() if not isinstance(v, Mapping))
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values}
