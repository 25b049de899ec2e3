"""`leaderboard`, `compare`, `show`: what the store says, as tables, files and figures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from harness.errors import HarnessError, UsageError, unknown_name
from harness.store import AlignmentRecord, EvaluationRecord, Store
from harness.util.environment import environment
from leaderboards.charts.curves import write_curves
from leaderboards.charts.gap_curves import gap_curves, gap_summary, write_figures
from leaderboards.charts.plots import write_plots
from leaderboards.comparison import comparison_records, comparison_table, load_comparison
from leaderboards.formats.data import to_csv, to_json
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.formats.run_view import run_view
from leaderboards.formats.terminal import leaderboard
from leaderboards.page.html import Extras, write_html
from leaderboards.page.samples import thumbnail
from leaderboards.published import published_latex, published_markdown, published_terminal
from leaderboards.rows import Table, load_tables
from leaderboards.run_groups import current_evaluations, run_groups, stale_evaluations
from leaderboards.text import NO_EVALUATIONS
from workflows.suites import members_of


def load(store: Store, suite: str | None = None) -> list[Table]:
    """The tables that every format but data shows; of a suite's benchmarks only, if one is named."""
    return of_suite(load_tables(store, headline=True), suite)


def of_suite(tables: Sequence[Table], suite: str | None) -> list[Table]:
    """The tables of a suite's benchmarks; all of them without a suite."""
    wanted = benchmarks_of(suite)
    return [table for table in tables if wanted is None or table.condition.benchmark in wanted]


def benchmarks_of(suite: str | None) -> frozenset[str] | None:
    """The benchmarks of a suite; None, which stands for all, without one."""
    return None if suite is None else frozenset(member.benchmark for member in members_of(suite, ()))


def nothing(store: Store, suite: str | None) -> str:
    """What to say where there is no table: that nothing is stored, or nothing of the suite."""
    stored = dict.fromkeys(e.benchmark for e in store.evaluations())
    if suite is None or not stored:
        return NO_EVALUATIONS
    return (
        f"No evaluations of suite {suite} ({', '.join(sorted(benchmarks_of(suite) or ()))}). Stored are those of "
        f"{', '.join(stored)}: leave out --suite to see them, or run `bench --suite {suite}`."
    )


def warnings(store: Store, suite: str | None = None, *, said: bool = False) -> list[str]:
    """What the tables leave out and how to mend it; ``said``: that a suite is missing stands in their place."""
    wanted = benchmarks_of(suite)
    found = {
        run: [b for b in names if wanted is None or b in wanted] for run, names in stale_evaluations(store).items()
    }
    lines = [
        f"{run} was aligned anew since {', '.join(benchmarks)}: those figures are left out. bench --model run:{run}"
        for run, benchmarks in found.items()
        if benchmarks
    ]
    if wanted is not None and not said and not wanted & {e.benchmark for e in store.evaluations()}:
        lines.append(nothing(store, suite))
    return lines


def tables(
    store: Store,
    loaded: Sequence[Table],
    *,
    suite: str | None = None,
    published: bool = False,
    differences: bool = False,
) -> list[RenderableType]:
    """The leaderboard for the terminal."""
    shown = leaderboard(loaded, differences=differences, nothing=nothing(store, suite))
    return [*shown, *([published_terminal()] if published else [])]


def as_text(shown: Sequence[RenderableType], width: int) -> str:
    """What the terminal shows, as plain text of ``width`` columns."""
    console = Console(file=io.StringIO(), width=width, color_system=None, emoji=False, record=True)
    for part in shown:
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in console.export_text().splitlines())


def render(
    store: Store,
    kind: str,
    *,
    suite: str | None = None,
    published: bool = False,
    differences: bool = False,
    loaded: Sequence[Table] | None = None,
    width: int = 100,
) -> str:
    """The leaderboard as text: table (of ``width`` columns), markdown, latex, csv or json.

    Published figures never stand among csv's and json's.
    """
    if kind in ("csv", "json"):
        everything = of_suite(load_tables(store), suite)
        return to_csv(everything) if kind == "csv" else to_json(everything)
    loaded = load(store, suite) if loaded is None else loaded
    if kind == "table":
        return as_text(tables(store, loaded, suite=suite, published=published, differences=differences), width)
    if kind == "latex":
        made = latex(loaded, differences=differences, nothing=nothing(store, suite))
        return made + (published_latex() if published else "")
    return as_markdown(store, loaded, published=published, missing=nothing(store, suite))


def as_markdown(
    store: Store, loaded: Sequence[Table], *, published: bool = False, missing: str = NO_EVALUATIONS
) -> str:
    """Tables, reward gaps, and the published figures if they are wanted."""
    parts = [markdown(loaded, nothing=missing)]
    curves = gap_curves(store)
    if curves:
        parts.append(gap_summary(curves))
    if published:
        parts.append(published_markdown())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write_page(
    store: Store, out: Path, *, suite: str | None = None, published: bool = False, loaded: Sequence[Table] | None = None
) -> list[Path]:
    """The HTML report: ``out`` ends in .html (one file), or is a directory (samples in files beside the page)."""
    loaded = load(store, suite) if loaded is None else loaded
    wanted = benchmarks_of(suite)
    explained = wanted is None or "object_halbench" in wanted
    extras = Extras(
        examples=pair_examples,
        why=(typical_of_scene(store) or "") if explained else "",
        commit=environment()["commit"],
        with_published=published,
        benchmarks=wanted,
    )
    return write_html(store, out, extras, loaded)


