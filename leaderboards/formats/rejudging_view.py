"""What another judge changes as rich text. Nothing is printed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.protocols.benchmark import Metric
from harness.stats import Difference
from leaderboards.declared import metric_title
from leaderboards.formats.agreement_view import estimate_text
from leaderboards.rejudging import Pair, Rejudgement
from leaderboards.text import interval, number, p_text, signed

EXPLAINED = (
    "B - A: paired on the answers that both judges scored, with its 95 % interval over images; tau: Kendall's tau-b of "
    "the runs' figures; alpha: Krippendorff's. Intervals and p are not adjusted for the number of runs or pairs. "
    "Nothing of this is a row of the leaderboard: the other judge's replies are stored, its evaluation is not."
)
SHOWN = 10
"""Pairs of runs that are listed."""


def rejudging_view(rejudgements: Sequence[Rejudgement]) -> RenderableType:
    """Of every benchmark condition the shifts in a table, then the agreement and the ranking in sentences."""
    if not rejudgements:
        return Text("No benchmark of these has a figure with a better and a worse: there is nothing to compare.")
    blocks: list[RenderableType] = []
    for each in rejudgements:
        blocks += [_table(each), *(Text(line) for line in sentences(each)), Text("")]
    return Group(*blocks, Text(EXPLAINED, "dim"))


def _table(each: Rejudgement) -> RichTable:
    of = f"{each.samples} of {each.of} questions" if each.samples < each.of else f"all {each.of} questions"
    table = RichTable(
        title=Text.assemble((each.title, "bold cyan"), f", {of}; A {each.a}; B {each.b}", style="table.title"),
        title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    table.add_column("Run")
    for name in ("n", f"{metric_title(each.metric, each.benchmark)}, A", "B", "B - A", "95 % interval", "p"):
        table.add_column(name, justify="right")
    for shift in each.shifts:
        d = shift.difference
        table.add_row(
            Text(shift.run), str(d.n), number(shift.a, each.metric), number(shift.b, each.metric),
            signed(d.value, each.metric), interval(d.low, d.high, each.metric), p_text(d.p),
        )  # fmt: skip
    return table


def sentences(each: Rejudgement) -> list[str]:
    """Agreement, ranking, what failed and what else is to be known."""
    said = [f"alpha of {of.rating}: {estimate_text(of.alpha)} over {of.n} answers." for of in each.agreements]
    said += [] if each.agreements else ["No rating of both judges to compare: alpha is not given."]
    said += _ranking(each)
    said += [f"{each.failed} answers have no verdict by B: {each.reason}."] if each.failed else []
    return said + [f"{note}." for note in each.notes]


def _ranking(each: Rejudgement) -> list[str]:
    if len(each.shifts) < 2:
        return ["One run has no ranking."]
    compared = [pair for pair in each.pairs if pair.compared]
    if not compared:
        return ["No two runs have an answer that both judges scored: nothing is known of the ranking."]
    if not any(pair.a.value or pair.b.value for pair in compared):
        return ["All runs are level by both judges: there is no ranking."]
    swapped, level = ([p for p in compared if p.swapped], [p for p in compared if p.level_by_one])
    tau = "" if each.tau is None else f" tau {estimate_text(each.tau)};"
    fates = Counter(pair.fate for pair in compared if pair.fate)
    lead = "The ranking changes:" if swapped else "The ranking is not confirmed:" if level else "The ranking holds:"
    order = f"{len(swapped)} of {len(compared)} pairs of runs are in the opposite order by B."
    order += f" {len(level)} are level by one of the judges." if level else ""
    if rest := len(each.pairs) - len(compared):
        order += f" {rest} more have no answers that both judges scored."
    firm = (
        f"Of {sum(fates.values())} pairs that A distinguishes on these answers B confirms {fates['confirmed']}, is "
        f"unsure of {fates['unsure']}, and reverses {fates['reversed']}."
        if fates
        else "A distinguishes no pair on these answers."
    )
    lines = [f"{lead}{tau} {order} {firm}"]
    lines += [_pair(pair, each.metric) for pair in swapped[:SHOWN]]
    return lines + ([f"and {len(swapped) - SHOWN} more pairs (--json has all)"] if len(swapped) > SHOWN else [])


def _pair(pair: Pair, metric: Metric) -> str:
    return f"  {pair.first} - {pair.second}: by A {_difference(pair.a, metric)}, by B {_difference(pair.b, metric)}"


def _difference(difference: Difference, metric: Metric) -> str:
    return f"{signed(difference.value, metric)} {interval(difference.low, difference.high, metric)}"
