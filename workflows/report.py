"""`leaderboard`, `show`: what the store says, as tables, files and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from rich.console import RenderableType

from harness.errors import HarnessError, UsageError, unknown_name
from harness.evaluation.fingerprint import fingerprint
from harness.store import AlignmentRecord, EvaluationRecord, Store
from harness.util.environment import environment
from harness.util.files import write_text
from harness.util.jsonl import iter_jsonl
from harness.util.pool import workers
from leaderboards.charts.curves import write_curves
from leaderboards.charts.gap_curves import write_figures
from leaderboards.charts.plots import Save, files_of, save, write_plots
from leaderboards.conclusion import conclusions
from leaderboards.condition import condition_of
from leaderboards.evaluators import base_value
from leaderboards.formats.html import Html
from leaderboards.formats.markdown import Markdown
from leaderboards.formats.run_view import run_view
from leaderboards.page.samples import thumbnail
from leaderboards.run_groups import current_evaluations
from leaderboards.selection import EVERYTHING, Selection, left_out
from leaderboards.snapshot import Snapshot
from leaderboards.text import NO_EVALUATIONS
from leaderboards.unevaluated import bench_again
from leaderboards.view import View
from workflows.align import data_lines
from workflows.answer_facts import answer_facts, require_samples
from workflows.embedded import TRUTH
from workflows.lineage import ancestry, lineage
from workflows.suites import members_of

EXPLAINED = "object_halbench"
"""The benchmark whose answers say why a model of the embedded world hallucinates."""


def leaderboard_view(
    store: Store,
    *,
    suite: str | None = None,
    selection: Selection = EVERYTHING,
    against: str | None = None,
    published: bool | Literal["equal", "all"] = False,
    differences: bool = False,
    width: int = 100,
) -> View:
    """What every format renders: all benchmarks, or those of a suite, and of these what ``selection`` shows; no run
    that is hidden. An unknown suite, run, benchmark or judge raises a UsageError.
    """
    benchmarks = None if suite is None else frozenset(member.benchmark for member in members_of(suite, ()))
    snapshot = Snapshot(store, replace(selection, hidden=store.hidden_runs()))
    selection.require_known(snapshot.all_stored, snapshot.all_groups)
    return View(
        snapshot,
        benchmarks,
        against,
        empty=_empty(snapshot, suite, benchmarks),
        differences=differences,
        published=published,
        width=width,
        examples=pair_examples,
        explain=lambda of: (typical_of_scene(of) or "") if benchmarks is None or EXPLAINED in benchmarks else "",
        commit=environment()["commit"],
    )


def answer_of(store: Store, evaluations: Sequence[EvaluationRecord]) -> list[str]:
    """What the tables that ``evaluations`` stand in say, in words."""
    shown = {condition_of(evaluation) for evaluation in evaluations}
    names = tuple(dict.fromkeys(condition.benchmark for condition in shown))
    view = leaderboard_view(store, selection=Selection(benchmarks=names))
    return conclusions([table for table in view.tables if table.condition in shown])


def _empty(snapshot: Snapshot, suite: str | None, benchmarks: frozenset[str] | None) -> str:
    """What to say where there is no table: that nothing is stored, or nothing of the suite."""
    stored = dict.fromkeys(e.benchmark for e in snapshot.evaluations)
    if snapshot.all_stored and not snapshot.stored:
        return f"No evaluation is left by {snapshot.selection.filters}."
    if benchmarks is None or not stored:
        return " ".join(snapshot.left_out.values()) or NO_EVALUATIONS
    return (
        f"No evaluations of suite {suite} ({', '.join(sorted(benchmarks))}). Stored are those of "
        f"{', '.join(stored)}: leave out --suite to see them, or run `bench --suite {suite}`."
    )


def warnings(view: View, *, says_empty: bool = False) -> list[str]:
    """What the tables leave out and how to mend it; ``says_empty``: the format itself says that a suite is missing."""
    stale = {run: [*filter(view.wanted, names)] for run, names in view.snapshot.stale.items()}
    lines = [
        f"{run} was aligned anew since {', '.join(benchmarks)}: those figures are left out. {bench_again(run)}"
        for run, benchmarks in stale.items()
        if benchmarks
    ]
    lines += [line for name, line in view.snapshot.left_out.items() if view.wanted(name)]
    lines += _filtered(view)
    stored = {e.benchmark for e in view.snapshot.evaluations}
    if view.benchmarks is not None and not says_empty and not view.benchmarks & stored:
        lines.append(view.empty)
    return lines


def _filtered(view: View) -> list[str]:
    """What the filters and `db hide` leave out, and what that means for the figures."""
    snapshot, lines = view.snapshot, []
    selection = snapshot.selection
    if selection.runs:
        everywhere = {e.run for e in snapshot.all_stored}
        shown = {e.run for e in snapshot.stored}
        lines.append(
            f"{len(shown)} of {len(everywhere)} runs are shown: p-values are adjusted over all methods of a table."
        )
    if selection.complete:
        rest = replace(selection, complete=False)
        incomplete = [e for e in snapshot.all_stored if rest.shows(e, snapshot.all_groups) and e.n_scored < e.n]
        lines += [f"--complete leaves out {left_out(incomplete)}."] if incomplete else []
    if selection.hidden:
        lines.append(
            f"Hidden: {', '.join(sorted(selection.hidden))} (`db unhide RUN` shows it again); not counted anywhere."
        )
    return lines


def pair_examples(alignment: AlignmentRecord, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Question, answers and a small picture of the pairs ``ids`` of an alignment, where its data is still there."""
    from aligners.pairs.data import load_pairs
    from aligners.pairs.reading import Reading
    from aligners.pairs.sources import sources_of

    config = alignment.config
    source = str(config.get("data", ""))
    if not source or not all(Path(part).exists() for part in sources_of(source)):
        return {}
    try:
        read = load_pairs(
            source, config.get("limit"), skip_bad=bool(config.get("skip_bad_rows")), reading=Reading.of(config)
        )
        pairs = {pair.id: pair for pair in read.pairs}
    except HarnessError:
        return {}
    return {
        i: {
            "question": pairs[i].question,
            "chosen": pairs[i].chosen,
            "rejected": pairs[i].rejected,
            "picture": thumbnail(pairs[i].image_bytes) if pairs[i].images else b"",
        }
        for i in ids
        if i in pairs
    }


