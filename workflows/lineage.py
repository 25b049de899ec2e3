"""Where a run came from, and where its files are: what `align --model run:NAME` and `bench --model run:NAME` load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.models.model_files import ADAPTER_CONFIG
from harness.models.sources import composition, parts
from harness.models.spec import ModelSpec, RunLookup
from harness.store import AlignmentRecord, Store
from leaderboards.provenance import command_of


def lookup_run(store: Store) -> RunLookup:
    """How ``run:NAME`` finds its files: the base model with the run's adapter on top of those it started from."""

    def find(name: str) -> ModelSpec:
        record = store.alignment(name)
        if record.status != "done":
            raise UsageError(f"run:{name} is {record.status}; finish it first: {command_of(record)}")
        return _files(record)

    return find


def started_from(model: str, runs: RunLookup | None) -> tuple[ModelSpec, str | None]:
    """The files of a model that training starts from, and the run that they are of, if ``model`` is ``run:NAME``."""
    kind, _, name = model.partition(":")
    if kind != "run":
        return ModelSpec("hf", *composition(model.removeprefix("hf:"))), None
    if runs is None:
        raise UsageError(f"{model}: there is no results file to look the run up in.")
    return runs(name), name


def lineage(start: str, parent: str | None) -> dict[str, Any]:
    """What a run's record says of its origin: the run it started from, the base below it, the adapters on that."""
    base, *adapters = parts(start)
    return {"parent": parent, "base": base, "adapters": adapters}


def ancestry(record: AlignmentRecord, known: Mapping[str, AlignmentRecord]) -> list[str]:
    """The runs that ``record`` was made from, the first of them first."""
    names: list[str] = []
    while (parent := record.parent) in known and parent not in (record.name, *names):
        assert parent is not None
        names.insert(0, parent)
        record = known[parent]
    return names


def model_folder(record: AlignmentRecord) -> Path | None:
    """Where the model of a run is; None where it is not there (any more)."""
    folder = Path(record.model_dir).resolve()
    return folder if record.model_dir and folder.is_dir() else None


def _files(record: AlignmentRecord) -> ModelSpec:
    """The files of a finished run."""
    folder = model_folder(record)
    if folder is None:
        raise UsageError(
            f"run:{record.name}: its model is not in {record.model_dir}. If it was moved, name the directory: "
            f"--model DIR, or --model BASE+DIR for an adapter."
        )
    if (folder / ADAPTER_CONFIG).is_file() and not record.info.get("lineage"):  # older runs: one adapter on a base
        return ModelSpec("hf", *composition(f"{record.config['model']}+{folder}"))
    return ModelSpec("hf", *composition(str(folder)))
