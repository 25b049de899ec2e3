"""`doctor`: what is installed, what is missing, and whether a model is asked what it is trained on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from commands import options
from commands.screen import line, out, print_json

if TYPE_CHECKING:
    from workflows.model_doctor import ProbedModel

MARKS = {
    "ok": "[green]ok[/]",
    "missing": "[yellow]--[/]",
    "note": "[yellow]--[/]",
    "warning": "[yellow]! [/]",
    "bad": "[red]!![/]",
}


@click.command("doctor")
@options.db
@options.assignments
@options.device
@options.as_json
@click.option("--model", "models", multiple=True, help="hf:DIR, run:NAME, openai:NAME@URL to probe; may be repeated.")
@click.option("--data", help="Preference pairs, of which the first is put to the models too.")
def command(
    db: str, assignments: tuple[str, ...], device: str, as_json: bool, models: tuple[str, ...], data: str | None
) -> None:
    """What is installed, which device is used, which optional parts are missing and how to add them.

    With --model it loads models and follows one question about one image from its prompt to the end of an answer:
    whether its tokens are the same in training, in generation and at an endpoint, where an answer ends, and whether
    the image is seen. Settings of a model: --set model.KEY=VALUE. Exit code 1 where something is wrong.

    \b
    python cli.py doctor
    python cli.py doctor --model hf:DIR --data pairs.jsonl
    python cli.py doctor --model openai:NAME@http://localhost:8000/v1 --set model.processor=DIR
    """
    from harness.errors import UsageError
    from harness.util.options import parse_assignments

    if data and not models:
        raise UsageError("--data: name the models that its first pair is put to with --model.")
    if not models:
        _machine(as_json)
        return
    from workflows.bars import bars
    from workflows.model_doctor import probe_models

    settings = parse_assignments(assignments)
    with bars() as progress:
        found = probe_models(models, pairs=data, device=device, settings=settings, db=db, progress=progress)
    if as_json:
        print_json([model.record for model in found])
    else:
        for model in found:
            _show(model)
    if any(model.bad for model in found):
        sys.exit(1)


def _machine(as_json: bool) -> None:
    from workflows.doctor import checks

    rows = checks()
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            _check(row["name"], row["state"], row["detail"])
    if any(row["state"] == "bad" for row in rows):
        sys.exit(1)


def _check(name: str, state: str, detail: str) -> None:
    from rich.markup import escape

    out.print(f"{MARKS[state]}  [bold]{name}[/]  {escape(detail)}", highlight=False, soft_wrap=True)


def _show(model: ProbedModel) -> None:
    """What was asked of a model, its prompt and counts, and the checks, as a small table each."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    line(model.name, style="bold")
    if model.said:
        line(f"    {model.said}")
    for title, facts, checks in model.tables:
        if title:
            line(f"    {title}", style="dim")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, text in facts.items():
            table.add_row(Text(name), Text(text))
        out.print(Padding(table, (0, 0, 0, 4)))
        for check in checks:
            _check(*check)
