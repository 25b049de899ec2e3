"""What `bench` and `score` show alike: the estimate of a dry run, what the judge cost, the figures."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.screen import INCOMPLETE, err, line, note, out, print_json

if TYPE_CHECKING:
    from harness.store import EvaluationRecord
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

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("Model", "Benchmark", "Judge"):
        table.add_column(title, overflow="fold")  # a name that is cut can be another's
    for title in (*COUNTS.values(), "USD"):
        table.add_column(title, justify="right", overflow="fold")
    for row in [*plan["benchmarks"], {"model": "", "run": "", "benchmark": "all", "judge": "", **plan["total"]}]:
        money = "price unknown" if row["usd"] is None else f"{row['usd']:.2f}"
        counts = [f"{row[name]:,}" for name in COUNTS]
        bias = f", EOS bias {row['eos_bias']:+g}" if row.get("eos_bias") else ""
        table.add_row(
            *map(Text, (row["run"] or row["model"], row["benchmark"] + bias, row["judge"] or "-")), *counts, money
        )
    out.print(table)
    if more := plan.get("at_most"):
        usd = "price unknown" if more["usd"] is None else f"${more['usd']:.2f}"
        err.print(
            f"--eos-bias auto: at most {more['generations']:,} more answers and {more['judge_calls']:,} more calls "
            f"({usd}), as far as curves need points.",
            highlight=False,
        )
    err.print("Calls, tokens in and out are the judge's; replies as long as allowed, no re-asks.", style="dim")


def finish(result: BenchResult | Evaluation, as_json: bool, db: str) -> None:
    """Show evaluations, what the judge cost, and of `bench` what the leaderboard in ``db`` says with them, in words.

    Exit 3 where a sample failed or has no answer. JSON is an array of `bench`, an object of `score`.
    """
    from harness.evaluation.score import result_object
    from workflows.results import Evaluation

    if result.usd:
        err.print(f"The judge cost ${result.usd:.4f}.", highlight=False)
    evaluations = [result] if isinstance(result, Evaluation) else list(result)
    for text in notes_of([evaluation.record for evaluation in evaluations]):
        note(text)
    if as_json:
        objects = [result_object(evaluation.record) for evaluation in evaluations]
        print_json(objects[0] if isinstance(result, Evaluation) else objects)
    else:
        out.print(result)
        if not isinstance(result, Evaluation):
            _say(result, db)
    if not result.complete:
        sys.exit(INCOMPLETE)


def notes_of(records: Sequence[EvaluationRecord]) -> list[str]:
    """What is to be said of evaluations: of the data once, of answers with the run they are of where there are several
    evaluations of a benchmark.
    """
    from workflows.embedded import is_embedded

    # That the embedded world's files are not the official ones is no news. It is stored.
    of_data = [
        f"{record.benchmark}: {text}"
        for record in records
        if not is_embedded(Path(record.data_dir))
        for text in record.info.get("data_notes", [])
    ]
    of_data += official_notes(records)
    counts = Counter(record.benchmark for record in records)
    of_answers = [
        f"{record.benchmark}{f', {_whose(record)}' if counts[record.benchmark] > 1 else ''}: {text}"
        for record in records
        for text in _of_answers(record)
    ]
    return [*dict.fromkeys(of_data), *of_answers]


def official_notes(records: Sequence[EvaluationRecord]) -> list[str]:
    """A line for every benchmark whose official figures follow the rules only, with what was used instead."""
    from harness.evaluation.score import unofficial_note

    return list(dict.fromkeys(f"{record.benchmark}: {text}" for record in records for text in unofficial_note(record)))


def _whose(record: EvaluationRecord) -> str:
    """The run, and how it was decoded where that is a point of a coverage curve."""
    bias = float(record.decoding.get("eos_bias", 0))
    return f"{record.run} at EOS bias {bias:+g}" if bias else record.run


def _of_answers(record: EvaluationRecord) -> Iterator[str]:
    yield from record.info.get("notes", [])
    for name, figure in record.metrics.items():
        if lost := figure.get("groups_left_out"):
            yield f"{name} leaves out {lost} of {figure['groups'] + lost} groups: a sample failed or is missing"
    for reason, count in record.info.get("failures", {}).items():
        yield f"{count} failed: {reason}"


def _say(result: BenchResult, db: str) -> None:
    """The answer in words, of the tables that the evaluations stand in."""
    from harness.store import Store
    from workflows.report import answer_of

    with err.status("comparing with what is stored"):
        said = answer_of(Store.reading(db), [evaluation.record for evaluation in result])
    for text in said:
        line(text)
