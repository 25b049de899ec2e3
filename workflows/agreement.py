"""`agree`: how far two judges, the runs of one, or a judge and people agree about the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from rich.console import RenderableType

from harness.errors import unknown_name
from harness.util.json_safe import json_safe
from workflows.requests import DB, Names, several
from workflows.results import RecordsOf

if TYPE_CHECKING:
    from leaderboards.agreement import Agreement, Estimate


@dataclass(frozen=True, repr=False)
class Agreements(RecordsOf["Agreement"]):
    """One agreement for each benchmark and rating that both raters rated."""

    agreements: tuple[Agreement, ...]

    @property
    def records(self) -> list[dict[str, Any]]:
        """One record a benchmark and rating; an estimate is three fields: ``alpha``, ``alpha_low``, ``alpha_high``."""
        return [record_of(each) for each in self.agreements]

    @property
    def _rows(self) -> Sequence[Agreement]:
        return self.agreements

    def __repr__(self) -> str:
        return f"Agreements({len(self.agreements)} ratings)"

    def __rich__(self) -> RenderableType:
        from leaderboards.formats.agreement_view import agreement_view

        return agreement_view(self.agreements)


def agree(
    a: str,
    b: str | None = None,
    *,
    human: str | Path | None = None,
    benchmark: Names = (),
    run: Names = (),
    rating: str | None = None,
    level: str | None = None,
    db: str | Path = DB,
) -> Agreements:
    """Agreement of two raters, or of the runs of one, about the same stored answers.

    Cohen's kappa, Krippendorff's alpha, which of the two rates higher, what judge runs add to a rating's variance.

    Args:
        a: a judge as the tables name it ("openai:gpt-4o"), or one of its runs ("openai:gpt-4o#0").
        b: the other one; None with ``human``, or for the agreement of A's own runs.
        human: JSONL or CSV of people's labels: {"id", "label"}, and "run" where answers of several models were judged.
        benchmark: only these; ``run``: only these models' answers. One or several.
        rating: the number of the verdicts that is compared; None: all that the benchmark declares.
        level: "nominal", "ordinal" or "interval"; None: as the benchmark declares.

    Raises HarnessError; a wrong name, file or row is its subclass UsageError.
    """
    from harness.protocols.benchmark import Level
    from leaderboards.human_labels import read_human_labels
    from leaderboards.raters import compare_raters
    from leaderboards.snapshot import Snapshot

    if level is not None and level not in (known := get_args(Level)):
        raise unknown_name("level of measurement", level, known)
    labels = None if human is None else read_human_labels(Path(human))
    chosen = {"benchmarks": several(benchmark), "runs": several(run)}
    snapshot = Snapshot.reading(db, *chosen["runs"])
    return Agreements(
        tuple(compare_raters(snapshot, a, b, human=labels, rating=rating, level=cast("Level | None", level), **chosen))
    )


ESTIMATES = ("alpha", "kappa", "weighted_kappa", "difference")


def record_of(agreement: Agreement) -> dict[str, Any]:
    """``agreement`` as a flat record; None where a number is undefined."""
    record = {name: value for name, value in asdict(agreement).items() if name not in (*ESTIMATES, *NESTED)}
    for name in ESTIMATES:
        record |= _flat(name, getattr(agreement, name))
    for side, rater in (("a", agreement.a), ("b", agreement.b or "")):
        record |= _flat(f"run_variance_{side}", agreement.run_variance.get(rater))
        record |= _flat(f"alpha_among_{side}", agreement.among.get(rater))
    return {**{name: json_safe(value) for name, value in record.items()}, "notes": list(agreement.notes)}


NESTED = ("among", "run_variance", "notes")


def _flat(name: str, estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
