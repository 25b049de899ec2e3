"""One run in the terminal: how it was made, its figures, and some of its answers."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as RichTable
from rich.text import Text

from harness.evaluation.fingerprint import fingerprint
from harness.store import EvaluationRecord
from leaderboards.declared import benchmark_title
from leaderboards.formats.terminal import evaluation_table
from leaderboards.provenance import base_text, software_text
from leaderboards.unevaluated import bench_again

LONGEST = 600
"""Characters of an answer that the terminal shows; `export` and the HTML report have all of it."""


def run_view(
    facts: Mapping[str, Any], evaluations: list[EvaluationRecord], *, whole: bool = False
) -> list[RenderableType]:
    """``facts`` as `show --json` has them, with the records of the same evaluations; ``whole``: no answer is cut."""
    shown: list[RenderableType] = [Text(str(facts["run"]), "bold")]
    alignment = facts.get("alignment")
    if alignment:
        shown += [Padding(_alignment(alignment), (0, 0, 1, 2)), *_last_step(alignment["last_step"])]
    if not evaluations:
        shown.append(Text(f"Not benchmarked yet: {bench_again(facts['run'])}", "yellow"))
        return shown
    shown += [evaluation_table(evaluations), *_evaluators(facts, evaluations)]
    for evaluation in facts["evaluations"]:
        bias = evaluation["decoding"].get("eos_bias", 0)
        if whole or not bias:  # the curve's other points say nothing new of single answers
            shown += [_sample(evaluation, sample, whole) for sample in evaluation["samples"]]
    return shown


def _evaluators(facts: Mapping[str, Any], evaluations: Sequence[EvaluationRecord]) -> list[RenderableType]:
    """A line for every evaluator: its key, its fields, and what the base model has by it."""
    lines = dict[str, None]()
    for evaluation, shown in zip(evaluations, facts["evaluations"], strict=True):
        made = fingerprint(evaluation)
        words = [f"{name} {text}" for name, text in made.words.items() if name != "benchmark"]
        words += filter(None, [base_text(evaluation.benchmark, shown["evaluator"]["base"])])
        lines[f"evaluator {made.key} of {benchmark_title(evaluation.benchmark)}: {', '.join(words)}"] = None
    return [Padding(Text("\n".join(lines), "dim"), (0, 0, 1, 0))]


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


def _sample(evaluation: Mapping[str, Any], sample: Mapping[str, Any], whole: bool) -> Panel:
    """One answer with its question, hallucinated words marked, what was read off it, and what the judge said."""
    longest = sys.maxsize if whole else LONGEST
    words = sample.get("hallucinated")
    asked = [Text(_cut(str(sample["question"]), longest), "italic")] if sample["question"] else []
    answer = "(no answer)" if sample["answer"] is None else _cut(str(sample["answer"]), longest)
    marks = [str(word) for word in words] if isinstance(words, list) else []
    blocks: list[RenderableType] = [*asked, Marked(answer, marks)]
    blocks += [Text(str(sample["error"]), "yellow")] if sample["error"] else []
    shown = ("id", "question", "answer", "values", "error", "hallucinated", "reply", "replies")
    rest = {k: v for k, v in sample.items() if k not in shown and v not in (None, "", [], {})}  # a rating of 0 counts
    blocks += [Text(f"{name}: {_cut(str(value), longest)}", "dim") for name, value in rest.items()]
    kept = sample.get("reply") if isinstance(sample["replies"], str) else None  # of an earlier version
    said = _judged(evaluation, [str(kept)] if kept else sample["replies"])
    blocks += [Text(_cut(line, longest), "dim") for line in said]
    bias = evaluation["decoding"].get("eos_bias", 0)
    at = f" at EOS bias {bias:+g}" if bias else ""
    title = Text(f"{benchmark_title(evaluation['benchmark'])} {sample['id']}{at}")
    return Panel(Group(*blocks), title=title, title_align="left", box=box.ROUNDED, border_style="dim")


def _judged(evaluation: Mapping[str, Any], replies: Any) -> list[str]:
    """A line for every reply of the judge: which judge, to which prompt (by its key), and what it said."""
    if isinstance(replies, str):  # not recorded
        return [] if evaluation["judge"] == "none" else [f"the judge's reply: {replies}"]
    if all(isinstance(each, str) for each in replies):  # of an earlier version
        return [f"the judge's reply: {each}" for each in replies]
    return [
        f"judge {each['judge'] or '-'}, prompt {each['prompt'][:8]}: "
        + (each["reply"] if each["reply"] is not None else f"no reply ({each['error']})")
        for each in replies
    ]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text):,} characters)"


class Marked:
    """A text with words marked: in colour where there are colours, else as [[words]], so that a pipe keeps them."""

    def __init__(self, text: str, words: Sequence[str]) -> None:
        known = "|".join(map(re.escape, filter(None, words)))
        pattern = rf"(?<![^\W\d_])((?:{known})(?:s|es)?)(?![^\W\d_])"
        self.parts = re.split(pattern, text, flags=re.IGNORECASE) if known else [text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = Text()
        for number, part in enumerate(self.parts):
            marked = number % 2 == 1
            if marked and console.color_system is None:
                shown.append(f"[[{part}]]")
            else:
                shown.append(part, "bold red underline" if marked else "")
        yield shown
