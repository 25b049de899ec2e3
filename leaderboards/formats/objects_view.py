"""The objects that two models hallucinate as rich tables. Nothing is printed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from leaderboards.condition import Condition
from leaderboards.objects import ObjectChanges, shares
from leaderboards.text import condition_titles, finite

EXPLAINED = (
    "Hallucinated mentions of all mentions of the object (per seed). Δ = A - B per 100 answers with its 95 % interval, "
    "of each object alone: of many objects the largest changes look larger than they are."
)


def objects_table(found: Sequence[ObjectChanges], a: str, b: str) -> Group:
    """A table for each benchmark; 80 columns are enough."""
    out: list[RenderableType] = [Text.assemble(("A ", "dim"), (a, "bold"), ("  against  B ", "dim"), (b, "bold"))]
    titles = condition_titles(changes.condition for changes in found)
    return Group(*out, *(_table(titles[each.condition], each, (a, b)) for each in found), Text(EXPLAINED, "dim"))


def _table(title: str, found: ObjectChanges, names: tuple[str, str]) -> RichTable:
    counts = (f", {n} {'seed' if n == 1 else 'seeds'} of {name}" for n, name in zip(found.seeds, names, strict=True))
    of_seeds = "".join(counts) if max(found.seeds) > 1 else ""
    rest = found.objects - len(found.changes)
    out = RichTable(
        title=Text.assemble((title, "bold cyan"), f", {found.answers} answers{of_seeds}", style="table.title"),
        caption=f"{rest} more objects change less: --top {found.objects}" if rest else None,
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False,
    )  # fmt: skip
    out.add_column("Object", overflow="fold")
    for name in ("A", "B", "Δ per 100", "95 % interval"):
        out.add_column(name, justify="right", no_wrap=True)
    for each in found.changes:
        d = each.difference
        span = f"[{d.low:.1f}, {d.high:.1f}]" if finite(d.low) is not None else "–"
        out.add_row(
            Text(each.object),
            shares(each.a, each.a_mentions),
            shares(each.b, each.b_mentions),
            f"{d.value:+.1f}",
            span,
            style="bold" if d.leaves_out_0 else "",
        )
    out.add_section()
    out.add_row(Text("all objects"), shares(found.a, found.a_mentions), shares(found.b, found.b_mentions), "", "")
    return out


def object_records(found: Sequence[ObjectChanges]) -> list[dict[str, Any]]:
    """A record an object, for JSON and data frames; None where a number is undefined."""
    return [
        {
            **_of(changes.condition),
            "object": each.object,
            "a": each.a,
            "b": each.b,
            "a_mentions": each.a_mentions,
            "b_mentions": each.b_mentions,
            "answers": changes.answers,
            "a_seeds": changes.seeds[0],
            "b_seeds": changes.seeds[1],
            "per_100": finite(each.difference.value),
            "low": finite(each.difference.low),
            "high": finite(each.difference.high),
        }
        for changes in found
        for each in changes.changes
    ]


def _of(condition: Condition) -> dict[str, Any]:
    return {name: getattr(condition, name) for name in ("benchmark", "version", "judge")}
