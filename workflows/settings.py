"""From `--set`, recipes and options to the dataclasses they configure."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError, unknown_name
from harness.models.settings import LoadSettings
from harness.util.options import nested, overlay, read_yaml
from harness.util.other_names import in_our_words

Kinds = Mapping[str, type[Any]]
"""Dataclasses of settings by the name that stands before the dot: {"train": AlignConfig, "objective": Dama, ...}."""


def gather(recipe: Path | None, settings: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """One dictionary of settings: the recipe, then ``settings`` (`--set`), then options that were given (not None).

    Its order is that of precedence, so that of ``lr`` and ``train.lr`` the one that was given later wins.
    """
    out: dict[str, Any] = {}
    given = {name: value for name, value in options.items() if value is not None}
    check_settings(settings)
    own = _for_data_of(read_yaml(recipe) if recipe else {}, {**settings, **given})
    for layer in (own, settings, given):
        for name, value in _flat(layer):
            out.pop(name, None)
            out[name] = value
    return out


def _for_data_of(recipe: Mapping[str, Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """``recipe``, whose conditions on rows (``where``) are of its own data: where other data is given, and no other
    conditions, they hold if that data has such columns.
    """
    names = {name.removeprefix("train.") for name, _ in _flat(given)}
    if "data" not in names or "where" in names or "where" not in recipe:
        return recipe
    where = [recipe["where"]] if isinstance(recipe["where"], str) else recipe["where"]
    return {**recipe, "where": [f"?{str(each).removeprefix('?')}" for each in where]}


def check_settings(settings: object) -> None:
    """Raise UsageError where settings given from Python are no mapping: a list of `--set` words."""
    if not isinstance(settings, Mapping):
        raise UsageError(f'settings={settings!r}: expected a mapping of names to values, for example {{"lr": 5e-7}}.')


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """{"train": {"lr": 1}} as ("train.lr", 1)."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def route(
    settings: Mapping[str, Any],
    kinds: Kinds,
    what: str,
    *,
    everywhere: bool = False,
    others: Kinds | None = None,
    taken: Kinds | None = None,
) -> dict[str, dict[str, Any]]:
    """Deal ``settings`` out to the dataclasses that have a field of that name, by the keys of ``kinds``.

    A name may be qualified ("train.lr"). One without a qualifier goes to the dataclass that has it; where several have
    it, to all of them (``everywhere``), or it is a UsageError that names the qualified ones. A name that no dataclass
    has is a UsageError with the nearest that exist, and where; ``others`` are kinds that are set elsewhere, by their
    qualified names alone, ``taken`` those whose settings were taken out before. A field that holds one of ``others``
    is not set as a whole.
    """
    fields = {label: _names(kind) for label, kind in kinds.items()}
    dealt: dict[str, dict[str, Any]] = {label: {} for label in kinds}
    for given, value in _flat(settings):
        homes, name, *inner = _address(given, fields)
        held = [label for label in homes if name in _held(kinds[label], others or {})]
        if not homes or (held and not inner and not isinstance(value, Mapping)):
            raise _unknown(f"setting of {what}", given, {**kinds, **(taken or {})}, others or {})
        if len(homes) > 1 and not everywhere:
            choices = " and ".join(f"{label}.{name}" for label in homes)
            raise UsageError(f"Setting {given!r} of {what}: there are {choices}; say which you mean.")
        for label in homes:
            dealt[label] = overlay(dealt[label], nested({".".join([name, *inner]): value}))
    return dealt


def _names(kind: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind) if field.init}


def _held(kind: type[Any], others: Kinds) -> Mapping[str, str]:
    """Fields of ``kind`` that hold one of ``others``, which is set by its own name: {"prompt": "model"}."""
    names = {other: label for label, other in others.items()}
    return {
        field.name: names[type(field.default)] for field in dataclasses.fields(kind) if type(field.default) in names
    }


def _address(given: str, fields: Mapping[str, set[str]]) -> tuple[Any, ...]:
    """(labels that have the setting, its name, names inside it): of "decoding.num_beams" the name is "decoding"."""
    first, *rest = given.split(".")
    if first in fields and rest and not any(first in names for names in fields.values()):
        return [first] if rest[0] in fields[first] else [], *rest
    return [label for label, names in fields.items() if first in names], first, *rest


def _of_a_part(name: str, others: Kinds) -> str:
    """Where ``name`` is a setting that only goes by the name of its part: "model.dtype"."""
    homes = [address for address in _addresses(others) if address.rpartition(".")[2] == name]
    return f"Did you mean {' or '.join(map(repr, homes))}?" if homes else ""


