"""The report: one HTML page that asks nothing of a network, from the ranking down to the single answer."""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from harness.errors import UsageError
from harness.store import EvaluationRecord
from harness.util.files import write_text
from harness.util.json_safe import json_text
from harness.util.places import make_folder
from harness.util.visible import stripped
from leaderboards.charts.marks import key, palette_of, style, swatch
from leaderboards.charts.training import Evidence, read_evidence
from leaderboards.condition import condition_of
from leaderboards.evaluators import base_value
from leaderboards.notes import note
from leaderboards.page.objects import object_sections
from leaderboards.page.panel import panel_view
from leaderboards.page.ranked import ranked
from leaderboards.page.references import SIGNS, add_references
from leaderboards.page.samples import Chunks, chunk_key, data_uri, pictures, sample_chunk, verdict_chunk
from leaderboards.provenance import alignment_commands, condition_key, cost_rows, provenance
from leaderboards.rows import Table
from leaderboards.run_groups import BASE, DPO, RunGroups
from leaderboards.snapshot import Snapshot
from leaderboards.text import condition_text, condition_titles, synthetic_data
from leaderboards.unevaluated import bench_again
from leaderboards.view import View

PAGE = Path(__file__).parent
INLINE_LIMIT = 24_000_000
"""Characters of samples that a single file may hold; more go beside the page (``--out DIR``)."""
SCRIPTS = ("state.js", "charts.js", "ranking.js", "answers.js", "tools.js")
"""The page's script in parts, in their order."""

Copy = tuple[str, Callable[[Sequence[Table]], str]]
"""A format to copy tables in: the ending of its files, and what writes it."""
NO_COPIES: Mapping[str, Copy] = {}


def write_html(view: View, out: Path, copies: Mapping[str, Copy] = NO_COPIES) -> list[Path]:
    """Write the report to ``out``: a .html file with everything in it, or a folder with lazy samples."""
    single = out.suffix.lower() in (".html", ".htm")
    if (single and os.path.isdir(out)) or (not single and os.path.isfile(out)):
        raise UsageError(f"--out {out}: name a file that ends in .html, or a directory.")
    page = out if single else out / "index.html"
    folder = None if single else out / "samples"
    make_folder(folder or page.parent)
    write_text(page, render_html(view, Chunks(folder, INLINE_LIMIT), copies))
    return [page]


