"""Which models a benchmark is run on: those named, or the base and every finished alignment."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.models.sources import composition, parts
from harness.models.spec import last_parts, model_id
from harness.store import Store
from leaderboards.run_groups import BASE
from workflows.embedded import embedded_world, is_embedded_model


@dataclass(frozen=True)
class EvalModel:
    """A model to benchmark: its name in tables, how to load it, and the alignment it came from.

    ``named``: the user gave the name, so that the model's row is called so whatever else it is.
    """

    run: str
    spec: str
    alignment: str | None = None
    named: bool = False


def resolve_models(
    store: Store,
    models: Sequence[str],
    embedded: str | None,
    *,
    name: str | None = None,
    of_world: bool | None = None,
) -> list[EvalModel]:
    """The models named, or every finished alignment of the store after the models that they started from.

    Alignments that are hidden (`db hide`) are left out of the latter. ``name`` is what one model is called.
    ``embedded`` is the embedded world's base, which belongs to its data. Where none is named, ``of_world`` says whether
    the data are the embedded world's (None: take all): only what was aligned on such is taken, and a warning names the
    rest. Called "base" is the only model that anything started from; of several each has its own name.
    """
    aligned = [a for a in store.alignments() if a.status == "done"]
    others: list[str] = []
    if of_world is not None and not models:
        others = [a.name for a in aligned if of_embedded_world(store, f"run:{a.name}") == (not of_world)]
        aligned = [a for a in aligned if a.name not in others]
    known = [embedded] if embedded else []
    runs = {a.name for a in aligned}
    known += [f"hf:{a.config['model']}" for a in aligned if "model" in a.config and a.parent not in runs]
    bases = list({model_id(spec): spec for spec in reversed(known)}.values())[::-1]
    specs = list(models) or bases
    if not specs:
        raise UsageError(f"Nothing to benchmark: {_why_nothing(others, bool(of_world))}.")
    if others:
        whose = "the embedded world's, of which these runs are not" if of_world else "not the embedded world's"
        warnings.warn(
            f"left out, since the data are {whose}: {_listed(others)}; --model names runs to take", stacklevel=2
        )
    names = _names(store, specs, model_id(bases[0]) if len(bases) == 1 else None)
    named = [EvalModel(names[spec], _placed(spec), spec[4:] if spec.startswith("run:") else None) for spec in specs]
    if name is not None:
        return [dataclasses.replace(named[0], run=name, named=True)]
    hidden = store.hidden_runs()
    return (
        named
        if models
        else named + [EvalModel(a.name, f"run:{a.name}", a.name) for a in aligned if a.name not in hidden]
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}"


def _why_nothing(others: Sequence[str], of_world: bool) -> str:
    """Why no model is left; ``others`` are the runs that are not of the data's world."""
    if not others:
        return "name a model with --model, or align one first"
    trained, data = ("outside", "the embedded world's") if of_world else ("in", "not its")
    return (
        f"the runs {_listed(others)} were trained {trained} the embedded world, and the data are {data}; name those to "
        "take with --model run:NAME"
    )


def require_revision(store: Store, models: Sequence[EvalModel], revision: str) -> None:
    """Raise UsageError where ``models``, taken by default, hold the base of runs in another revision than theirs."""
    specs = {model.spec for model in models if model.alignment is None}
    for run in store.alignments():
        trained = (run.config.get("prompt") or {}).get("revision")
        if trained and trained != revision and run.status == "done" and f"hf:{run.config['model']}" in specs:
            raise UsageError(
                f"run:{run.name} started from {run.config['model']} at revision {trained}, and this base would be "
                f"asked at {revision or 'its main one'}: give --set model.revision={trained}, or name the models with "
                "--model."
            )


def require_free(store: Store, name: str, models: Sequence[str]) -> None:
    """Raise UsageError where ``name`` cannot be what one model is called: it is a row already, of another model."""
    if len(models) != 1:
        raise UsageError(f"--name {name}: it names one model, give one --model with it.")
    aligned = {word for a in store.alignments() for word in (a.name, a.method)}
    others = {e.model for e in store.evaluations(run=name)} - {models[0], _placed(models[0])}
    if models[0].startswith("replay:"):  # answers to each benchmark come in files of their own
        others = {model for model in others if not model.startswith("replay:")}
    if name == BASE or name in aligned or others:
        whose = (
            f"the row of {', '.join(sorted(others))}" if others else "the name of an alignment, a method or the base"
        )
        raise UsageError(f"--name {name!r}: that is {whose}. Give another name.")


def of_embedded_world(store: Store, spec: str) -> bool | None:
    """Whether a model is the embedded world's own; None where that cannot be known: behind an endpoint, in a file."""
    kind, colon, target = spec.partition(":")
    if colon and kind == "run":
        started = next((a.config.get("model") for a in store.alignments() if a.name == target), None)
        return of_embedded_world(store, str(started)) if started else None
    if colon and kind not in ("hf", "run") and not Path(spec).exists():
        return None
    return is_embedded_model(spec)


def require_data(store: Store, models: Sequence[str]) -> None:
    """Raise UsageError for a model that is not of the embedded world, which stands in where no data are named."""
    for spec in models:
        if of_embedded_world(store, spec) is False:
            raise UsageError(
                f"--model {spec} is not a model of the embedded world, whose data stand in where none are named: name "
                "your benchmarks' data with --data-dir (`fetch` downloads them). To try the model on the embedded "
                f"world all the same: --data-dir {embedded_world({}).bench_dir}, once `demo` has built it."
            )


def _placed(spec: str) -> str:
    """A model's name as it can be read from any directory."""
    return f"hf:{model_id(spec)}" if Path(parts(spec.removeprefix("hf:"))[0]).is_dir() else spec


def _names(store: Store, specs: Sequence[str], base: str | None) -> dict[str, str]:
    """What the runs of these models are called: "base", or the last part of the path or hub id.

    A name that would be another model's, here or in the store, is the whole path.
    """
    targets = {spec: model_id(spec).removeprefix("replay:").split("+")[-1] for spec in specs}
    short = last_parts(target for spec, target in targets.items() if not spec.startswith(("run:", "openai:")))
    taken = {e.run: _composed(e.model) for e in store.evaluations() if e.alignment is None}
    names = {}
    for spec, target in targets.items():
        name = short.get(target, spec.removeprefix("run:"))
        foreign = not spec.startswith("run:") and name in taken and taken[name] != _composed(spec)
        names[spec] = "base" if base == model_id(spec) else target if foreign else name
    return names


def _composed(spec: str) -> str:
    """A model's name with base and adapters in full: an adapter's directory alone is the same model."""
    try:
        base, adapters = composition(model_id(spec))
    except UsageError:  # of another kind, or no longer there
        return model_id(spec)
    return model_id("+".join([base, *adapters]))
