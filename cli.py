"""The screen: options in, one call, tables and progress out. The only place that prints."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from harness.errors import HarnessError, UsageError

out = Console(emoji=False)  # a name may hold :a_word: between colons
err = Console(stderr=True, emoji=False)

INCOMPLETE = 3


class Main(click.Group):
    """Turns an error that a user can act on into one message and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            err.print("Error", style="bold red", end=" ")
            err.print(str(error), highlight=False, markup=False, soft_wrap=True)
            ctx.exit(error.exit_code)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


class Bars:
    """Progress bars by step name, on stderr; also the ``progress(step, done, total)`` callback of the engine."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._tasks = progress, dict[str, TaskID]()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(escape(step), total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)
        if done >= total:  # what is done makes room for what is not
            self._progress.remove_task(self._tasks.pop(step))

    def log(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False)


@contextlib.contextmanager
def bars() -> Iterator[Bars]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=not err.is_terminal) as progress:
        yield Bars(progress)


def shared(*names: str) -> Callable[[Any], Any]:
    """Options that several commands take."""
    options = {
        "db": click.option(
            "--db", default="results.sqlite", show_default=True, type=click.Path(dir_okay=False), help="Results file."
        ),
        "json": click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout and nothing else."),
        "set": click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change one setting."),
        "device": click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
        "resume": click.option("--resume/--fresh", default=True, show_default=True, help="Go on, or start over."),
        "dry": click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing."),
        "limit": click.option("--limit", type=click.IntRange(min=1), help="Only the first N."),
        "judge": click.option("--judge", help="openai:NAME[@BASE_URL], replay:FILE.jsonl, or rule (embedded world)."),
        "budget": click.option(
            "--budget", type=click.FloatRange(min=0), metavar="USD", help="Limit of the judge's cost."
        ),
        "prices": click.option("--prices", type=click.Path(exists=True, dir_okay=False), help="YAML of your prices."),
    }

    def add(command: Any) -> Any:
        for name in reversed(names):
            command = options[name](command)
        return command

    return add


def emit(value: Any) -> None:
    from harness.util.json_safe import json_safe

    click.echo(json.dumps(json_safe(value), indent=2, allow_nan=False))


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Align multimodal LLMs against hallucination, and measure whether it helped.

    \b
    First:  python cli.py demo                        the whole chain on a small embedded world
    Then:   python cli.py align --method dama --model DIR --data pairs.jsonl
            python cli.py bench --suite hallucination --model run:dama-s0 --data-dir DIR --judge openai:NAME
            python cli.py leaderboard
    """


@cli.command()
@shared("db", "device", "json")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False), help="Default: recipes/demo.yaml.")
@click.option("--out", "folder", default=".", type=click.Path(file_okay=False), help="Where the leaderboard goes.")
def demo(db: str, device: str, as_json: bool, recipe: str | None, folder: str) -> None:
    """Run the whole chain on the embedded world: pairs, hardness, four methods, three benchmarks, leaderboard."""
    from workflows.settings import RECIPES

    run_ablation(Path(recipe) if recipe else RECIPES / "demo.yaml", db, device, Path(folder), as_json)


@cli.command()
@shared("db", "device", "json")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False), help="Default: recipes/ablation.yaml.")
@click.option("--out", "folder", default=".", type=click.Path(file_okay=False), help="Where the leaderboard goes.")
def ablate(db: str, device: str, as_json: bool, recipe: str | None, folder: str) -> None:
    """Align with every method of a recipe, benchmark base and all, and show them in one table.

    What is stored already is not done again; a run of the same name with other settings is replaced."""
    from workflows.settings import RECIPES

    run_ablation(Path(recipe) if recipe else RECIPES / "ablation.yaml", db, device, Path(folder), as_json)


