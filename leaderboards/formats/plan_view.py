"""A plan as rich text: the smallest visible difference by seeds and samples, and what a wanted one takes."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from leaderboards.declared import benchmark_title, metric_name
from leaderboards.planned import Planned, PlannedDesign

PARTS = {"samples": "samples", "seeds": "training seeds", "judge_runs": "judge runs"}
TOO_SMALL = "not detectable at this size: more than the whole range"


def plan_view(plan: Planned) -> RenderableType:
    """The table, then the sentences."""
    heading = Text.assemble((plan.a, "bold"), (" against ", "dim"), (plan.b, "bold"), (f"  {_what(plan)}", "cyan"))
    title = Text("Smallest visible difference, by seeds of each method (down) and samples (across)", "italic")
    table = RichTable(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Seeds", justify="right")
    samples = list(dict.fromkeys(design.samples for design in plan.table))
    for count in samples:
        table.add_column(f"{count:,}" + ("" if count <= plan.available else " *"), justify="right")
    for seeds in dict.fromkeys(design.seeds for design in plan.table):
        row = [design for design in plan.table if design.seeds == seeds]
        table.add_row(str(seeds), *(_cell(plan, design) for design in row))
    return Group(heading, title, table, *(Text(line) for line in sentences(plan)))


def _cell(plan: Planned, design: PlannedDesign) -> str:
    smallest = "–" if design.smallest is None else f"{design.smallest:.{2 if design.smallest < 10 else 3}g}"
    if design.smallest is not None and not plan.detects(design):
        smallest = f"> {plan.widest:g}"
    return f"{smallest}\n{_money(design.usd)}" if design.judge_calls and design.usd != 0 else smallest


def _money(usd: float | None) -> str:
    return "price unknown" if usd is None else f"${usd:.2f}"


def sentences(plan: Planned) -> list[str]:
    """What the wanted difference takes, what the pilot shows, and of which parts its variance is."""
    level = f"5 % level{f' over {plan.comparisons} comparisons' if plan.comparisons > 1 else ''}"
    out = []
    if plan.wanted is not None:
        wanted = f"A difference of {plan.wanted:g}{_unit(plan)} in {_what(plan)}"
        asked = f"{wanted} ({100 * plan.power:.0f} % power, {level})"
        if plan.need is None:
            out.append(f"{asked} is not shown by 20 seeds and 100 times the pilot's samples.")
        else:
            more = f" (more samples than {_there(plan)})" if plan.need.samples > plan.available else ""
            out.append(f"{asked} takes {_design(plan, plan.need)}{more}.")
    out.append(f"The pilot ({_design(plan, plan.pilot)}) shows {_shown(plan)}. {_parts(plan)}")
    if any(design.smallest is not None and not plan.detects(design) for design in plan.table):
        out.append(f"> {plan.widest:g}: {TOO_SMALL}.")
    if any(design.samples > plan.available for design in plan.table):
        out.append(f"* more samples than {_there(plan)}.")
    return out + [f"{note[0].upper()}{note[1:]}." for note in plan.notes]


def _shown(plan: Planned) -> str:
    """What differences the pilot shows."""
    if plan.pilot.smallest is None:
        return "nothing of methods"
    return f"{plan.pilot.smallest:.3g}{_unit(plan)} and more" if plan.detects(plan.pilot) else f"none: {TOO_SMALL}"


def _there(plan: Planned) -> str:
    """The samples that are known to be there: a pilot of a limit says nothing of how many the benchmark has."""
    whose = "the pilot's evaluations have" if plan.size is None else "the benchmark has"
    return f"the {plan.available:,} that {whose}"


def _parts(plan: Planned) -> str:
    known = [f"{PARTS[name]} {100 * share:.0f} %" for name, share in plan.shares.items() if share is not None]
    unknown = plan.shares.get("judge_runs") is None and plan.pilot.judge_calls
    more = " Each answer was judged once: what its judge runs add is within the samples' part." if unknown else ""
    return f"Of its variance: {', '.join(known)}.{more}"


def _design(plan: Planned, design: PlannedDesign) -> str:
    seeds = f"{design.seeds} seeds x " if plan.shares.get("seeds") or design.seeds > 1 else ""
    words = f"{seeds}{design.samples:,} samples"
    if design.judge_calls:
        runs = f"{design.judge_runs} judge run{'s' * (design.judge_runs > 1)}"
        money = f", {_money(design.usd)}" if design.usd != 0 else ""
        words += f" x {runs}: {design.judge_calls:,} replies of the judge{money}"
    return words


def _what(plan: Planned) -> str:
    return f"{benchmark_title(plan.benchmark)} {metric_name(plan.benchmark, plan.metric)}"


def _unit(plan: Planned) -> str:
    return " points" if plan.unit == "%" else ""
