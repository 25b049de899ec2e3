"""What became of the runs of an ablation beside those that are done."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.store import EvaluationRecord


@dataclass(frozen=True)
class Shortfall:
    """An evaluation of which not every sample was scored, in words; ``unpaid``: for want of money, if only in part."""

    text: str
    unpaid: bool = False


@dataclass
class Outcome:
    """What became of an ablation's runs beside those that are done.

    ``failures``: runs that failed and why. ``incomplete``: evaluations of which not every sample was scored.
    ``unpaid``: runs that were not begun because the budget was spent.
    """

    failures: list[str] = field(default_factory=list)
    incomplete: list[Shortfall] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)


def shortfall(record: EvaluationRecord) -> Shortfall:
    """How much of an evaluation is not scored, and why."""
    reasons = "; ".join(f"{count} failed: {reason}" for reason, count in record.info.get("failures", {}).items())
    text = f"{record.run} on {record.benchmark}: {record.n_scored} of {record.n} scored"
    return Shortfall(text + (f" ({reasons})" if reasons else ""), "unpaid" in record.info.get("judging", {}))
