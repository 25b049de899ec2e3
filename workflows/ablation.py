"""An ablation recipe and the runs that it plans: every method under every condition and seed."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Literal

from harness.errors import UsageError
from harness.util.names import require_name, require_text
from harness.util.options import build
from harness.util.ranges import Range, at_least
from workflows.curve_points import Bias
from workflows.suites import members_of


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of an ablation's ``methods``.

    Args:
        method: the aligner's name.
        label: the name of its row in tables; None: the method.
        set: its settings; a list is swept.
        match: sets beta to the mean effective beta of that label's run (control); None for none.
    """

    method: str
    label: str | None = None
    set: dict | None = None  # type: ignore[type-arg]
    match: str | None = None


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A condition of the data, a row of an ablation's ``panels``.

    Args:
        name: of the panel in the leaderboard.
        set: settings of its runs.
    """

    name: str = ""
    set: dict | None = None  # type: ignore[type-arg]


@dataclass(frozen=True)
class Ablation:
    """An ablation recipe.

    Args:
        common: settings of every run (model, data, epochs...).
        world: settings of the embedded world, where no model and data are given.
        panels: conditions of the data, each ``{name, set}``; a panel of the leaderboard each.
        methods: what is compared, each ``{method, label, set, match}``; a list in ``set`` is swept.
        seeds: alignment seeds.
        bases: base models of the embedded world by their ``sft_seed``, from each of which every run is made; () for the
            one of ``world``.
        suite: the benchmark suite of every model.
        benchmarks: single benchmarks in place of the suite.
        split: of the embedded world; settings are chosen on "tuning", results are of "report".
        eos_biases: points of the hallucination-against-coverage curve beside 0; auto adds, for each run, as many as it
            takes to read it at the base's coverage (at most 6, none beyond -8 and 8).
        data_dir: benchmark data; None for the embedded world.
        judge: judge of the suite; None for the embedded world's own.
        limit: only so many samples of each benchmark, drawn from all its parts; None for all.
        budget: USD that the judge may cost at most, over all runs; None for no limit.
        prices: a YAML file over the built-in price table, as of `bench --prices`; None for none.
        workers: processes at a time; 0 for one per accelerator, or one per core up to two on a CPU.
    """

    methods: tuple[Method, ...]
    panels: tuple[Panel, ...] = (Panel(),)
    seeds: tuple[Annotated[int, Range(0, 2**32 - 1)], ...] = (0, 1)
    bases: tuple[Annotated[int, at_least(0)], ...] = ()
    common: dict = field(default_factory=dict)  # type: ignore[type-arg]
    world: dict = field(default_factory=dict)  # type: ignore[type-arg]
    suite: str = "hallucination"
    benchmarks: tuple[str, ...] = ()
    split: Literal["report", "tuning"] = "report"
    eos_biases: tuple[Bias, ...] = ()
    data_dir: str | None = None
    judge: str | None = None
    limit: Annotated[int, at_least(1, "samples")] | None = None
    budget: Annotated[float, at_least(0, "USD")] | None = None
    prices: str | None = None
    workers: Annotated[int, at_least(0, "processes")] = 0


@dataclass(frozen=True)
class Job:
    """One alignment with its evaluation, small enough to send to another process."""

    db: str
    name: str
    label: str
    panel: str
    settings: dict[str, Any]
    match: str | None
    ablation: Ablation


def read_ablation(values: Mapping[str, Any]) -> Ablation:
    """An Ablation from a recipe's dictionary.

    Raises UsageError for unknown keys, rows without a method, and names that no aligner, suite or benchmark has.
    """
    from aligners.objective import ALIGNERS

    ablation = build(Ablation, values, "ablation recipe")
    for name in ("methods", "panels", "seeds"):
        if not getattr(ablation, name):
            raise UsageError(f"ablation recipe: {name}: expected at least one, or without that line the default.")
    rows: list[Panel | Method] = [*ablation.panels, *ablation.methods]
    sets = [ablation.common, ablation.world, *(row.set or {} for row in rows)]
    for name in ("method", "seed"):
        if any({name, f"train.{name}"} & given.keys() for given in sets):
            raise UsageError(f"ablation recipe: {name} is set beside {name}s, which decide: leave it out of `set`.")
    beside = {"sft_seed", "world.sft_seed", "model", "data"}
    if ablation.bases and (named := sorted(beside & {name for given in sets for name in given})):
        raise UsageError(f"ablation recipe: {named[0]} is set beside bases, which decide: leave one of them out.")
    for method in ablation.methods:
        _known("methods", partial(ALIGNERS.get, method.method))
    _known("benchmarks" if ablation.benchmarks else "suite", partial(members_of, ablation.suite, ablation.benchmarks))
    return ablation


def _known(where: str, find: Callable[[], object]) -> None:
    """Raise the UsageError of ``find`` as one of the recipe's line ``where``."""
    try:
        find()
    except UsageError as error:
        raise UsageError(f"ablation recipe: {where}: {error}") from error


def base_run(base: int | None) -> str:
    """What the run of a base model is called, of the one of an ablation without ``bases`` or of one of them."""
    return "base" if base is None else f"base-b{base}"


def panel_name(panel: str, base: int | None) -> str:
    """The panel of the runs from one base model: those of another one have another base to be compared with."""
    return panel if base is None else ", ".join(filter(None, (panel, f"base model {base}")))


def jobs(ablation: Ablation, db: str) -> list[Job]:
    """Panels x bases x methods x settings x seeds. Raises UsageError where two runs would have one name."""
    planned = []
    every = itertools.product(ablation.panels, ablation.bases or (None,), ablation.seeds, ablation.methods)
    for panel, base, seed, row in every:
        of_base = {} if base is None else {"sft_seed": base}
        for label, swept in sweep(row):
            parts = [slug(label), slug(panel.name), "" if base is None else f"b{base}", f"s{seed}"]
            name = "-".join(filter(None, parts))
            given = {**ablation.world, **ablation.common, **(panel.set or {}), **swept, **of_base}
            settings = {**given, "method": row.method, "seed": seed}
            require_name("ablation recipe: run", name)
            require_text("ablation recipe: panel", panel.name)
            planned.append(Job(db, name, label, panel_name(panel.name, base), settings, row.match, ablation))
    repeated = sorted(name for name, count in Counter(job.name for job in planned).items() if count > 1)
    if repeated:
        raise UsageError(
            f"ablation recipe: {', '.join(repeated)}: more than one run of this name. Give each row of methods a "
            "label, each panel a name, and each seed once."
        )
    return planned


def sweep(row: Method) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every combination of the values listed in its settings, labelled by the swept values.

    Raises UsageError for a list of none: there would be no run.
    """
    given = {k: v if isinstance(v, list) else [v] for k, v in (row.set or {}).items()}
    if empty := [name for name, values in given.items() if not values]:
        raise UsageError(f"ablation recipe: {row.method}: {', '.join(empty)}=[]: expected values to sweep.")
    for values in itertools.product(*given.values()):
        chosen = dict(zip(given, values, strict=True))
        swept = [f"{k}={v}" for k, v in chosen.items() if len(given[k]) > 1]
        yield " ".join([row.label or row.method, *swept]), chosen


def slug(text: str) -> str:
    """``text`` as part of a run's name."""
    return re.sub(r"[^\w=.]+", "-", text.lower()).strip("-")
