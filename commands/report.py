"""`leaderboard`, `compare`, `show`: what the store says, as tables, files and figures."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from harness.errors import unknown_name
from harness.store import Store
from leaderboards import coverage
from leaderboards.compare import comparison_records, comparison_table, load_comparison
from leaderboards.data import to_csv, to_json
from leaderboards.figures import gap_curves, gap_summary, write_figures
from leaderboards.markdown import markdown
from leaderboards.rows import load_tables
from leaderboards.terminal import leaderboard


def matched_panels(store: Store) -> dict[str, list[coverage.Matched]]:
    """CHAIR_i at the base's coverage, by panel; empty where no run has a coverage curve."""
    panels: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for alignment in store.alignments():
        if alignment.status == "done":
            panels[alignment.panel][alignment.method].append(alignment.name)
    found = {panel: coverage.matched(store, labels, reference="dpo") for panel, labels in panels.items()}
    return {panel: rows for panel, rows in found.items() if len(rows) > 1}


def tables(store: Store) -> list[RenderableType]:
    """The leaderboard for the terminal."""
    matched = [coverage.terminal_table(panel, rows) for panel, rows in matched_panels(store).items()]
    return [*leaderboard(load_tables(store)), *matched]


def render(store: Store, kind: str) -> str:
    """The leaderboard as markdown, csv or json."""
    loaded = load_tables(store)
    if kind == "csv":
        return to_csv(loaded)
    if kind == "json":
        return to_json(loaded)
    parts = [markdown(loaded)]
    parts += [coverage.markdown_table(panel, rows) for panel, rows in matched_panels(store).items()]
    curves = gap_curves(store)
    if curves:
        parts.append(gap_summary(curves))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def draw(store: Store, folder: Path) -> list[Path]:
    """The figures of the store as SVG files in ``folder``."""
    return write_figures(store, folder)


def write_report(store: Store, folder: Path) -> list[Path]:
    """leaderboard.md and the figures, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "leaderboard.md"
    figures = draw(store, folder / "figures")
    shown = "".join(f"\n![{figure.stem}]({figure.relative_to(folder)})\n" for figure in figures)
    why = typical_of_scene(store)
    file.write_text(render(store, "markdown") + (f"\n{why}\n" if why else "") + shown)
    return [file, *figures]


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


def run_facts(store: Store, run: str, samples: int) -> dict[str, Any]:
    """What is stored of a run: its alignment, its evaluations, and some answers with their verdicts."""
    evaluations = store.evaluations(run=run)
    alignments = {a.name: a for a in store.alignments()}
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
                {"id": v.sample_id, "answer": v.answer, "values": v.values, "error": v.error, **v.details}
                for v in store.verdicts(e.id)[:samples]
            ],
        }
        for e in evaluations
    ]
    return facts
