"""How figures are written in every format: arrows, intervals, names."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from harness.util.options import content_key
from leaderboards.condition import Condition
from leaderboards.declared import benchmark_title, matched_name, metric_title, primary_of
from leaderboards.evaluators import official_mark
from leaderboards.extrapolation import MARK
from leaderboards.rows import Row, Table
from leaderboards.scored_metrics import Tested

NO_EVALUATIONS = "No evaluations yet: run `bench` or `ablate` first, or `demo`."


def primary_metric(table: Table) -> Metric | None:
    """The one figure that a table is judged by; None where no metric has a better and a worse."""
    return primary_of(table.condition.benchmark, table.metrics)


def from_row(table: Table, metric: Metric, label: str) -> dict[str, Tested]:
    """Of every other row its difference to the row ``label`` in a metric, with the adjusted p-value."""
    pairs = table.pairs.get(metric.name, {})
    return {row.label: pairs[row.label, label] for row in table.rows if (row.label, label) in pairs}


def is_matched(table: Table, metric: Metric) -> bool:
    """Whether a metric is hallucination at the base's coverage."""
    return metric.name == matched_name(table.condition.benchmark)


def heading(tables: Iterable[Table]) -> str:
    """ "Leaderboard", and what the data are where they are made up."""
    return ": ".join(["Leaderboard", *filter(None, ["; ".join(synthetic_data(tables))])])


def synthetic_data(tables: Iterable[Table]) -> list[str]:
    """What the made-up data of the tables are, each once."""
    return list(dict.fromkeys(table.condition.synthetic for table in tables if table.condition.synthetic))


def table_title(condition: Condition) -> str:
    """The benchmark's title; of made-up data with what they are before the comma ("embedded world (synthetic)")."""
    made_up = condition.synthetic.partition(",")[0]
    return f"{benchmark_title(condition.benchmark)}{f', {made_up}' if made_up else ''}"


def panel_title(panel: str) -> str:
    return panel or "all runs"


def condition_text(condition: Condition) -> str:
    """The judge, rules, version, decoding and data of a table on one line."""
    words = [f"judge {condition.judge}", f"rules {condition.mode}", f"version {condition.version}"]
    words += [decoding_text(condition), *asked_words(condition), f"data {condition.data_hash[:8]}", condition.synthetic]
    return " · ".join(filter(None, words))


def condition_titles(conditions: Iterable[Condition]) -> dict[Condition, str]:
    """The benchmark of every condition, and where a benchmark has several what distinguishes them."""
    groups: dict[str, list[Condition]] = defaultdict(list)
    for condition in conditions:
        groups[condition.benchmark].append(condition)
    words = [item for group in groups.values() for item in distinguishing(group).items()]
    return {condition: ", ".join([table_title(condition), *own]) for condition, own in words}


def distinguishing(conditions: Iterable[Condition]) -> dict[Condition, list[str]]:
    """What each condition of a benchmark has that not all of them have, in words."""
    words = {
        c: [
            f"judge {c.judge}",
            c.mode,
            *c.version.split(),
            *decoding_text(c).split(", "),
            *asked_words(c),
            f"data {c.data_hash[:8]}",
        ]
        for c in conditions
    }
    common = set.intersection(*map(set, words.values()))
    return {condition: [word for word in own if word and word not in common] for condition, own in words.items()}


def decoding_text(condition: Condition) -> str:
    """How the answers were generated, in words for what a benchmark of ours sets and as it stands for anything else."""
    given = dict(condition.decoding)
    beams, heat = given.pop("num_beams", ""), float(given.pop("temperature", 0))
    words = [f"{beams} beams" if beams not in ("", "1") else "greedy" if beams and not heat else ""]
    words.append(f"temperature {heat:g}" if heat else "")
    words.append(f"{tokens} tokens" if (tokens := given.pop("max_new_tokens", "")) else "")
    words.append(f"EOS bias {condition.eos_bias:+g}" if condition.eos_bias else "")
    given.pop("eos_bias", None)
    return ", ".join([*filter(None, words), *(f"{name}={value}" for name, value in given.items())])


