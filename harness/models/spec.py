"""Models by name: ``hf:DIR``, ``run:NAME``, ``replay:FILE``... on the command line become a Model. Imports no torch."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.models.sources import absolute, composition, parts
from harness.protocols.benchmark import Decoding
from harness.protocols.model import Model
from harness.protocols.progress import Progress, silent
from harness.registry import Registry
from harness.util.options import build


@dataclass(frozen=True)
class ModelSpec:
    """A parsed model name: ``hf:TARGET+ADAPTER``, ``openai:NAME@URL``, ``replay:FILE``, ``run:NAME``.

    ``adapters`` stand in the order in which they were trained, each on top of those before it.
    """

    kind: str
    target: str
    adapters: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join([f"{self.kind}:{self.target}", *self.adapters])


RunLookup = Callable[[str], ModelSpec]
"""The name of an alignment run -> its files, of kind hf: a base model with adapters, or a model of its own."""


def model_id(spec: str) -> str:
    """What the ways of writing one model have in common: no ``hf:``, and an absolute path where it is a path here."""
    return absolute(spec.removeprefix("hf:"))


def last_parts(names: Iterable[str]) -> dict[str, str]:
    """Every path or hub id by its last part, or whole where another one ends alike."""
    last = {name: Path(name).name for name in names}
    counts = Counter(last.values())
    return {name: short if counts[short] == 1 else name for name, short in last.items()}


def parse_spec(spec: str) -> ModelSpec:
    """Read a model's name; a path that exists and has no prefix counts as ``hf:``.

    Raises UsageError for an unknown kind, an empty target, or a directory that holds no model.
    """
    kind, colon, target = spec.partition(":")
    if os.path.isdir(parts(spec)[0]):  # unlike Path.is_dir it takes a name that is too long
        kind, target = "hf", spec
    elif not colon:
        raise UsageError(
            f"--model {spec}: no such directory. Expected hf:ID_OR_DIR[+ADAPTER_DIR], run:NAME or replay:FILE.jsonl."
        )
    known = MODELS.get(kind)
    if not target:
        raise UsageError(f"--model {spec}: expected something after {kind}:, as in {known.form}.")
    if kind == "hf":
        return ModelSpec("hf", *composition(target))
    known.check(target)
    return ModelSpec(kind, target)


@dataclass(frozen=True)
class Loading:
    """How a model is to be loaded.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1"...
        settings: an instance of the kind's settings; None for a kind that has none.
        runs: finds the files of ``run:NAME``.
        progress: called as weights are hashed and loaded.
    """

    device: str = "auto"
    settings: Any = None
    runs: RunLookup | None = None
    progress: Progress = silent


@dataclass(frozen=True)
class ModelKind:
    """A kind of model on the command line: ``--model KIND:TARGET``.

    Args:
        form: how its name is written, "openai:NAME@BASE_URL".
        summary: what it is, in a line.
        load: makes the model; it imports what that needs, so that naming a kind stays fast.
        settings: the dataclass of its settings (`--set model.KEY=VALUE`); None if it has none.
        check: raises UsageError for a target that cannot be one, before anything is loaded.
        refuses: why no model of this kind can decode so, with what to do; "" if it can.
        recorded: its models' answers were made elsewhere, so that they are shown no image.
        served: its models answer behind an endpoint: workers of a cluster would not make them faster.
    """

    form: str
    summary: str
    load: Callable[[ModelSpec, Loading], Model]
    settings: type[Any] | None = None
    check: Callable[[str], None] = lambda target: None
    refuses: Callable[[Decoding], str] = lambda decoding: ""
    recorded: bool = False
    served: bool = False


def _shape(item: object) -> list[str]:
    if not isinstance(item, ModelKind):
        return [f"expected a harness.models.spec.ModelKind, got {item!r}"]
    return [] if callable(item.load) else ["its 'load' cannot be called"]


MODELS: Registry[ModelKind] = Registry(
    "kind of model", ("harness.models.kinds",), group="dama_harness.models", check=_shape
)


def model_settings(spec: ModelSpec, settings: Mapping[str, Any]) -> Any:
    """The settings of the kind of ``spec``; None if it has none. Raises UsageError for what it does not have."""
    kind = MODELS.get(spec.kind)
    if kind.settings is None:
        if settings:
            raise UsageError(f"--model {spec}: this model has no settings, got {', '.join(sorted(settings))}.")
        return None
    return build(kind.settings, settings, f"--model {spec}")


def load_model(
    spec: str | ModelSpec,
    *,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    runs: RunLookup | None = None,
    progress: Progress = silent,
) -> Model:
    """The model named ``spec``, loaded.

    Args:
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1"...
        settings: of HfSettings for ``hf:`` and ``run:``, of the calls (``ChatSettings``) for ``openai:``.
        runs: finds the files of ``run:NAME``.
        progress: called as weights are hashed and loaded.

    Raises UsageError if the name is wrong or the model cannot be loaded.
    """
    parsed = parse_spec(spec) if isinstance(spec, str) else spec
    chosen = model_settings(parsed, settings or {})
    return MODELS.get(parsed.kind).load(parsed, Loading(device, chosen, runs, progress))