def run_ablation(recipe: Path, db: str, device: str, folder: Path, as_json: bool) -> None:
    from harness.store import Store
    from harness.util.options import read_yaml
    from workflows.ablate import ablate as run_align
    from workflows.ablate import read_ablation
    from workflows.report import load, tables, typical_of_scene, write_report

    store = Store(db)
    with bars() as shown:
        failures = run_align(
            read_ablation(read_yaml(recipe)),
            db,
            device=device,
            log=shown.log,
            progress=lambda done, total: shown("runs", done, total),
            steps=shown,
        )
    with err.status("writing the report"):
        loaded = load(store)
        files = write_report(store, folder, loaded)
    if as_json:
        emit({"failures": failures, "db": db, "files": [str(file) for file in files]})
    else:
        for table in tables(store, loaded):
            out.print(table)
        out.print(typical_of_scene(store) or "", highlight=False, markup=False)
        places = f"\nResults  {Path(db).resolve()}\nModels   {models_dir()}"
        out.print(places, highlight=False, markup=False, soft_wrap=True)
        for file in files:
            out.print(f"Report   {file.resolve()}", highlight=False, markup=False, soft_wrap=True)
    if failures:
        raise HarnessError(
            "Some runs failed; the others are stored, and the same command tries these again:\n  "
            + "\n  ".join(failures)
        )


def models_dir() -> Path:
    from harness.util.paths import home

    return (home() / "aligned").resolve()


@cli.command()
@shared("db", "set", "device", "resume", "dry", "limit", "json")
@click.option("--method", help="Aligner: see `list aligners`.  [default: dama]")
@click.option("--model", help="Hub id or directory of an image-text-to-text model.")
@click.option("--data", help="Preference pairs: JSONL, parquet or hub id.  [default: the embedded world]")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML of settings.")
@click.option("--name", help="Name of the run.  [default: METHOD-sSEED, with other settings METHOD-sSEED-KEY]")
@click.option("--seed", type=int, help="Seed of data order and sampling.  [default: 0]")
def align(
    db: str, assignments: tuple[str, ...], device: str, resume: bool, dry_run: bool, limit: int | None,
    as_json: bool, recipe: Path | None, **options: Any,
) -> None:  # fmt: skip
    """Align a model on preference pairs.

    \b
    python cli.py align --method dama
    python cli.py align --method dpo --model DIR --data pairs.jsonl --set lr=5e-7 --set lora_rank=64
    """
    from harness.store import Store
    from workflows.align import align as run_align
    from workflows.align import dry_run as estimated
    from workflows.align import resolve_alignment, with_unique_name
    from workflows.settings import gather

    settings = gather(recipe, assignments, {**options, "limit": limit, "device": device})
    store = Store(db)
    with bars() as shown:
        spec = resolve_alignment(settings, shown)
        spec = with_unique_name(store, spec, named="name" in settings, fresh=not resume)
        record = None if dry_run else run_align(store, spec, fresh=not resume, progress=shown)
    if record is None:
        facts = estimated(spec)
        emit(facts) if as_json else print_facts({**facts, "estimate": "", **facts["estimate"]})
        return
    last = (store.train_log(record.name) or [{}])[-1]
    facts = {"name": record.name, "model_dir": record.model_dir, "seconds": round(record.seconds, 1), **last}
    emit({**facts, "config": record.config, "info": record.info}) if as_json else print_facts(facts)
    if not as_json:
        following = f"\nNext: python cli.py bench --suite hallucination --model run:{record.name}"
        out.print(following, highlight=False, markup=False)


