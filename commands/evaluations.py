"""What `bench` and `score` show alike: the estimate of a dry run, what the judge cost, the figures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.screen import INCOMPLETE, err, line, note, out, print_json

if TYPE_CHECKING:
    from workflows.cost import BenchCost
    from workflows.results import BenchResult, Evaluation

COUNTS = {
    "generations": "Answers",
    "stored_answers": "stored",
    "judge_calls": "Calls",
    "stored_replies": "stored",
    "judge_prompt_tokens": "Tokens in",
    "judge_completion_tokens": "out",
}
"""Columns of an estimate by the names they are shown under."""


def show_estimates(estimates: Sequence[BenchCost], as_json: bool) -> None:
    """What a dry run found: a row for each model and benchmark, and their sums."""
    from workflows.cost import cost_report as sums

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


def finish(result: BenchResult | Evaluation, as_json: bool, db: str) -> None:
    """Show evaluations, what the judge cost, and of `bench` what the leaderboard in ``db`` says with them, in words.

    Exit 3 where a sample failed or has no answer. JSON is an array of `bench`, an object of `score`.
    """
    from harness.evaluation.score import result_object
    from workflows.embedded import is_embedded
    from workflows.results import Evaluation

    if result.usd:
        err.print(f"The judge cost ${result.usd:.4f}.", highlight=False)
    evaluations = [result] if isinstance(result, Evaluation) else list(result)
    for record in (evaluation.record for evaluation in evaluations):
        # That the embedded world's files are not the official ones is no news. It is stored.
        for text in [] if is_embedded(Path(record.data_dir)) else record.info.get("data_notes", []):
            note(f"{record.benchmark}: {text}")
        for text in record.info.get("notes", []):
            note(f"{record.benchmark}: {text}")
        for name, figure in record.metrics.items():
            if lost := figure.get("groups_left_out"):
                whole = figure["groups"] + lost
                note(f"{record.benchmark}: {name} leaves out {lost} of {whole} groups: a sample failed or is missing")
        for reason, count in record.info.get("failures", {}).items():
            note(f"{record.benchmark}: {count} failed: {reason}")
    if as_json:
        objects = [result_object(evaluation.record) for evaluation in evaluations]
        print_json(objects[0] if isinstance(result, Evaluation) else objects)
    else:
        out.print(result)
        if not isinstance(result, Evaluation):
            _say(result, db)
    if not result.complete:
        sys.exit(INCOMPLETE)


def _say(result: BenchResult, db: str) -> None:
    """The answer in words, of the tables that the evaluations stand in."""
    from harness.store import Store
    from workflows.report import answer_of

    with err.status("comparing with what is stored"):
        said = answer_of(Store.existing(db), [evaluation.record for evaluation in result])
    for text in said:
        line(text)
