"""What `bench` and `score` show alike: the estimate of a dry run, what the judge cost, the figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.screen import INCOMPLETE, err, note, out, print_json

if TYPE_CHECKING:
    from harness.store import EvaluationRecord
    from workflows.estimate import Estimate

COUNTS = {
    "generations": "Answers",
    "judge_calls": "Calls",
    "stored_replies": "Stored",
    "judge_prompt_tokens": "Tokens in",
    "judge_completion_tokens": "out",
}
"""Columns of an estimate by the names they are shown under."""


def show_estimates(estimates: Sequence[Estimate], as_json: bool) -> None:
    """What a dry run found: a row for each model and benchmark, and their sums."""
    from workflows.estimate import plan as sums

    plan = sums(estimates)
    if as_json:
        print_json(plan)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("Model", "Benchmark", "Judge", box=None, pad_edge=False)
    for title in (*COUNTS.values(), "USD"):
        table.add_column(title, justify="right")
    for row in [*plan["benchmarks"], {"model": "", "benchmark": "all", "judge": "", **plan["total"]}]:
        money = "price unknown" if row["usd"] is None else f"{row['usd']:.2f}"
        counts = [f"{row[name]:,}" for name in COUNTS]
        bias = f", EOS bias {row['eos_bias']:+g}" if row.get("eos_bias") else ""
        table.add_row(*map(Text, (row["model"], row["benchmark"] + bias, row["judge"] or "-")), *counts, money)
    out.print(table)
    err.print("Calls, tokens in and out are the judge's; replies as long as allowed, no re-asks.", style="dim")


def print_cost(usd: float | None) -> None:
    """What the judge cost, where it has a price."""
    if usd:
        err.print(f"The judge cost ${usd:.4f}.", highlight=False)


def finish(records: Sequence[EvaluationRecord], printed: Any, as_json: bool) -> None:
    """Show evaluations; exit 3 where a sample failed or has no answer."""
    from leaderboards.formats.terminal import evaluation_table

    for record in records:
        # Data with a known truth is the embedded world's: that it is not the official file is no news. It is stored.
        embedded = (Path(record.data_dir) / "truth.jsonl").exists()
        for text in [] if embedded else record.info.get("data_notes", []):
            note(f"{record.benchmark}: {text}")
        for reason, count in record.info.get("failures", {}).items():
            note(f"{record.benchmark}: {count} failed: {reason}")
    if as_json:
        print_json(printed)
    else:
        out.print(evaluation_table(records))
    if any(record.n_scored < record.n for record in records):
        sys.exit(INCOMPLETE)
