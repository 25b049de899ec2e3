"""What pairs and benchmarks share as a rich table. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from harness.evaluation.pictures import HOW
from leaderboards.declared import benchmark_title

SHOWN = 5
"""Pictures of each benchmark that are listed here."""
EXPLAINED = (
    "One picture may be the same in several ways. A part cut out of a picture, or its mirror image, is not seen."
)


def contamination_table(records: Sequence[Mapping[str, Any]]) -> Group:
    """A line a benchmark, then the first shared pictures of each and the marked runs; 80 columns are enough."""
    out = RichTable(
        title=Text(f"{records[0]['pairs']:,} pairs with {records[0]['pair_images']:,} images"),
        title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False,
    )  # fmt: skip
    out.add_column("Benchmark")
    for name in ("Images", "Shared", *(how.capitalize() for how in HOW), "Questions", "Pairs"):
        out.add_column(name, justify="right", no_wrap=True)
    for each in records:
        counts = [each["images"], each["shared"], *(each[f"by_{how}"] for how in HOW)]
        counts += [each["shared_questions"], each["sharing_pairs"]]
        out.add_row(
            Text(benchmark_title(each["benchmark"])), *(f"{count:,}" for count in counts),
            style="yellow" if each["shared"] else "",
        )  # fmt: skip
    left_out = "; ".join(f"{rows:,}, {why.partition('. ')[0]}" for why, rows in records[0]["left_out"].items())
    lines = [f"Rows of the pairs that are not compared: {left_out}"] if left_out else []
    lines += [line for each in records for line in _lines(each)]
    ways = ", ".join(f"{how.capitalize()}: {meaning}" for how, meaning in HOW.items())
    return Group(out, *map(Text, lines), Text(f"{ways}. {EXPLAINED}", "dim"))


def _lines(each: Mapping[str, Any]) -> list[str]:
    title, matches = benchmark_title(each["benchmark"]), each["matches"]
    lines = [f"{title}: {m['image']} ({', '.join(m['how'])}; pairs {_few(m['pairs'])})" for m in matches[:SHOWN]]
    if len(matches) > SHOWN:
        lines.append(f"{title}: {len(matches) - SHOWN} more (--json lists all)")
    runs = [f"{run} ({count})" for run, count in each["runs"].items()]
    return [*lines, *([f"{title}: runs trained on these pairs: {', '.join(runs)}"] if runs else [])]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