def print_facts(facts: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(Text(name, "bold"), Text(f"{value:.4g}" if isinstance(value, float) else str(value)))
    out.print(table)


@cli.command()
@shared("db", "set", "device", "judge", "budget", "prices", "resume", "dry", "limit", "json")
@click.option("--suite", help="hallucination, general, all, or a YAML file.  [default: hallucination]")
@click.option("--benchmark", "names", multiple=True, help="A single benchmark (see `list`); may be repeated.")
@click.option("--model", "models", multiple=True, help="hf:DIR, run:NAME, replay:FILE; default: base and every run.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Benchmark data.  [default: the embedded world]")
@click.option("--share", is_flag=True, help="Share the work with other processes on the same --db (torchrun: set).")
@click.option(
    "--eos-bias",
    "eos_biases",
    type=float,
    multiple=True,
    help="Object HalBench once more with this bias on the end-of-sequence logit (longer answers below 0); may be "
    "repeated. Two of them, on both sides of 0, and CHAIRi can be compared at the base's coverage.",
)
@click.option("--shard", metavar="I/N", help="Only answer the I-th of N parts; score later, without this option.")
def bench(
    db: str, assignments: tuple[str, ...], device: str, judge: str | None, budget: float | None, prices: str | None,
    resume: bool, dry_run: bool, limit: int | None, as_json: bool, suite: str | None, names: tuple[str, ...],
    models: tuple[str, ...], data_dir: Path | None, eos_biases: tuple[float, ...], shard: str | None, share: bool,
) -> None:  # fmt: skip
    """Answer benchmarks with models and score the answers.

    Settings of the judge: --set judge.KEY=VALUE; of a model: --set model.dtype=bfloat16, model.quantization=4bit,
    model.device_map=auto, model.batch_size=64.

    \b
    python cli.py bench --suite hallucination
    python cli.py bench --benchmark amber --model hf:llava-hf/llava-1.5-7b-hf --data-dir data/amber
    """
    from harness.evaluation.score import result_object
    from harness.evaluation.shard import Shard
    from harness.store import Store
    from harness.util.distributed import rank_and_world_size
    from workflows import bench as work
    from workflows.ablate import bench_root
    from workflows.estimate import plan
    from workflows.judging import Judges, split_assignments
    from workflows.suites import members_of

    part = Shard.parse(shard) if shard else None
    words, judge_settings = split_assignments(assignments)
    words, loading = split_assignments(words, "model.")
    judges = Judges.of(judge, judge_settings, budget, prices)
    # Names and settings are checked before the embedded world is built, which takes minutes.
    wanted = work.resolve_benchmarks(
        members_of(suite, names), words, None if data_dir else work.EMBEDDED_SETTINGS, limit, eos_biases
    )
    store = Store(db)
    with bars() as shown:
        root = data_dir or bench_root(None, shown)
        base = None if data_dir else work.embedded_base(shown)
        eval_models = work.resolve_models(store, models, base)
        if dry_run:
            estimates = [
                work.estimate(store, item, root, eval_model, judges) for eval_model in eval_models for item in wanted
            ]
        elif part:
            shards = [
                row
                for eval_model in eval_models
                for row in work.answer_shard(
                    store,
                    eval_model,
                    wanted,
                    root,
                    part,
                    device=device,
                    loading=loading,
                    fresh=not resume,
                    progress=shown,
                )
            ]
        else:
            records = work.bench_all(
                store, eval_models, wanted, root, judges,
                share=share, device=device, loading=loading, fresh=not resume, progress=shown,
            )  # fmt: skip
    if dry_run:
        show_plan(plan(estimates), as_json)
        return
    if part:
        finish_shards(shards, as_json)
        return
    if rank_and_world_size()[0] > 0:
        return  # the first of torchrun's processes shows the figures of all
    print_cost(judges)
    finish(records, [result_object(record) for record in records], as_json)


@cli.command()
@shared("db", "set", "judge", "budget", "prices", "dry", "json")
@click.option("--benchmark", "name", required=True, help="See `list benchmarks`.")
@click.option("--responses", required=True, type=click.Path(path_type=Path), help='JSONL of {"id", "response"}.')
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="The benchmark's own data folder.")
@click.option("--replies", type=click.Path(path_type=Path), help='JSONL of recorded replies {"id", "reply", "run"}.')
def score(
    db: str, assignments: tuple[str, ...], judge: str | None, budget: float | None, prices: str | None, dry_run: bool,
    as_json: bool, name: str, responses: Path, data_dir: Path, replies: Path | None,
) -> None:  # fmt: skip
    """Score answers made elsewhere, with a live or a recorded judge. Settings of the judge: --set judge.KEY=VALUE."""
    from harness.evaluation.score import result_object
    from harness.store import Store
    from harness.util.options import parse_assignments
    from workflows import bench as work
    from workflows.estimate import estimate_benchmark, plan
    from workflows.judging import Judges, split_assignments

    if judge and replies:
        raise UsageError("--judge and --replies: give one of them.")
    words, judge_settings = split_assignments(assignments)
    judges = Judges.of(f"replay:{replies}" if replies else judge, judge_settings, budget, prices)
    settings, store = parse_assignments(words), Store(db)
    given = work.read_answers(name, settings, responses, data_dir)
    if dry_run:
        model = f"replay:{responses}"
        row = estimate_benchmark(store, given.benchmark, given.samples, model, judges, data_dir, answers=given.answers)
        show_plan(plan([row]), as_json)
        return
    with bars() as shown:
        record = work.score(store, given, settings, responses, data_dir, judges, shown)
    if given.missing:
        shown_ids = given.missing if as_json else given.missing[:100]
        more = f" and {len(given.missing) - 100} more (--json lists all)" if len(shown_ids) < len(given.missing) else ""
        message = f"{len(given.missing)} of {record.n} samples have no answer: {', '.join(shown_ids)}{more}"
        if not given.answers:
            message = f"{responses}: there are no answers in it; all {record.n} samples are missing."
        err.print(message, highlight=False, markup=False, soft_wrap=True)
    print_cost(judges)
    finish([record], result_object(record), as_json)