def asked_words(condition: Condition) -> list[str]:
    """The settings of its models that change answers, as they are given; of a long text the beginning of its hash."""
    short = {n: v if len(v) <= 40 and v.isprintable() else content_key(v)[:8] for n, v in condition.asked}
    return [f"model.{name}={value}" for name, value in short.items()]


def wrapped_title(metric: Metric, benchmark: str) -> str:
    """The title on lines as narrow as a terminal's columns."""
    return textwrap.fill(metric_title(metric, benchmark), 13, break_long_words=False)


def number(value: float, metric: Metric) -> str:
    """One decimal for percentages, two for scores and counts; a dash where there is nothing."""
    if not math.isfinite(value):
        return "–"
    return f"{value:.1f}" if metric.unit == "%" else f"{value:.2f}"


def figure(row: Row, metric: Metric) -> str:
    """A row's figure, marked where it is extrapolated, and where it is official by its rules only."""
    cell = row.cells[metric.name]
    if not math.isfinite(cell.value):
        return number(cell.value, metric)
    return number(cell.value, metric) + ("" if cell.bracketed else MARK) + official_mark(row, metric)


def signed(value: float, metric: Metric) -> str:
    text = number(value, metric)
    return text if text == "–" or text.startswith("-") else f"+{text}"


def interval(low: float, high: float, metric: Metric) -> str:
    """Both ends in brackets; a dash where there is no interval (one sample, or none)."""
    return f"[{number(low, metric)}, {number(high, metric)}]" if math.isfinite(low) else "–"


def compared(table: Table) -> list[str]:
    """The reference rows that other rows of a table are compared with."""
    used = {name for row in table.rows for cell in row.cells.values() for name in cell.versus}
    return [name for name in table.references if name in used]


def against(row: Row, reference: str) -> str:
    """A row's name in a table of differences to ``reference``, and the row it is compared with if that is another."""
    other = row.references[reference]
    return row.label if other == reference else f"{row.label} (to {other})"


def stars(difference: Difference, p_holm: float) -> str:
    """One star for an interval without 0, two where the p-value adjusted over all pairs of rows is below 5 % too.

    None of a difference that is extrapolated: its mark.
    """
    if not difference.bracketed:
        return MARK if math.isfinite(difference.value) else ""
    if not difference.leaves_out_0:
        return ""
    return "**" if p_holm < 0.05 else "*"


def better(difference: Difference, metric: Metric, p_holm: float) -> bool | None:
    """Whether A is better than B beyond doubt ("**"); None where it is unsure or neither direction is better."""
    if metric.higher_is_better is None or stars(difference, p_holm) != "**":
        return None
    return (difference.value > 0) == metric.higher_is_better


def ranks(table: Table, metric: Metric) -> dict[str, int]:
    """1 for the rows with the best value, 2 for those with the next (base, which is no method, is ranked too); a row
    whose figure is extrapolated has no rank.
    """
    if metric.higher_is_better is None:
        return {}
    values = {row.label: row.cells[metric.name].value for row in table.rows if row.cells[metric.name].bracketed}
    order = sorted({v for v in values.values() if math.isfinite(v)}, reverse=metric.higher_is_better)
    if len(order) < 2:
        return {}
    return {label: order.index(v) + 1 for label, v in values.items() if v in order[:2]}


def best_rows(table: Table, metric: Metric) -> set[str]:
    """Labels of the rows with the best value of a metric."""
    return {label for label, rank in ranks(table, metric).items() if rank == 1}


def counts(row: Row) -> str:
    """Scored / asked, over all seeds, how many failed, what of the answers is doubtful ("97 % empty"), and how many of
    the pictures were trained on."""
    more = [f"{row.n_failed} failed"] if row.n_failed else []
    more += row.doubts
    more += [f"{row.trained_on} images trained on"] if row.trained_on else []
    return f"{row.n_scored}/{row.n}" + (f" ({', '.join(more)})" if more else "")


def finite(value: float | int) -> float | int | None:
    """``value``, or None where it is NaN or infinite, which JSON cannot hold."""
    return value if math.isfinite(value) else None


def p_text(p: float) -> str:
    if not math.isfinite(p):
        return "–"
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
