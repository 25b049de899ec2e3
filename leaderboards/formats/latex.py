"""Leaderboards as LaTeX: booktabs, the paper's layout of methods by benchmarks, best bold, second underlined."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from harness.util.visible import on_one_line
from leaderboards import half_widths
from leaderboards.declared import benchmark_title, metric_title
from leaderboards.extrapolation import MARK, not_bracketed
from leaderboards.formats.registry import FORMATS, Format
from leaderboards.notes import evaluator_lines, not_shown, of_checkpoints, trained_on
from leaderboards.published import Published
from leaderboards.rows import Cell, Row, Table
from leaderboards.text import (
    NO_EVALUATIONS,
    against,
    compared,
    condition_text,
    figure,
    interval,
    p_text,
    panel_title,
    ranks,
    signed,
    stars,
    table_title,
)
from leaderboards.trivial import trivial_labels, trivial_rows
from leaderboards.view import View

ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$",
    "Δ": r"$\Delta$", "†": r"$\dagger$", "‡": r"$\ddagger$", "–": "--", "·": r"$\cdot$",
    "…": r"\ldots{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def tex(text: str) -> str:
    """``text`` as LaTeX shows it, on one line and without what cannot be seen."""
    return "".join(ESCAPES.get(c, c if c.isprintable() else " ") for c in on_one_line(text))


def latex(tables: Sequence[Table], *, differences: bool = False, nothing: str = NO_EVALUATIONS) -> str:
    """One table a panel: a column group for each benchmark condition. Needs the packages booktabs and graphicx.

    With ``differences`` tables of the differences to DPO and base follow, with intervals and p-values.
    """
    head = "% \\usepackage{booktabs,graphicx}\n"
    if not tables:
        return f"{head}% {tex(nothing)}\n"
    panels = dict.fromkeys(table.panel for table in tables)
    blocks = [_panel(panel, [t for t in tables if t.panel == panel]) for panel in panels]
    if differences:
        blocks += [_differences(table, name) for table in tables for name in compared(table)]
    return _labelled_once(head + "\n".join(blocks))


def _labelled_once(text: str) -> str:
    """``text`` in which no two tables have one label (a benchmark under two judges): "tab:clean-2"."""
    seen = Counter[str]()

    def numbered(found: re.Match[str]) -> str:
        seen[found[1]] += 1
        return found[0] if seen[found[1]] == 1 else rf"\label{{{found[1]}-{seen[found[1]]}}}"

    return re.sub(r"\\label\{(.+?)\}", numbered, text)


def tabular(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str,
    label: str,
    groups: Sequence[tuple[str, int]] = (),
) -> str:
    """A booktabs table of cells that are LaTeX already; ``groups``: (title, width) over the columns after the first.

    ``label``: words that it is referred to by, "tab:clean-dpo".
    """
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{caption}}}", rf"\label{{tab:{slug}}}"]
    lines += [r"\resizebox{\linewidth}{!}{%"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule"]
    if groups:
        lines.append(
            " & ".join(["", *(rf"\multicolumn{{{width}}}{{c}}{{{title}}}" for title, width in groups)]) + r" \\"
        )
        start, rules = 2, []
        for _, width in groups:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines.append(" ".join(rules))
    lines += [" & ".join(header) + r" \\", r"\midrule", *(_row_start(" & ".join(row)) + r" \\" for row in rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}", r"\end{table}", ""])


def _row_start(row: str) -> str:
    r"""A row as it must stand after the ``\\`` of the one before, which takes a bracket or a star for its argument."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _panel(panel: str, tables: Sequence[Table]) -> str:
    labels = list(dict.fromkeys(row.label for table in tables for row in table.rows))
    used = {name for table in tables for name in compared(table)}
    known = [*dict.fromkeys(name for table in tables for name in table.references)]
    reference = next((name for name in known if name in used), known[0])
    rows = []
    for label in labels:
        cells = [tex(label)]
        for table in tables:
            row = next((r for r in table.rows if r.label == label), None)
            cells += [_cell(table, row, i, reference) for i in range(len(table.headline))]
        rows.append(cells)
    rows += _trivial(tables)
    header = ["Method", *(tex(metric_title(m, table.condition.benchmark)) for table in tables for m in table.headline)]
    groups = [(tex(benchmark_title(t.condition.benchmark)), len(t.headline)) for t in tables]
    missing = [f"{r.label} {r.n_scored}/{r.n}" for t in tables for r in t.rows if r.n_scored < r.n]
    doubtful = [f"{r.label} ({', '.join(r.doubts)})" for t in tables for r in t.rows if r.doubts]
    notes = [
        f"{panel_title(panel).capitalize()}: {'; '.join(map(_sized, tables))}. {_seeds(tables)} Mean over seeds, "
        f"{half_widths.EXPLAINED}; * marks a paired difference to {reference} whose 95 % interval leaves out 0, ** one "
        "whose p, Holm-adjusted over all pairs of rows, is below .05 as well, + before them one for the better, - one "
        "for the worse; best bold, second underlined."
    ]
    notes += [f"Incomplete: {', '.join(missing)} samples scored."] if missing else []
    notes += [f"Doubtful answers: {', '.join(doubtful)}."] if doubtful else []
    notes += [
        *of_checkpoints(tables),
        *not_bracketed(tables),
        *evaluator_lines(tables),
        *trained_on(tables),
        *not_shown(tables),
    ]
    text = tabular(header, rows, caption=tex(" ".join(notes)), label=panel or "results", groups=groups)
    return "".join(f"% {tex(f'{table_title(t.condition)}: {condition_text(t.condition)}')}\n" for t in tables) + text