def pair_examples(alignment: AlignmentRecord, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Question, answers and a small picture of the pairs ``ids`` of an alignment, where its data is still there."""
    from aligners.pairs.data import load_pairs

    source = str(alignment.config.get("data", ""))
    if not Path(source).exists():
        return {}
    try:
        pairs = {pair.id: pair for pair in load_pairs(source).pairs}
    except HarnessError:
        return {}
    return {
        i: {
            "question": pairs[i].question,
            "chosen": pairs[i].chosen,
            "rejected": pairs[i].rejected,
            "picture": thumbnail(pairs[i].image_bytes),
        }
        for i in ids
        if i in pairs
    }


def draw(store: Store, folder: Path, loaded: Sequence[Table] | None = None) -> list[Path]:
    """The figures of the store in ``folder``, as SVG and PNG."""
    tables = load(store) if loaded is None else loaded
    return [*write_figures(store, folder), *write_plots(tables, folder), *write_curves(store, tables, folder)]


def write_report(store: Store, folder: Path, loaded: Sequence[Table]) -> list[Path]:
    """leaderboard.html, leaderboard.md and the figures, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "leaderboard.md"
    figures = draw(store, folder / "figures", loaded)
    drawn = [figure for figure in figures if figure.suffix == ".svg"]
    shown = "".join(f"\n![{figure.stem}]({figure.relative_to(folder)})\n" for figure in drawn)
    why = typical_of_scene(store)
    file.write_text(as_markdown(store, loaded) + (f"\n{why}\n" if why else "") + shown, encoding="utf-8")
    return [*write_page(store, folder / "leaderboard.html", loaded=loaded), file, *figures]


def typical_of_scene(store: Store, run: str = "base") -> str | None:
    """A sentence on why ``run`` hallucinates in the embedded world; None for other data."""
    for evaluation in store.evaluations(benchmark="object_halbench", run=run):
        truth = Path(evaluation.data_dir) / "truth.jsonl"
        if evaluation.decoding["eos_bias"] == 0 and truth.is_file():
            from tinyworld.pairs import read_rows
            from tinyworld.report import typical_share

            answers = {v.sample_id: v.answer for v in store.verdicts(evaluation.id) if v.answer is not None}
            share = typical_share(answers, read_rows(truth))
            if not share.hallucinated:
                return f"{run} hallucinated no object."
            return (
                f"Of {share.hallucinated} objects that {run} hallucinated, {share.value:.0f} % "
                f"({share.low:.0f}-{share.high:.0f}) are typical of the scene's place."
            )
    return None


def comparison(store: Store, a: str, b: str) -> tuple[list[dict[str, Any]], RenderableType]:
    """Paired differences between two runs, as records and as a table."""
    found = load_comparison(store, a, b)
    return comparison_records(found), comparison_table(found, a, b)


def run_page(store: Store, run: str, samples: int) -> list[RenderableType]:
    """`show RUN` for the terminal."""
    return run_view(run_facts(store, run, samples), evaluations_of(store, run))


def evaluations_of(store: Store, run: str) -> list[EvaluationRecord]:
    """The evaluations of ``run`` that tables are made of."""
    return [e for e in current_evaluations(store.evaluations(), run_groups(store.alignments())) if e.run == run]


def run_facts(store: Store, run: str, samples: int) -> dict[str, Any]:
    """What is stored of a run: its alignment, its evaluations, and some answers with their verdicts."""
    evaluations = evaluations_of(store, run)
    alignments = {a.name: a for a in store.alignments()}
    if not alignments and not store.evaluations():
        raise UsageError(f"{store.path} holds no runs yet: `python cli.py align`, `bench` or `demo` comes first.")
    if not evaluations and run not in alignments:
        raise unknown_name("run", run, {*alignments, *(e.run for e in store.evaluations())})
    facts: dict[str, Any] = {"run": run}
    if run in alignments:
        alignment = alignments[run]
        facts["alignment"] = {
            "method": alignment.method,
            "panel": alignment.panel,
            "status": alignment.status,
            "seconds": alignment.seconds,
            "model_dir": alignment.model_dir,
            "config": alignment.config,
            "info": alignment.info,
            "last_step": (store.train_log(run) or [{}])[-1],
        }
    facts["evaluations"] = [
        {
            "benchmark": e.benchmark,
            "version": e.version,
            "judge": e.judge,
            "decoding": e.decoding,
            "scored": f"{e.n_scored}/{e.n}",
            "failed": e.n_failed,
            "metrics": {name: m["value"] for name, m in e.metrics.items()},
            "samples": [
                {"id": v.sample_id, "answer": v.answer, "values": v.counts, "error": v.error, **v.details}
                for v in store.verdicts(e.id)[:samples]
            ],
        }
        for e in evaluations
    ]
    return facts
