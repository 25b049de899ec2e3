"""One run in the terminal: how it was made, its figures, and some of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from harness.store import EvaluationRecord
from leaderboards.declared import benchmark_title
from leaderboards.formats.terminal import evaluation_table
from leaderboards.provenance import software_text
from leaderboards.text import bench_again

LONGEST = 600
"""Characters of an answer that the terminal shows; `export` and the HTML report have all of it."""


def run_view(facts: Mapping[str, Any], evaluations: list[EvaluationRecord]) -> list[RenderableType]:
    """``facts`` as `show --json` has them, with the records of the same evaluations."""
    shown: list[RenderableType] = [Text(str(facts["run"]), "bold")]
    alignment = facts.get("alignment")
    if alignment:
        shown += [Padding(_alignment(alignment), (0, 0, 1, 2)), *_last_step(alignment["last_step"])]
    if not evaluations:
        shown.append(Text(f"Not benchmarked yet: {bench_again(facts['run'])}", "yellow"))
        return shown
    shown.append(evaluation_table(evaluations))
    for evaluation in facts["evaluations"]:
        bias = evaluation["decoding"].get("eos_bias", 0)
        if not bias:  # the curve's other points say nothing new of single answers
            shown += [_sample(evaluation, sample) for sample in evaluation["samples"]]
    return shown


def _alignment(alignment: Mapping[str, Any]) -> RichTable:
    config, info = alignment["config"], alignment["info"]
    rows = {
        "method": alignment["method"],
        "panel": alignment["panel"] or "-",
        "status": alignment["status"],
        "took": f"{alignment['seconds']:.0f} s",
        "model": alignment["model_dir"] or "-",
        "from": _origin(alignment["lineage"]) or "-",
        "pairs": config.get("data", "-"),
        **{name: config[name] for name in ("seed", "epochs", "batch_size", "lr") if name in config},
        **(config.get("objective") or {}),
        **{name: info[name] for name in ("route", "dtype") if info.get(name)},
        **_probed(info.get("probe")),
        "code": software_text(info),
    }
    return _facts(rows)


def _origin(lineage: Mapping[str, Any]) -> str:
    """The base and what was made of it before this run: runs of the store by name, other adapters by directory."""
    runs = [f"run:{name}" for name in lineage["ancestry"]]
    return " -> ".join([lineage["base"], *(runs or lineage["adapters"])])


def _probed(probe: Mapping[str, Any] | None) -> dict[str, str]:
    """The prompt that training was seen to share with asking, and what was worth a word."""
    if not probe:
        return {}
    words = [check["detail"] for check in probe["checks"] if check["state"] in ("warning", "bad")]
    return {"probe": "; ".join(words) or "ok", "prompt": repr(probe["prompt"])}


def _last_step(step: Mapping[str, Any]) -> list[RenderableType]:
    if not step:
        return []
    values = {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in step.items()}
    line = Text.assemble(("  last step  ", "dim"), "  ".join(f"{k} {v}" for k, v in values.items()))
    return [Padding(line, (0, 0, 1, 0))]


def _facts(rows: Mapping[str, Any]) -> RichTable:
    table = RichTable(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(Text(name), Text(str(value)))
    return table


def _sample(evaluation: Mapping[str, Any], sample: Mapping[str, Any]) -> Panel:
    """One answer, hallucinated words marked, with what was read off it."""
    answer = str(sample["answer"]) if sample["answer"] is not None else "(no answer)"
    cut = f" … ({len(answer):,} characters)" if len(answer) > LONGEST else ""
    text = Text(answer[:LONGEST] + cut)
    words = sample.get("hallucinated")
    if isinstance(words, list) and words:
        text.highlight_words([str(word) for word in words], "bold red underline", case_sensitive=False)
    if sample["error"]:
        text.append(f"\n{sample['error']}", "yellow")
    shown = ("id", "answer", "values", "error", "hallucinated")
    rest = {k: v for k, v in sample.items() if k not in shown and v not in (None, "", [], {})}  # a rating of 0 counts
    for name, value in rest.items():
        text.append(f"\n{name}: {str(value)[:LONGEST]}", "dim")
    title = Text(f"{benchmark_title(evaluation['benchmark'])} {sample['id']}")
    return Panel(text, title=title, title_align="left", box=box.ROUNDED, border_style="dim")