def _sized(table: Table) -> str:
    """A benchmark with its samples and its judge, without what only who repeats it needs."""
    samples = max((row.n // max(len(row.runs), 1) for row in table.rows), default=0)
    judge = table.condition.judge
    return f"{table_title(table.condition)}, {samples} samples" + (f" judged by {judge}" if judge != "none" else "")


def _seeds(tables: Sequence[Table]) -> str:
    """How many training seeds the rows are of: "3 seeds: dpo, dama; 1: base."."""
    rows: dict[int, dict[str, None]] = defaultdict(dict)
    for row in (row for table in tables for row in table.rows):
        rows[len(row.runs)][row.label] = None
    each = [f"{count} {'seed' if count == 1 else 'seeds'}: {', '.join(rows[count])}" for count in sorted(rows)[::-1]]
    return f"{'; '.join(each)}."


def _trivial(tables: Sequence[Table]) -> list[list[str]]:
    """The rows of answers that need no model, below a rule of their own."""
    rows: list[list[str]] = []
    for label in trivial_labels(tables):
        cells = [rf"\midrule \emph{{{tex(label)}}}" if not rows else rf"\emph{{{tex(label)}}}"]
        for table in tables:
            cells += map(tex, dict(trivial_rows(table)).get(label, ["--"] * len(table.headline)))
        rows.append(cells)
    return rows


def _cell(table: Table, row: Row | None, column: int, reference: str) -> str:
    if row is None:
        return "--"
    metric = table.headline[column]
    cell = row.cells[metric.name]
    text = tex(figure(row, metric))
    rank = ranks(table, metric).get(row.label, 0)
    text = {1: rf"\textbf{{{text}}}", 2: rf"\underline{{{text}}}"}.get(rank, text)
    if halves := half_widths.short(cell, metric):
        text += rf"{{\scriptsize {tex(''.join(halves))}}}"
    difference = cell.versus.get(reference)
    return text + (_stars(difference, metric, cell.holm[reference]) if difference is not None else "")


def _stars(difference: Difference, metric: Metric, p_holm: float) -> str:
    """The stars of a difference, and before them whether it is one for the better or the worse."""
    marks = stars(difference, p_holm).replace(MARK, r"\dagger")
    if "*" in marks and metric.higher_is_better is not None:
        marks = ("+" if (difference.value > 0) == metric.higher_is_better else "-") + marks
    return f"$^{{{marks}}}$" if marks else ""


def _differences(table: Table, reference: str) -> str:
    """The differences of a benchmark's rows to the ``reference`` row."""
    metrics = table.headline
    header = ["Method", *(tex(metric_title(metric, table.condition.benchmark)) for metric in metrics)]
    rows = [
        [tex(against(row, reference)), *(_difference(row.cells[metric.name], metric, reference) for metric in metrics)]
        for row in table.rows
        if reference in row.references
    ]
    caption = (
        f"{_sized(table)}, {panel_title(table.panel)}: paired difference to {reference} on common samples, 95 % "
        f"interval, {half_widths.EXPLAINED}, p Holm-adjusted over all pairs of rows. {_seeds([table])}"
    )
    label = f"{table.panel or 'results'} {table_title(table.condition)} against {reference}"
    return tabular(
        header, rows, caption=tex(" ".join([caption, *of_checkpoints([table]), *not_shown([table])])), label=label
    )


def _difference(cell: Cell, metric: Metric, reference: str) -> str:
    difference = cell.versus.get(reference)
    if difference is None or not math.isfinite(difference.value):
        return "--"
    p = cell.holm[reference]
    halves = "".join(f" {part}" for part in half_widths.short(difference, metric) if math.isfinite(difference.low))
    about = tex(f"{interval(difference.low, difference.high, metric)}{halves}, p {p_text(p)}")
    return rf"{tex(signed(difference.value, metric))}{_stars(difference, metric, p)} {{\scriptsize {about}}}"


def published_latex(block: Published) -> str:
    """The published figures as a booktabs table of their own; what is left out of them as a comment."""
    left_out = f"% {tex(block.left_out)}\n" if block.left_out else ""
    if not block.rows:
        return left_out
    rows = [[tex(name), *figures] for name, figures in block.rows]
    caption = f"{tex(block.title)}. {tex(block.source)}"
    return f"\n{left_out}" + tabular(["Model", *map(tex, block.columns)], rows, caption=caption, label="published")


class Latex(Format):
    """Tables for papers."""

    name = "latex"
    suffixes = (".tex",)
    says_empty = True

    def render(self, view: View) -> str:
        text = latex(view.tables, differences=view.differences, nothing=view.empty)
        return text + (published_latex(view.published_block) if view.published_block else "")


FORMATS.register("latex", Latex)
