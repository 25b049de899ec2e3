"""The report: one HTML page that asks nothing of a network, from the ranking down to the single answer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from harness.errors import UsageError
from harness.store import EvaluationRecord, Store
from harness.util.json_safe import json_safe
from leaderboards import published
from leaderboards.charts.svg import GREY, colour, marks
from leaderboards.charts.training import (
    Evidence,
    read_evidence,
)  # fmt: skip
from leaderboards.condition import condition_of
from leaderboards.page.panel import Examples, panel_view
from leaderboards.page.samples import Chunks, data_uri, pictures, sample_chunk, verdict_chunk
from leaderboards.provenance import command_of, condition_key, cost_rows, provenance, software_text
from leaderboards.rows import Table, load_tables
from leaderboards.run_groups import BASE, DPO, RunGroups, current_evaluations, run_groups, stale_evaluations
from leaderboards.text import (
    condition_text,
    condition_titles,
    note,
)  # fmt: skip

PAGE = Path(__file__).parent
INLINE_LIMIT = 24_000_000
"""Characters of samples that a single file may hold; more go beside the page (``--out DIR``)."""


@dataclass(frozen=True)
class Extras:
    """What the page shows that the store alone does not hold."""

    examples: Examples = field(default=lambda alignment, ids: {})
    why: str = ""
    commit: str = ""
    with_published: bool = False
    benchmarks: frozenset[str] | None = None
    """The benchmarks that the page is limited to; None: all."""

    def wanted(self, benchmark: str) -> bool:
        return self.benchmarks is None or benchmark in self.benchmarks


def write_html(store: Store, out: Path, extras: Extras, tables: Sequence[Table] | None = None) -> list[Path]:
    """Write the report to ``out``: a .html file with everything in it, or a folder with lazy samples."""
    single = out.suffix.lower() in (".html", ".htm")
    if (single and out.is_dir()) or (not single and out.is_file()):
        raise UsageError(f"--out {out}: name a file that ends in .html, or a directory.")
    page = out if single else out / "index.html"
    folder = None if single else out / "samples"
    try:
        (folder or page.parent).mkdir(parents=True, exist_ok=True)
        page.write_text(render_html(store, extras, Chunks(folder, INLINE_LIMIT), tables), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}).") from error
    return [page]


def render_html(store: Store, extras: Extras, chunks: Chunks, tables: Sequence[Table] | None = None) -> str:
    """The page as text; what it shows of samples goes into ``chunks``."""
    tables = load_tables(store, headline=True) if tables is None else tables
    names = run_groups(store.alignments())
    evaluations = [e for e in current_evaluations(store.evaluations(), names) if extras.wanted(e.benchmark)]
    runs = {e.run for e in store.evaluations() if extras.wanted(e.benchmark)}
    evidence = read_evidence(store)
    palette = palette_of(tables, evidence)
    titles = list(dict.fromkeys([*(t.panel for t in tables), *evidence]))
    panels = [
        panel_view(
            panel,
            [t for t in tables if t.panel == panel],
            evidence.get(panel),
            palette,
            examples=extras.examples,
            store=store,
        )
        for panel in titles
    ]
    data = drill_data(store, evaluations, names, titles, chunks)
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html.j2").render(
        style=Markup((PAGE / "report.css").read_text(encoding="utf-8")),
        script=Markup((PAGE / "report.js").read_text(encoding="utf-8")),
        data=script_json(data),
        chunks=chunks.inline,
        left_out=chunks.left_out,
        panels=panels,
        palette=palette,
        marks=marks,
        note=note(tables),
        why=extras.why,
        costs=[row for row in cost_rows(store) if row["run"] in runs],
        provenance=provenance(evaluations),
        commands=[(software_text(a.info), command_of(a)) for a in store.alignments()],
        stale_evaluations={
            run: kept for run, found in stale_evaluations(store).items() if (kept := [*filter(extras.wanted, found)])
        },
        failed=[a for a in names.alignments.values() if a.status != "done"],
        commit=extras.commit,
        store_name=store.path.name,
        published=published if extras.with_published else None,
    )


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in; NaN as null."""
    text = json.dumps(json_safe(value), ensure_ascii=True, allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def palette_of(tables: Sequence[Table], evidence: Mapping[str, Evidence]) -> dict[str, int]:
    """A colour and mark for every method, the same in all charts; base is grey."""
    labels = [row.label for table in tables for row in table.rows]
    labels += [method for found in evidence.values() for method in found.methods]
    others = [label for label in dict.fromkeys(labels) if label != BASE]
    return {BASE: GREY, **{label: colour(i) for i, label in enumerate(others)}}


def drill_data(
    store: Store, evaluations: Sequence[EvaluationRecord], names: RunGroups, panels: Sequence[str], chunks: Chunks
) -> dict[str, Any]:
    """The index of the drill-down; samples, verdicts and pictures go into ``chunks``.

    An evaluation is listed where its samples and its verdicts both fit; pictures take the room that these leave.
    """
    seated = seats(evaluations, names, panels)
    titles = condition_titles(map(condition_of, evaluations))
    listed, fits = [], dict[str, bool]()
    for evaluation in evaluations:
        data_key = evaluation.data_key
        if data_key not in fits:
            fits[data_key] = chunks.add(f"s{data_key}", sample_chunk(store, data_key))
        if not fits[data_key]:
            chunks.left_out.append(f"v{evaluation.id}")
        elif chunks.add(f"v{evaluation.id}", verdict_chunk(store, evaluation)):
            listed.append(_indexed(evaluation, names, seated[evaluation.id], titles[condition_of(evaluation)]))
    shown = {e["id"] for e in listed}
    first = {e.data_key: e for e in reversed(evaluations) if e.id in shown}
    for data_key, evaluation in first.items():
        chunks.add(f"p{data_key}", {k: data_uri(v) for k, v in pictures(evaluation).items()})
    return {"evaluations": listed, "folder": "samples" if chunks.folder else ""}


def _indexed(evaluation: EvaluationRecord, names: RunGroups, seated: Mapping[str, Any], title: str) -> dict[str, Any]:
    """What the drill-down knows of an evaluation before its answers are unpacked."""
    alignment = names.alignments.get(evaluation.alignment or "")
    condition = condition_of(evaluation)
    return {
        "id": evaluation.id,
        "run": evaluation.run,
        "seed": alignment.seed if alignment else None,
        "seats": seated,
        "condition": condition_key(condition),
        "title": title,
        "about": condition_text(condition),
        "data": evaluation.data_key,
        "scored": f"{evaluation.n_scored}/{evaluation.n}",
    }


def seats(
    evaluations: Sequence[EvaluationRecord], names: RunGroups, panels: Sequence[str]
) -> dict[int, dict[str, dict[str, str]]]:
    """Of every evaluation, by id, the panels (by their number on the page) whose tables it stands in.

    Each with its row there, and the row to put beside it: the DPO that it is compared with, or the base.
    """
    found: dict[int, dict[str, dict[str, str]]] = {e.id: {} for e in evaluations}
    tables = defaultdict(list)
    for evaluation in evaluations:
        tables[condition_of(evaluation)].append(evaluation.id)
    for number, panel in enumerate(panels):
        rows = {e.id: label for e in evaluations if (label := names.label(e, panel)) is not None}
        for table in tables.values():
            members = [i for i in table if i in rows]
            references = names.references(panel, list(dict.fromkeys(rows[i] for i in members)))
            for i in members:
                beside = references[rows[i]]
                found[i][str(number)] = {"row": rows[i], "beside": beside.get(DPO, beside.get(BASE, ""))}
    return found