def show_plan(plan: dict[str, Any], as_json: bool) -> None:
    """The estimate of a dry run: a row for each model and benchmark."""
    if as_json:
        emit(plan)
        return
    from rich.table import Table

    names = {"generations": "Answers", "judge_calls": "Calls", "stored_replies": "Stored"}
    names |= {"judge_prompt_tokens": "Tokens in", "judge_completion_tokens": "out"}
    table = Table("Model", "Benchmark", "Judge", box=None, pad_edge=False)
    for title in (*names.values(), "USD"):
        table.add_column(title, justify="right")
    for row in [*plan["benchmarks"], {"model": "", "benchmark": "all", "judge": "", **plan["total"]}]:
        money = "price unknown" if row["usd"] is None else f"{row['usd']:.2f}"
        counts = [f"{row[name]:,}" for name in names]
        bias = f", EOS bias {row['eos_bias']:+g}" if row.get("eos_bias") else ""
        table.add_row(*map(Text, (row["model"], row["benchmark"] + bias, row["judge"] or "-")), *counts, money)
    out.print(table)
    err.print("Calls, tokens in and out are the judge's; replies as long as allowed, no re-asks.", style="dim")


def print_cost(judges: Any) -> None:
    """What the judge cost, where it has a price."""
    if judges.spent:
        err.print(f"The judge cost ${judges.spent:.4f}.", highlight=False)


def finish(records: list[Any], printed: Any, as_json: bool) -> None:
    """Show evaluations; exit 3 where a sample failed or has no answer."""
    from leaderboards.formats.terminal import evaluation_table

    for record in records:
        # Data with a known truth is the embedded world's: that it is not the official file is no news. It is stored.
        embedded = (Path(record.data_dir) / "truth.jsonl").exists()
        for note in [] if embedded else record.info.get("data_notes", []):
            err.print(f"{record.benchmark}: {note}", highlight=False, markup=False, soft_wrap=True)
        for reason, count in record.info.get("failures", {}).items():
            err.print(f"{record.benchmark}: {count} failed: {reason}", highlight=False, markup=False, soft_wrap=True)
    if as_json:
        emit(printed)
    else:
        out.print(evaluation_table(records))
    if any(record.n_scored < record.n for record in records):
        sys.exit(INCOMPLETE)


