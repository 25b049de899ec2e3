"""`claims`: a paper's claims as experiments, each an ablation over base models and seeds with what it is to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import UsageError, unknown_name
from harness.store import AlignmentRecord, Store
from harness.util.options import build, overlay, read_yaml
from leaderboards.crossed import Contrast, Crossed, Figure, adjusted, figure_of
from leaderboards.run_groups import BASE
from leaderboards.selection import Selection
from leaderboards.snapshot import Snapshot
from recipes import RECIPES
from workflows.ablation import Ablation, Job, jobs, panel_name, read_ablation
from workflows.ablation_jobs import resolved

CLAIMS = RECIPES / "claims"
COMMON = "common"
"""The file of what all claims share, which a claim's own ablation is laid over."""

Expected = Literal["lower", "higher", "not lower", "not higher"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a claim says of one row, in every panel of the claim.

    Args:
        row: the label of the row.
        against: the row that it is compared with, or "base"; None: with 0, where the gaps of every training start.
        figure: BENCHMARK.METRIC or gap.NAME; None: the claim's first.
        expect: what the claim says of the difference.
        panels: only of these; () for all.
    """

    row: str
    expect: Expected
    against: str | None = None
    figure: str | None = None
    panels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An experiment.

    Args:
        number: its place on the page.
        title: of its section.
        claim: what is claimed, and by whom.
        figures: shown of every row, BENCHMARK.METRIC or gap.NAME; comparisons are in the first where they say nothing.
        comparisons: what is tested.
        ablation: its runs, as a recipe of ``ablate``.
        control: what the comparisons rule out.
    """

    title: str
    claim: str
    figures: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    ablation: dict = field(default_factory=dict)  # type: ignore[type-arg]
    control: str = ""
    number: int = 0


@dataclass(frozen=True)
class Compared:
    """A comparison in one panel, with its p-value after Holm's correction over those of the claim in its figure."""

    figure: str
    expect: Expected
    contrast: Contrast
    p: float

    @property
    def verdict(self) -> Literal["holds", "does not hold", "not shown", "not contradicted"]:
        """Whether the claim holds. Where the difference cannot be distinguished from 0: "not shown", or "not
        contradicted" of a claim that there is none in one direction.
        """
        negated = self.expect.startswith("not ")
        if not self.p < 0.05:
            return "not contradicted" if negated else "not shown"
        lower = self.contrast.difference.value < 0
        return "holds" if lower == (self.expect in ("lower", "not higher")) else "does not hold"


@dataclass(frozen=True)
class Result:
    """What a store says of a claim.

    Args:
        name: of its recipe.
        claim: the recipe.
        ablation: its runs.
        figures: of the rows that have the same seeds from every base, by name.
        tested: the comparisons of such rows.
        missing: by panel and label how many of its runs are there, of rows that lack some.
        seeds: by panel those that its rows have.
        runs: how many runs there are of how many.
    """

    name: str
    claim: Claim
    ablation: Ablation
    figures: Mapping[str, Figure]
    tested: tuple[Compared, ...]
    missing: Mapping[tuple[str, str], int]
    seeds: Mapping[str, tuple[int, ...]]
    runs: tuple[int, int]


def claim_names() -> list[str]:
    """The claims that come with the harness, in the order of the page."""
    names = sorted(file.stem for file in CLAIMS.glob("*.yaml") if file.stem != COMMON)
    return sorted(names, key=lambda name: int(read_yaml(CLAIMS / f"{name}.yaml").get("number", 0)))


def read_claim(name: str) -> Claim:
    """The claim called ``name``; UsageError where there is none, or its recipe is not one."""
    if name not in claim_names():
        raise unknown_name("claim", name, claim_names())
    return claim_of(read_yaml(CLAIMS / f"{name}.yaml"), read_yaml(CLAIMS / f"{COMMON}.yaml"))


def claim_of(values: Mapping[str, Any], common: Mapping[str, Any]) -> Claim:
    """A claim whose ablation is laid over the one that all share; UsageError where it compares what it does not run."""
    values = overlay({"ablation": common}, values)
    claim = build(Claim, values, "claim")
    ablation = read_ablation(claim.ablation)
    if not ablation.bases:
        raise UsageError(f"claim {claim.title}: bases: expected at least one base model.")
    planned = jobs(ablation, "")
    labels, panels = {BASE, *(job.label for job in planned)}, {panel.name for panel in ablation.panels}
    for each in claim.comparisons:
        for label in filter(None, (each.row, each.against)):
            if label not in labels:
                raise unknown_name(f"row of claim {claim.title}", label, labels)
        for panel in each.panels:
            if panel not in panels:
                raise unknown_name(f"panel of claim {claim.title}", panel, panels)
    return claim


def results(claims: Mapping[str, Claim], store: Store) -> list[Result]:
    """What ``store`` says of ``claims``, read once."""
    snapshot = Snapshot(store, Selection(hidden=store.hidden_runs()))
    return [result_of(name, claim, store, snapshot) for name, claim in claims.items()]


def result_of(name: str, claim: Claim, store: Store, snapshot: Snapshot) -> Result:
    """What ``store`` says of ``claim``, from runs that were made with its settings alone."""
    ablation = read_ablation(claim.ablation)
    planned = jobs(ablation, str(store.path))
    made = made_runs(store, planned)
    rows, missing, seeds = crossed_rows(ablation, planned, made)
    figures: dict[str, Figure] = {}
    if rows:
        figures = {each: figure_of(snapshot, rows, each) for each in figure_names(claim)}
    found, runs = tested(claim, ablation, figures), (len(made), len(planned))
    return Result(name, claim, ablation, figures, found, missing, seeds, runs)


def figure_names(claim: Claim) -> list[str]:
    """The figures that a claim shows or tests, each once."""
    return list(dict.fromkeys([*claim.figures, *(each.figure for each in claim.comparisons if each.figure)]))


def made_runs(store: Store, planned: Sequence[Job]) -> dict[str, AlignmentRecord]:
    """The finished runs of ``planned`` that have the settings planned now, by name; paths may be others."""
    stored = {run.name: run for run in store.alignments() if run.status == "done"}
    return {job.name: stored[job.name] for job in planned if job.name in stored and _as_planned(store, job, stored)}


def _as_planned(store: Store, job: Job, stored: Mapping[str, AlignmentRecord]) -> bool:
    run = stored[job.name]
    spec = resolved(store, job, "auto", built=False)
    return (run.method, run.panel) == (job.label, job.panel) and _comparable(spec.record) == _comparable(run.config)


def _comparable(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run that are the same wherever the world lies, and on whatever it ran: of paths the last two parts,
    which hold the keys of what the world is made of."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": each for inner, each in _comparable(value).items()}
        elif isinstance(value, str) and "/" in value:
            flat[name] = Path(value).parts[-2:]
        elif name not in ("device", "content"):
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def crossed_rows(
    ablation: Ablation, planned: Sequence[Job], made: Mapping[str, AlignmentRecord]
) -> tuple[list[Crossed], dict[tuple[str, str], int], dict[str, tuple[int, ...]]]:
    """The rows of every panel with the seeds that all of them have from every base; by panel and label how many runs
    there are of rows that lack some; and the seeds by panel.

    A row with half as many such seeds as another of its panel, or fewer, is not among them: it would take theirs away.
    """
    rows, missing, seeds = [], {}, {}
    for panel in ablation.panels:
        runs = {label: _runs(ablation, planned, made, panel.name, label) for label in _labels(planned)}
        whole = {label: [seed for seed in ablation.seeds if _whole(each, seed)] for label, each in runs.items()}
        most = max(map(len, whole.values()))
        shown = [label for label in runs if 2 * len(whole[label]) > most]
        common = tuple(seed for seed in ablation.seeds if shown and all(seed in whole[label] for label in shown))
        for label, each in runs.items():
            there = sum(seed in of_base for of_base in each for seed in ablation.seeds)
            if there < len(ablation.bases) * len(ablation.seeds):
                missing[panel.name, label] = there
            if label in shown and common:
                crossed = tuple(tuple(of_base[seed] for seed in common) for of_base in each)
                rows.append(Crossed(panel.name, label, crossed))
        if common:
            seeds[panel.name] = common
    return rows, missing, seeds


def _labels(planned: Sequence[Job]) -> list[str]:
    return list(dict.fromkeys(job.label for job in planned))


def _runs(
    ablation: Ablation, planned: Sequence[Job], made: Mapping[str, AlignmentRecord], panel: str, label: str
) -> list[dict[int, AlignmentRecord]]:
    """Of every base the runs of a row that are made, by seed."""
    panels = [panel_name(panel, base) for base in ablation.bases]
    own = [job for job in planned if job.label == label and job.name in made]
    return [{int(job.settings["seed"]): made[job.name] for job in own if job.panel == name} for name in panels]


def _whole(runs: Sequence[Mapping[int, AlignmentRecord]], seed: int) -> bool:
    return all(seed in of_base for of_base in runs)


def tested(claim: Claim, ablation: Ablation, figures: Mapping[str, Figure]) -> tuple[Compared, ...]:
    """The comparisons of a claim whose rows are there, panel by panel, with Holm's correction in each figure."""
    by_figure: dict[str, list[tuple[Comparison, Contrast]]] = {}
    for each in claim.comparisons:
        name = each.figure or claim.figures[0]
        for panel in each.panels or [panel.name for panel in ablation.panels]:
            needed = {(panel, label) for label in (each.row, each.against) if label not in (None, BASE)}
            known = each.against != BASE or (name in figures and figures[name].own is not None)
            if known and name in figures and needed <= figures[name].measured.keys():
                contrast = figures[name].contrast(panel, each.row, each.against)
                by_figure.setdefault(name, []).append((each, contrast))
    found = []
    for name, pairs in by_figure.items():
        both = zip(pairs, adjusted([contrast for _, contrast in pairs]), strict=True)
        found += [Compared(name, each.expect, contrast, p) for (each, _), (contrast, p) in both]
    return tuple(found)