def _addresses(kinds: Kinds, prefix: str = "") -> Iterator[str]:
    """How settings are called: by the names of their parts ("model.dtype"), in what is a part itself as well."""
    for label, kind in kinds.items():
        for field in dataclasses.fields(kind):
            yield f"{prefix}{label}.{field.name}"
            if dataclasses.is_dataclass(field.default):
                yield from _addresses({field.name: type(field.default)}, prefix=f"{prefix}{label}.")


def _unknown(kind: str, given: str, kinds: Kinds, others: Kinds) -> UsageError:
    """The error for a name that is nobody's: what it is called here, if it is another tool's name; else the nearest
    names and their homes; without one near, all by home."""
    qualifier, _, name = given.rpartition(".")
    held = {field: label for kind in kinds.values() for field, label in _held(kind, others).items()}
    fields = {label: _names(kind) - held.keys() for label, kind in kinds.items()}
    searched = {qualifier: fields[qualifier]} if qualifier in fields else fields
    known = {address.partition(".")[2] for address in _addresses(kinds)} | set(_addresses(others))
    homes: dict[str, list[str]] = {}
    for label, names in searched.items():
        for each in names:
            homes.setdefault(each, []).append(label)
    near = difflib.get_close_matches(name, homes, n=3)
    if name in held:
        hint = f"What it holds is set as {held[name]}.NAME=VALUE; {_listed({}, {held[name]: others[held[name]]})}."
    elif hint := in_our_words(name, known - held.keys()) or _of_a_part(name, others):
        pass
    elif near:
        hint = "Did you mean " + " or ".join(f"{each!r} ({', '.join(homes[each])})" for each in near) + "?"
    else:
        hint = f"Known: {_listed(searched, {} if qualifier in fields else others)}."
    return UsageError(f"Unknown {kind} {given!r}. {hint}")


def _listed(fields: Mapping[str, Collection[str]], others: Kinds) -> str:
    """All names by their homes; of ``others`` those that stand after a dot."""
    named = {**fields, **{f"{label}.NAME": _names(kind) for label, kind in others.items()}}
    return "; ".join(f"{label}: {', '.join(sorted(names))}" for label, names in named.items())


def deal_benchmarks(
    names: Iterable[str], settings: Mapping[str, Any], defaults: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """Settings by benchmark: each goes to every benchmark that has it; one that none has is an error.

    ``defaults`` are settings that ``settings`` override.
    """
    from harness.protocols.benchmark import BENCHMARKS

    kinds = {name: BENCHMARKS.get(name) for name in names}
    fields = {f.name for kind in kinds.values() for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    known = {name: value for name, value in (defaults or {}).items() if name in fields}
    return route({**known, **settings}, kinds, "these benchmarks", everywhere=True, others=parts_of_bench())


def parts_of_bench() -> dict[str, type[Any]]:
    """The dataclasses whose settings `bench` takes by their qualified names, those of ``PARTS``."""
    from harness.chat.settings import ChatSettings
    from harness.evaluation.spoken import ScoringSettings
    from harness.models.settings import HfSettings

    return {"model": HfSettings, "judge": ChatSettings, "scoring": ScoringSettings}


def align_setting(name: str, options: Collection[str]) -> str:
    """Where a setting of `align` goes: ``options`` to the training, ``model.KEY`` to how the model is loaded and asked.

    Raises UsageError for a setting of the model that training does not have.
    """
    first, dot, key = name.partition(".")
    if first != "model" or not dot:
        return f"train.{name}" if name in options else name
    if key == "attention":
        return "train.attention"
    known = [field.name for field in dataclasses.fields(LoadSettings)]
    if key not in known:
        raise unknown_name("setting of align", name, [f"model.{one}" for one in (*known, "attention")])
    return f"train.prompt.{key}"


def take(settings: dict[str, Any], qualifier: str) -> Mapping[str, Any]:
    """Take the settings called QUALIFIER.NAME out of ``settings``."""
    taken = settings.pop(qualifier, {})
    if not isinstance(taken, Mapping):
        examples = {"judge": "judge.concurrency=8", "model": "model.batch_size=64", "scoring": "scoring.reasoning=keep"}
        example = examples[qualifier]
        raise UsageError(f"Setting {qualifier!r}: expected {qualifier}.NAME=VALUE, as in --set {example}.")
    return taken
