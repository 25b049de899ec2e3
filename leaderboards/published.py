"""Published figures to stand beside one's own, never among them, and only where the evaluator is an equal one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.evaluation.fingerprint import Fingerprint
from leaderboards.declared import benchmark_title
from leaderboards.rows import Table

SOURCE = (
    "PEA-DPO (ACM MM 2026), table 1: one evaluator for all rows; mDPO re-run there, RLAIF-V, OPA-DPO and DAMA from "
    "their authors' checkpoints. mPEA-DPO is shown where a run of its variant, pea-dpo-repo, is. Not measured here."
)
Wanted = Literal["equal", "all"]
"""Which are shown: of benchmarks that a row's evaluator is equal on, or all, said not to be comparable."""


@dataclass(frozen=True)
class Scoring:
    """What the published figures of a benchmark were scored with: the official resources throughout, and this.

    Args:
        benchmark: by name.
        samples: the official ones, all of them.
        judge: the model, "none" where none is asked, "" where the paper does not name it: then no evaluator is known to
            be an equal one.
    """

    benchmark: str
    samples: int
    judge: str

    def differs(self, evaluator: Fingerprint, samples: int) -> str:
        """What ``evaluator``, on so many samples, has otherwise; "" where it is an equal one."""
        if not evaluator.official_data or samples != self.samples:
            of = "" if evaluator.official_data else " of other files"
            return f"on all {self.samples:,} official samples; yours: {samples:,}{of}"
        if _model(evaluator.judge) != self.judge:
            known = {"none": "without a judge", "": "with a judge that the paper does not name"}
            return f"{known.get(self.judge, f'with {self.judge} as judge')}; yours: {evaluator.judge}"
        if evaluator.official != "full":
            differs = "; ".join(evaluator.differs) or "not recorded"
            return f"with the official resources; yours: {differs}"
        return ""


@dataclass(frozen=True)
class Column:
    """A published figure: its title with unit and direction, its benchmark, its decimals as published."""

    title: str
    benchmark: str
    decimals: int = 1


SCORED_WITH = (Scoring("object_halbench", 300, ""), Scoring("mmhal", 96, ""), Scoring("amber", 15_220, "none"))
COLUMNS = (
    Column("CHAIRs, % ↓", "object_halbench"),
    Column("CHAIRi, % ↓", "object_halbench"),
    Column("MMHal score, 0–6 ↑", "mmhal", 2),
    Column("MMHal hal. rate, 0–1 ↓", "mmhal", 2),
    Column("AMBER CHAIR, % ↓", "amber"),
    Column("AMBER Cover, % ↑", "amber"),
    Column("AMBER Hal, % ↓", "amber"),
    Column("AMBER Cog, % ↓", "amber"),
)
"""Object HalBench's CHAIRs is what `chair_s_refine` is here. MMHal's rate is published as a share; this project's
own tables have it in percent.
"""

ROWS: Sequence[tuple[str, tuple[float, ...]]] = (
    ("GPT-4V", (13.6, 7.3, 3.49, 0.28, 4.6, 67.1, 30.7, 2.6)),
    ("LLaVA-1.5-7B", (53.6, 25.2, 2.11, 0.54, 7.8, 51.0, 36.4, 4.2)),
    ("mDPO-7B", (35.7, 9.8, 2.39, 0.54, 4.4, 52.4, 24.5, 2.4)),
    ("RLAIF-V-7B", (16.0, 3.7, 3.00, 0.38, 3.0, 50.4, 16.2, 1.0)),
    ("OPA-DPO-7B", (13.0, 4.3, 2.83, 0.45, 2.2, 47.9, 11.6, 0.9)),
    ("DAMA-7B", (10.3, 5.9, 2.76, 0.41, 3.0, 48.3, 14.8, 1.2)),
    ("DAMA-13B", (7.7, 4.9, 2.89, 0.43, 3.0, 50.5, 14.1, 0.9)),
    ("mPEA-DPO-7B", (4.3, 3.2, 3.02, 0.36, 1.9, 46.7, 10.3, 0.6)),
)

BESIDE = {"mPEA-DPO-7B": "pea-dpo-repo"}
"""Rows that stand only beside a run of the method whose variant they are."""


@dataclass(frozen=True)
class Published:
    """A block of published figures: what it is called, its columns, its rows of a model and its figures, as published;
    ``left_out``: the sentence on what is not shown and why, "" where all is."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: str = ""
    source: str = SOURCE


def published_block(tables: Sequence[Table], methods: Collection[str], wanted: Wanted = "equal") -> Published:
    """The published figures to show beside ``tables``, where runs of these ``methods`` are."""
    unequal = {} if wanted == "all" else {s.benchmark: why for s in SCORED_WITH if (why := _unequal(s, tables))}
    shown = [i for i, column in enumerate(COLUMNS) if column.benchmark not in unequal]
    rows = [(name, values) for name, values in ROWS if BESIDE.get(name) in (None, *methods)] if shown else []
    reasons = "; ".join(f"{benchmark_title(name)}, {why}" for name, why in unequal.items())
    more = ", not comparable with yours" if wanted == "all" else ""
    return Published(
        f"Published figures, not measured here{more}",
        tuple(COLUMNS[i].title for i in shown),
        tuple((name, tuple(f"{values[i]:.{COLUMNS[i].decimals}f}" for i in shown)) for name, values in rows),
        f"Published figures without a row of an equal evaluator are left out: {reasons}." if reasons else "",
    )


def _unequal(scoring: Scoring, tables: Sequence[Table]) -> str:
    """Why no row of ``tables`` has an evaluator equal to the published one; "" where one has."""
    differing = dict.fromkeys(_differing(scoring, tables))
    if "" in differing:
        return ""
    return f"published {' or '.join(differing)}" if differing else "of which there is no row"


def _differing(scoring: Scoring, tables: Sequence[Table]) -> Iterator[str]:
    """Of every row of the benchmark what its evaluator has otherwise; "" of an equal one."""
    for table in tables:
        if table.condition.benchmark == scoring.benchmark:
            for row in table.rows:
                found = [scoring.differs(of, row.n // len(row.runs)) for of in row.evaluators]
                yield next(filter(None, found), "")


def _model(judge: str) -> str:
    """The model of a judge as tables name it: "openai:gpt-4-0613" is gpt-4-0613, also at another endpoint."""
    return judge.partition(":")[2] or judge
