"""`align`: a model trained on preference pairs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from commands import options
from commands.screen import line, out, print_facts, print_json

if TYPE_CHECKING:
    from workflows.results import AlignResult


class AlignCommand(click.Command):
    """`align`, whose help ends with the settings that people change most."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        from workflows.known_settings import common

        with formatter.section("Settings people change most (--set NAME=VALUE)"):
            formatter.write_dl([(f"{s.name} [{s.default}]", s.meaning.replace("``", "")) for s in common()])
        formatter.write_paragraph()
        formatter.write_text(
            "In brackets: the default; the embedded world has a recipe of its own (recipes/tinyworld.yaml). The "
            "objective's own settings, beta first: `list aligners`. All of them, with what TRL and LLaMA-Factory call "
            "them: `list settings` or docs/settings.md."
        )


@click.command("align", cls=AlignCommand)
@options.db
@options.assignments
@options.resume
@options.probe
@options.dry_run
@options.limit
@options.where
@options.cluster
@options.as_json
@click.option("--method", help="Aligner: see `list aligners`.  [default: dama]")
@click.option("--model", help="Hub id or directory of an image-text-to-text model.")
@click.option(
    "--data",
    multiple=True,
    help="Preference pairs: file, directory or hub id; may be repeated.  [default: the embedded world]",
)
@click.option(
    "--image-root", metavar="DIR", help="Folder of the images that the pairs name.  [default: the file's own]"
)
@click.option("--columns", metavar="OURS=THEIRS,...", help="Names of the pairs' columns: chosen=y_win,rejected=y_lose.")
@click.option("--recipe", type=options.RECIPE, help="YAML of settings.")
@click.option("--name", help="Name of the run.  [default: METHOD-sSEED, with other settings METHOD-sSEED-KEY]")
@click.option("--device", help="auto, cpu or cuda.  [default: auto]")
@click.option("--seed", type=int, help="Seed of data order and sampling.  [default: 0]")
def command(
    db: str, assignments: tuple[str, ...], resume: bool, probe: bool, dry_run: bool, as_json: bool,
    cluster: str | None, workers: int | None, gpus_per_worker: float | None, **options: Any,
) -> None:  # fmt: skip
    """Align a model on preference pairs.

    Without --model and --data the embedded world is used, built in $DAMA_HOME (default: ./artifacts) if absent, which
    takes minutes; --dry-run builds nothing.

    \b
    python cli.py align --method dama
    python cli.py align --method dpo --model DIR --data pairs.jsonl --set lr=5e-7 --set lora_rank=64
    """
    import dama
    from harness.util.options import parse_assignments
    from workflows.align import data_lines
    from workflows.library import estimate_align

    reading = {name: value for name in ("image_root", "columns", "where") if (value := options.pop(name))}
    settings = {**parse_assignments(assignments), **reading}
    options["data"] = ",".join(options["data"]) or None
    if dry_run:
        facts = estimate_align(**options, settings=settings, fresh=not resume, db=db)
        print_json(facts) if as_json else print_facts({**facts, "estimate": "", **facts["estimate"]})
        return
    run = dama.align(
        **options, settings=settings, fresh=not resume, probe=probe, cluster=cluster, workers=workers,
        gpus_per_worker=gpus_per_worker, db=db,
    )  # fmt: skip
    facts = {"name": run.name, "model_dir": str(run.model_dir), "seconds": round(run.seconds, 1), **run.last_step}
    if as_json:
        print_json({**facts, "done_before": run.done_before, "config": run.config, "info": run.info})
        return
    print_facts({**facts, "data": "; ".join(data_lines(run.info))})
    if run.done_before:
        line(f"\n{run.name} was done before, with these settings and pairs: nothing was trained (--fresh: anew).")
    out.print(f"\nNext: {next_command(run, db)}", highlight=False, markup=False, soft_wrap=True)


def next_command(run: AlignResult, db: str) -> str:
    """The command that benchmarks an alignment: on the user's own data, unless the model is the embedded world's."""
    from workflows.embedded import is_embedded_model

    words = ["python", "cli.py", "bench", "--suite", "hallucination", "--model", run.model]
    words += [] if is_embedded_model(str(run.config["model"])) else ["--data-dir", "DIR", "--judge", "openai:NAME"]
    return shlex.join([*words, *([] if db == "results.sqlite" else ["--db", db])])
