"""`list`: what is registered and what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.protocols.probe import worst
from harness.util.options import describe, keyed


def listing(what: str, db: str) -> list[dict[str, Any]]:
    """Rows with ``name`` and what a user wants to know of it."""
    listings: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "aligners": _aligners,
        "benchmarks": _benchmarks,
        "suites": _suites,
        "judges": _judges,
        "models": _models,
        "splitters": _splitters,
        "formats": _formats,
        "settings": _known_settings,
        "runs": lambda: _runs(db),
    }
    return listings[what]()


def _aligners() -> list[dict[str, Any]]:
    from aligners.objective import ALIGNERS

    return ALIGNERS.described(
        lambda name, kind: {
            "name": name,
            "formula": kind.formula,
            "needs": ", ".join(sorted(kind.needs)),
            "settings": describe(kind),
            "paper": kind.paper,
        }
    )


def _benchmarks() -> list[dict[str, Any]]:
    from harness.protocols.benchmark import BENCHMARKS, Benchmark

    def row(name: str, kind: type[Benchmark]) -> dict[str, Any]:
        benchmark = kind()
        return {
            "name": name,
            "judge": "needed" if benchmark.needs_judge else "none",
            "version": benchmark.version,
            "settings": {name: value for name, value in describe(kind).items() if name != "decoding"},
            "decoding": keyed(benchmark.decoding),
            "paper": kind.paper,
        }

    return BENCHMARKS.described(row)


def _suites() -> list[dict[str, Any]]:
    from workflows.suites import suites

    return [{"name": name, "benchmarks": ", ".join(members)} for name, members in suites().items()]


def _judges() -> list[dict[str, Any]]:
    from harness.judges.registry import JUDGES

    return JUDGES.described(lambda name, kind: {"name": name, "is": _summary(kind), **_settings(kind.Settings)})


def _models() -> list[dict[str, Any]]:
    from harness.models.spec import MODELS

    return MODELS.described(lambda _, kind: {"name": kind.form, "is": kind.summary, **_settings(kind.settings)})


def _splitters() -> list[dict[str, Any]]:
    from aligners.pair_hardness.splitter import SPLITTERS

    return SPLITTERS.described(lambda name, kind: {"name": name, "is": _summary(kind)})


def _formats() -> list[dict[str, Any]]:
    from leaderboards.formats.registry import FORMATS

    return FORMATS.described(lambda name, kind: {"name": name, "is": _summary(kind)})


def _known_settings() -> list[dict[str, Any]]:
    from workflows.known_settings import sections

    return [
        {
            "name": setting.name if section.alone or not section.part else f"{section.part}.{setting.name}",
            "of": f"{section.title}{f' ({owner})' if owner else ''}",
            "is": setting.meaning,
            "value": setting.allowed,
            "default": setting.default,
            "elsewhere": ", ".join(section.names_elsewhere(setting.name)),
        }
        for section in sections()
        for setting, owner in section.settings
    ]


def _summary(kind: type[Any]) -> str:
    """The first line of a plug-in's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _settings(kind: type[Any] | None) -> dict[str, Any]:
    return {} if kind is None else {"settings": describe(kind)}


def _runs(db: str) -> list[dict[str, Any]]:
    from harness.store import Store
    from workflows.lineage import ancestry, lineage

    store = Store.reading(db)
    rows: dict[str, dict[str, Any]] = {}
    known = {alignment.name: alignment for alignment in store.alignments()}
    for alignment in known.values():
        origin = alignment.info.get("lineage") or lineage(str(alignment.config.get("model", "")), None)
        rows[alignment.name] = {
            "name": alignment.name,
            "method": alignment.method,
            "panel": alignment.panel,
            "seed": alignment.seed,
            "status": alignment.status,
            "probe": alignment.info.get("probe", {}).get("state", ""),
            "model": alignment.model_dir,
            "parent": alignment.parent,
            "ancestry": ", ".join(ancestry(alignment, known)),
            "base": origin["base"],
            "adapters": ", ".join(origin["adapters"]),
        }
    for evaluation in store.evaluations():
        row = rows.setdefault(evaluation.run, {"name": evaluation.run, "model": evaluation.model})
        benchmarks = {*filter(None, row.get("evaluations", "").split(", ")), evaluation.benchmark}
        row["evaluations"] = ", ".join(sorted(benchmarks))
        if state := evaluation.info.get("probe", {}).get("state"):
            row["probe"] = worst(row.get("probe", ""), state)
    for run in store.hidden_runs() & rows.keys():
        rows[run]["hidden"] = "yes"
    return list(rows.values())
