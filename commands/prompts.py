"""`prompts`: a benchmark's questions, to be answered by code of one's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from commands import options
from commands.screen import note, print_text


@click.command("prompts")
@click.argument("benchmark")
@options.assignments
@options.drawn
@click.option(
    "--data-dir", type=options.FOLDER, help="The benchmark's folder, or its parent.  [default: the embedded world]"
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSONL.  [default: the terminal]")
def command(
    benchmark: str, assignments: tuple[str, ...], limit: int | None, data_dir: Path | None, out: Path | None
) -> None:
    """What a benchmark asks: id, prompt and image, one JSON object a line; `score` takes the answers by id.

    The protocol (version, settings, decoding) is written beside it: asked.protocol.json to
    asked.jsonl. An image that lies inside the data is given as base64.

    \b
    python cli.py prompts pope --data-dir benchmarks-data --out pope.jsonl
    python cli.py score --benchmark pope --data-dir benchmarks-data --responses answers.jsonl
    """
    import dama
    from harness.util.options import parse_assignments
    from leaderboards.provenance import set_words

    asked = dama.prompts(benchmark, data_dir, settings=parse_assignments(assignments), limit=limit)
    if asked.missing:
        note(
            f"{len(asked.missing)} images are not there, {asked.missing[0]} among them; `fetch {benchmark}` gets data."
        )
    if out is None:
        print_text("".join(json.dumps(record) + "\n" for record in asked))
        note(f"protocol: {json.dumps(asked.protocol)}")
        return
    questions, protocol = asked.write(out)
    note(f"wrote {questions} ({len(asked):,} questions) and {protocol}")
    words = ["score", "--benchmark", benchmark, "--data-dir", str(asked.folder)]
    words += set_words(asked.protocol["settings"])
    note(f'score the answers: python cli.py {shlex.join(words)} --responses FILE, with {{"id", "response"}} a line')
    note("if you decode otherwise than the protocol says, say so there: --set decoding.NAME=VALUE")