def render_html(view: View, chunks: Chunks, copies: Mapping[str, Copy] = NO_COPIES) -> str:
    """The page as text; what it shows of samples, and against other references, goes into ``chunks``.

    ``copies``: by name the formats in which a panel's tables can be copied.
    """
    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_seen,
    )  # fmt: skip
    environment.filters["seen"] = stripped
    environment.globals |= {"key": key, "swatch": swatch, "signs": SIGNS}
    sheet = style() + (PAGE / "report.css").read_text(encoding="utf-8")
    script = "".join((PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = environment.get_template("reference.html.j2").module
    return environment.get_template("report.html.j2").render(
        policy=_policy(sheet, script, beside=chunks.folder is not None),
        style=Markup(sheet),
        script=Markup(script),
        copies=[(name, kind) for name, (kind, _) in copies.items()],
        bench_again=bench_again,
        published=view.published_block,
        **_content(view, chunks, parts, copies),
    )


def _content(view: View, chunks: Chunks, parts: Any, copies: Mapping[str, Copy]) -> dict[str, Any]:
    """What the page shows, by the names that its template knows."""
    snapshot, tables, evidence = view.snapshot, view.tables, read_evidence(view.snapshot)
    evaluations = [e for e in snapshot.current if view.wanted(e.benchmark)]
    runs = {e.run for e in snapshot.evaluations if view.wanted(e.benchmark)}
    palette = palette_of(labels_of(tables, evidence))
    titles = list(dict.fromkeys([*(t.panel for t in tables), *evidence]))
    panels = [panel_view(view, panel, evidence.get(panel), palette) for panel in titles]
    for number, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        of_panel = [table for table in tables if table.panel == title]
        panel["ranked"] = ranked(of_panel)
        panel["objects"] = object_sections(view, title)
        chunks.add(f"t{number}", {kind: write(of_panel) for kind, write in copies.values()} if of_panel else {})
    add_references(tables, titles, panels, palette, chunks, parts)
    data = drill_data(snapshot, evaluations, titles, chunks)
    data["panels"] = [{name: panel[name] for name in ("reference", "parts")} for panel in panels]
    return {
        "data": script_json(data),
        "chunks": chunks.inline,
        "left_out": chunks.left_out,
        "panels": panels,
        "palette": palette,
        "note": note(tables, with_a_a=False),  # each panel has its own below its table
        "synthetic": synthetic_data(tables),
        "why": view.explain(snapshot),
        "costs": [row for row in cost_rows(snapshot) if row["run"] in runs],
        "provenance": provenance(evaluations, partial(base_value, snapshot)),
        "commands": alignment_commands(snapshot.alignments),
        "stale_evaluations": {
            run: kept for run, names in snapshot.stale.items() if (kept := [*filter(view.wanted, names)])
        },
        "unknown_benchmarks": [line for name, line in snapshot.left_out.items() if view.wanted(name)],
        "failed": [a for a in snapshot.groups.alignments.values() if a.status != "done"],
        "commit": view.commit,
        "store_name": snapshot.store.path.name,
    }


def _seen(value: Any) -> Any:
    """What the template writes: a text of others without what cannot be seen or reverses what stands around it."""
    return stripped(value) if type(value) is str else value


def _policy(style: str, script: str, *, beside: bool) -> Markup:
    """The page's Content-Security-Policy: its own style and script by their hashes, pictures in it, nothing else.

    ``beside``: its script may load further ones, the answers in files beside the page.
    """
    hashes = (b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    of_style, of_script = (f"'sha256-{each}'" for each in hashes)
    scripts = of_script + (" 'strict-dynamic'" if beside else "")
    return Markup(
        f"default-src 'none'; script-src {scripts}; style-src {of_style}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def script_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in; NaN as null."""
    text = json_text(value, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def labels_of(tables: Sequence[Table], evidence: Mapping[str, Evidence]) -> list[str]:
    """Everything that a chart of the page draws: the rows of its tables, and methods that were only trained."""
    labels = [row.label for table in tables for row in table.rows]
    return labels + [method for of_panel in evidence.values() for method in of_panel.methods]


def drill_data(
    snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], panels: Sequence[str], chunks: Chunks
) -> dict[str, Any]:
    """The index of the drill-down; samples, verdicts and pictures go into ``chunks``.

    An evaluation is listed where its samples and its verdicts both fit; pictures take the room that these leave.
    """
    rows = rows_by_panel(evaluations, snapshot.groups, panels)
    titles = condition_titles(map(condition_of, evaluations))
    listed, fits = [], dict[str, bool]()
    for evaluation in evaluations:
        data_key = evaluation.data_key
        if data_key not in fits:
            fits[data_key] = chunks.add(f"s{chunk_key(data_key)}", sample_chunk(snapshot, data_key))
        if not fits[data_key]:
            chunks.left_out.append(f"v{evaluation.id}")
        elif chunks.add(f"v{evaluation.id}", verdict_chunk(snapshot, evaluation)):
            title = titles[condition_of(evaluation)]
            listed.append(_indexed(evaluation, snapshot.groups, rows[evaluation.id], title))
    shown = {e["id"] for e in listed}
    first = {e.data_key: e for e in reversed(evaluations) if e.id in shown}
    for data_key, evaluation in first.items():
        chunks.add(f"p{chunk_key(data_key)}", {k: data_uri(v) for k, v in pictures(evaluation).items()})
    return {"evaluations": listed, "folder": "samples" if chunks.folder else ""}


def _indexed(evaluation: EvaluationRecord, names: RunGroups, rows: Mapping[str, Any], title: str) -> dict[str, Any]:
    """What the drill-down knows of an evaluation before its answers are unpacked."""
    alignment = names.alignments.get(evaluation.alignment or "")
    condition = condition_of(evaluation)
    return {
        "id": evaluation.id,
        "run": stripped(evaluation.run),
        "seed": alignment.seed if alignment else None,
        "rows": rows,
        "condition": condition_key(condition),
        "title": title,
        "about": condition_text(condition),
        "data": chunk_key(evaluation.data_key),
        "scored": f"{evaluation.n_scored}/{evaluation.n}",
    }


def rows_by_panel(
    evaluations: Sequence[EvaluationRecord], names: RunGroups, panels: Sequence[str]
) -> dict[int, dict[str, dict[str, str]]]:
    """Of every evaluation, by id, its row in the tables of each panel (by the panel's number on the page).

    With the row to put beside it: the DPO that it is compared with, or the base.
    """
    rows: dict[int, dict[str, dict[str, str]]] = {e.id: {} for e in evaluations}
    tables = defaultdict(list)
    for evaluation in evaluations:
        tables[condition_of(evaluation)].append(evaluation.id)
    for number, panel in enumerate(panels):
        labels = {e.id: label for e in evaluations if (label := names.label(e, panel)) is not None}
        for table in tables.values():
            members = [i for i in table if i in labels]
            references = names.references(panel, list(dict.fromkeys(labels[i] for i in members)))
            for i in members:
                beside = references[labels[i]]
                rows[i][str(number)] = {"row": labels[i], "beside": beside.get(DPO, beside.get(BASE, ""))}
    return rows