def draw(view: View, folder: Path, save: Save = save) -> list[Path]:
    """The figures of the store in ``folder``, as SVG and PNG."""
    snapshot, tables = view.snapshot, view.tables
    return [
        *write_figures(snapshot, folder, save),
        *write_plots(tables, folder, save),
        *write_curves(snapshot, tables, folder, save),
    ]


def write_report(view: View, folder: Path) -> list[Path]:
    """leaderboard.html, leaderboard.md and the figures, in ``folder``; figures are drawn beside the page, elsewhere."""
    drawn: list[Future[list[Path]]] = []
    with workers(1) as pool:  # which needs no torch

        def later(figure: Callable[[], Any], stem: Path) -> list[Path]:
            drawn.append(pool.submit(save, figure, stem))
            return files_of(stem)

        figures = draw(view, folder / "figures", later)
        page = Html().write(view, folder / "leaderboard.html")
        for each in drawn:
            each.result()
    file = folder / "leaderboard.md"
    pictures = [figure for figure in figures if figure.suffix == ".svg"]
    shown = "".join(f"\n![{figure.stem}]({figure.relative_to(folder)})\n" for figure in pictures)
    why = typical_of_scene(view.snapshot)
    write_text(file, Markdown().render(view) + (f"\n{why}\n" if why else "") + shown)
    return [*page, file, *figures]