def finish_shards(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Say what a shard answered; exit 3 where an answer failed."""
    if as_json:
        emit(rows)
    else:
        for row in rows:
            out.print("  ".join(f"{name} {value}" for name, value in row.items()), highlight=False, markup=False)
        out.print("Answers stored. When all shards are done, the same command without --shard scores them.")
    if any(row["n_failed"] for row in rows):
        sys.exit(INCOMPLETE)


@cli.command()
@shared("db")
@click.option(
    "--format", "kind", type=click.Choice(["table", "markdown", "html", "latex", "csv", "json"]), default="table"
)
@click.option(
    "--out",
    "place",
    type=click.Path(path_type=Path),
    help="File to write; for html also a directory (large stores: the answers go into files beside the page). "
    "[default: stdout; html: leaderboard.html]",
)
@click.option("--suite", help="Only the benchmarks of a suite.")
@click.option(
    "--differences",
    is_flag=True,
    help="In the terminal and LaTeX also each difference to DPO and base with its interval and Holm-adjusted p-value "
    "(the other formats always have them).",
)
@click.option("--published", is_flag=True, help="Show the papers' figures too, in a block of their own.")
@click.option("--plots", "--figures", type=click.Path(file_okay=False, path_type=Path), help="Figures as SVG and PNG.")
def leaderboard(
    db: str, kind: str, place: Path | None, suite: str | None, differences: bool, published: bool, plots: Path | None
) -> None:  # fmt: skip
    """Compare all runs of the store: figures, intervals, and the paired differences to DPO and base."""
    from harness.store import Store
    from workflows.report import draw, load, render, tables, warnings, write_page
    from workflows.suites import members_of

    if suite:
        members_of(suite, ())  # a wrong name is reported before the tables are made
    store = Store.existing(db)
    for line in warnings(store, suite, said=kind in ("table", "markdown", "latex")):
        err.print(line, highlight=False, markup=False, soft_wrap=True, style="yellow")
    loaded = None if kind in ("csv", "json") and not plots else load(store, suite)
    if plots:
        print_written(draw(store, plots, loaded), "nothing to plot yet: `align` and `bench` first, or `demo`.")
    if kind == "html":
        page = place or Path("leaderboard.html")
        print_written(write_page(store, page, suite=suite, published=published, loaded=loaded), "")
    elif kind == "table" and place is None:
        for table in tables(store, loaded or [], suite=suite, published=published, differences=differences):
            out.print(table)
    else:
        text = render(
            store, kind, suite=suite, published=published, differences=differences, loaded=loaded, width=out.width
        )
        if place:
            write_text(place, text)
        else:
            click.echo(text, nl=False)


def print_written(files: list[Path], none: str) -> None:
    """Name the files that a command wrote; ``none`` where there are none."""
    for file in files:
        err.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)
    if not files:
        err.print(none, highlight=False)


def write_text(file: Path, text: str) -> None:
    """Write what a command made; a place that cannot be written is the user's to correct."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {file}: cannot be written ({error.strerror}).") from error
    err.print(f"wrote {file}", highlight=False, markup=False, soft_wrap=True)


@cli.command()
@click.argument("a")
@click.argument("b")
@shared("db", "json")
def compare(a: str, b: str, db: str, as_json: bool) -> None:
    """Paired differences between A and B (runs; or METHOD, METHOD@PANEL: all seeds) on the samples both answered."""
    from harness.store import Store
    from workflows.report import comparison

    rows, table = comparison(Store.existing(db), a, b)
    emit(rows) if as_json else out.print(table)


@cli.command()
@click.argument("run")
@shared("db", "json")
@click.option("--samples", default=5, show_default=True, help="How many answers to show of every benchmark.")
def show(run: str, db: str, as_json: bool, samples: int) -> None:
    """Everything stored of RUN: settings, figures, and some of its answers."""
    from harness.store import Store
    from workflows.report import run_facts, run_page

    if as_json:
        emit(run_facts(Store.existing(db), run, samples))
        return
    for part in run_page(Store.existing(db), run, samples):
        out.print(part)


@cli.command()
@shared("db", "json")
@click.option("--format", "kind", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("--table", "names", multiple=True, help="Only this table; may be repeated.")
@click.option("--out", "folder", type=click.Path(path_type=Path), default="export", show_default=True)
def export(db: str, as_json: bool, kind: str, names: tuple[str, ...], folder: Path) -> None:
    """Every table of the store as JSONL or parquet, for your own analysis."""
    from harness.store import Store
    from workflows.export import export as run_align

    written = run_align(Store.existing(db), folder, kind, names)
    if as_json:
        emit({"folder": str(folder), "rows": written})
        return
    for name, count in written.items():
        line = Text.assemble(f"{folder / name}.{kind}  ", (f"{count:,} rows", "dim"))
        out.print(line, soft_wrap=True)


@cli.command()
@shared("db", "json")
def status(db: str, as_json: bool) -> None:
    """What the store holds, what is unfinished or failed, and what to do next."""
    from harness.store import Store
    from workflows.status import status as facts_of

    facts = facts_of(Store(db))
    emit(facts) if as_json else print_status(facts)


def print_status(facts: dict[str, Any]) -> None:
    print_facts({name: facts[name] for name in ("db", "alignments", "evaluations")})
    for row in facts["unfinished"]:
        out.print(Text.assemble((row["status"], "yellow"), "  ", row["name"]))
    for row in facts["incomplete"]:
        line = f"{row['run']} on {row['benchmark']}: {row['scored']} of {row['of']} scored, {row['failed']} failed"
        out.print(Text.assemble(("incomplete", "yellow"), "  ", line))
    for line in facts["next"]:
        out.print(Text.assemble(("next", "bold"), "  ", line), soft_wrap=True)


@cli.command("db")
@click.argument("action", type=click.Choice(["info", "check", "vacuum", "backup"]), default="info")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@shared("db", "json")
def db_(action: str, file: Path | None, db: str, as_json: bool) -> None:
    """Look after the results file: rows by table, check it, shrink it, copy it (backup FILE)."""
    from harness.store import Store
    from workflows.status import care

    facts = care(Store.existing(db), action, file)
    emit(facts) if as_json else print_facts(facts)


@cli.command("list")
@click.argument("what", type=click.Choice(["aligners", "benchmarks", "suites", "judges", "models", "runs"]))
@shared("db", "json")
def list_(what: str, db: str, as_json: bool) -> None:
    """What there is: aligners, benchmarks, suites, judges, models, runs."""
    from workflows.listing import listing

    rows = listing(what, db)
    if as_json:
        emit(rows)
        return
    for row in rows:
        out.print(Text(row["name"], "bold"))
        for name, value in row.items():
            if name != "name" and value not in ("", None):
                out.print(Text(f"  {name}  ", "dim"), end="")
                out.print(str(value), highlight=False, markup=False, soft_wrap=True)


@cli.command()
@click.argument("benchmark")
@shared("json")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path), help="Parent folder.  [default: cache]")
@click.option("--any-version", is_flag=True, help="Also keep files that are not the official version.")
def fetch(benchmark: str, as_json: bool, data_dir: Path | None, any_version: bool) -> None:
    """Bring BENCHMARK's data from its official home; go on where an earlier fetch stopped.

    Files already there are checked, not fetched. What must be fetched by hand is named, with its place.
    """
    from workflows.fetch import fetch_benchmark, row

    with bars() as shown:
        folder, found = fetch_benchmark(benchmark, data_dir, any_version=any_version, progress=shown)
    if as_json:
        emit({"folder": str(folder), "files": [row(item) for item in found]})
    else:
        colours = {"there": "green", "fetched": "green", "other": "yellow", "by hand": "yellow", "failed": "red"}
        for item in found:
            what = Text.assemble((f"{item.state:8}", colours[item.state]), " ", (str(item.path), "bold"), "  ")
            out.print(what, end="")
            out.print(item.detail, highlight=False, markup=False, soft_wrap=True)
        use = f"\nUse it: python cli.py bench --benchmark {benchmark} --data-dir {folder.parent}"
        out.print(use, markup=False, soft_wrap=True)
    if any(item.state == "failed" for item in found):
        sys.exit(HarnessError.exit_code)
    if any(item.state == "by hand" for item in found):
        sys.exit(INCOMPLETE)


@cli.command()
@shared("json")
def doctor(as_json: bool) -> None:
    """What is installed, which device is used, which optional parts are missing and how to add them."""
    from workflows.doctor import checks

    rows = checks()
    if as_json:
        emit(rows)
        return
    for row in rows:
        mark = {"ok": "[green]ok[/]", "missing": "[yellow]--[/]", "bad": "[red]!![/]"}[row["state"]]
        out.print(f"{mark}  [bold]{row['name']}[/]  {escape(row['detail'])}", highlight=False, soft_wrap=True)
    if any(row["state"] == "bad" for row in rows):
        sys.exit(1)


@cli.command()
@shared("set", "json")
@click.option("--method", required=True, help="Aligner: see `list aligners`.")
@click.option("--input", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="JSON file.")
def objective(assignments: tuple[str, ...], as_json: bool, method: str, file: Path) -> None:
    """Probe an objective: betas, losses, the kept pairs and the next state for given log-probabilities (float64)."""
    from workflows.probe import probe_file

    emit(probe_file(method, assignments, file))


def main() -> None:
    cli()


if __name__ == "__main__":
    main()