def typical_of_scene(snapshot: Snapshot, run: str = "base") -> str | None:
    """A sentence on why ``run`` hallucinates in the embedded world; None for other data."""
    for evaluation in snapshot.evaluations:
        truth = Path(evaluation.data_dir) / TRUTH
        of_run = (evaluation.benchmark, evaluation.run) == (EXPLAINED, run)
        if of_run and evaluation.decoding["eos_bias"] == 0 and truth.is_file():
            from tinyworld.report import typical_share

            answers = zip(snapshot.verdicts(evaluation).samples, snapshot.answers(evaluation), strict=True)
            known = [row for _, row in iter_jsonl(truth)]
            share = typical_share({i: answer for i, (answer, _) in answers if answer is not None}, known)
            if not share.hallucinated:
                return f"{run} hallucinated no object."
            span = f" ({share.low:.0f}-{share.high:.0f})" if math.isfinite(share.low) else ""
            return (
                f"Of {share.hallucinated} objects that {run} hallucinated, {share.value:.0f} %{span} are typical of "
                "the scene's place."
            )
    return None


def run_page(store: Store, run: str, samples: int, wanted: Sequence[str] = ()) -> list[RenderableType]:
    """`show RUN` for the terminal; answers that are ``wanted`` by name are shown whole."""
    snapshot = Snapshot(store)
    facts = run_facts(snapshot, run, samples, wanted)
    return run_view(facts, evaluations_of(snapshot, run), whole=bool(wanted))


def evaluations_of(snapshot: Snapshot, run: str) -> list[EvaluationRecord]:
    """The evaluations of ``run`` that tables are made of, and those of benchmarks that cannot be used here."""
    return [e for e in current_evaluations(snapshot.stored, snapshot.groups) if e.run == run]


def run_facts(snapshot: Snapshot, run: str, samples: int, wanted: Sequence[str] = ()) -> dict[str, Any]:
    """What is stored of a run: its alignment, its evaluations, and some answers with their verdicts: the first
    ``samples`` of every evaluation, or those on the samples ``wanted``. An unknown run or sample raises a UsageError.
    """
    evaluations = evaluations_of(snapshot, run)
    alignments = {a.name: a for a in snapshot.alignments}
    if not alignments and not snapshot.stored:
        path = snapshot.store.path
        raise UsageError(f"{path} holds no runs yet: run `python cli.py align`, `bench` or `demo` first.")
    if not evaluations and run not in alignments:
        raise unknown_name("run", run, {*alignments, *(e.run for e in snapshot.stored)})
    require_samples(snapshot, evaluations, wanted)
    facts: dict[str, Any] = {"run": run}
    if run in alignments:
        facts["alignment"] = _alignment_facts(snapshot, alignments[run])
    facts["evaluations"] = [_evaluation_facts(snapshot, e, samples, wanted) for e in evaluations]
    return facts


def _alignment_facts(snapshot: Snapshot, alignment: AlignmentRecord) -> dict[str, Any]:
    known = {each.name: each for each in snapshot.alignments}
    origin = alignment.info.get("lineage") or lineage(str(alignment.config.get("model", "")), None)
    return {
        "method": alignment.method,
        "panel": alignment.panel,
        "status": alignment.status,
        "seconds": alignment.seconds,
        "model_dir": alignment.model_dir,
        "lineage": {"ancestry": ancestry(alignment, known), **origin},
        "pairs": "; ".join(data_lines(alignment.info)),
        "config": alignment.config,
        "info": alignment.info,
        "last_step": (snapshot.train_log(alignment.name) or [{}])[-1],
    }


def _evaluation_facts(
    snapshot: Snapshot, evaluation: EvaluationRecord, samples: int, wanted: Sequence[str]
) -> dict[str, Any]:
    return {
        "benchmark": evaluation.benchmark,
        "version": evaluation.version,
        "judge": evaluation.judge,
        "evaluator": {**fingerprint(evaluation).record, "base": base_value(snapshot, evaluation)},
        "decoding": evaluation.decoding,
        "scored": f"{evaluation.n_scored}/{evaluation.n}",
        "failed": evaluation.n_failed,
        "probe": evaluation.info.get("probe", {}),
        "metrics": {name: m["value"] for name, m in evaluation.metrics.items()},
        "samples": answer_facts(snapshot, evaluation, samples, wanted),
    }
