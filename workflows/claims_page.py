"""What a store says of the paper's claims, as Markdown: docs/claims.md."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from leaderboards.crossed import GAP, Figure
from leaderboards.declared import benchmark_title, metric_name
from workflows.ablation import Ablation
from workflows.claims import Compared, Result

HEAD = """# The paper's claims in the embedded world

Each claim of DAMA (arXiv 2502.01943) that a small world can try, as an experiment of its own: a recipe in
`recipes/claims/`, run and reported as it falls. This page is made from a results file: `{command}`.

**What these figures are not.** They are of a model of 1.36 million weights in a synthetic world
([tinyworld.md](tinyworld.md)). A claim that is not shown here may hold for LLaVA-1.5-7B, and the other way round.

## How it is computed

- Every run is made from each of {bases} base models (`sft_seed`: the same world, another training of the base; its
  pairs are made of its own answers) with each of {seeds} training seeds. Which labels are flipped is fixed by the
  world, not by the training seed; the held-out pairs and all benchmarks are never flipped.
{settings}
- A difference is the mean over bases and seeds, of runs from the same base with the same seed. **Bases are the
  clusters**: each counts once, as the mean over its seeds. The interval is Student's t with two parts: the samples
  (the jackknife over images, whole) and what the difference depends on the base, the interaction of rows and bases,
  pooled over the rows and panels of a claim that have as many seeds ((rows - 1)(bases - 1) degrees of freedom each;
  together by Satterthwaite). A row that is compared with 0 or with the base has the variance of its own bases alone,
  and {df} degrees of freedom.
- p is Holm's, over the comparisons of a claim in one figure. *Smallest visible*: the difference that such an
  experiment shows in four of five tries, at Holm's first level.
- **holds**: the difference is there (p < 0.05), and as claimed. **does not hold**: it is there, the other way round.
  **not shown**: it cannot be distinguished from none; an effect above the smallest visible would probably have been
  seen.
  **not contradicted**: the claim is that there is no such difference, and none was seen.
- CHAIRi matched is read where a model mentions as much of what is there as its base does ([report.md](report.md)); of
  three points of its curve. Gaps are of held-out pairs, in nats, at the end of training; easy and hard are their
  thirds by CLIP hardness.
"""


def page(results: Sequence[Result], command: str) -> str:
    """The whole text; ``command`` is what writes it."""
    ablations = [result.ablation for result in results]
    bases, seeds = (max((len(getattr(a, name)) for a in ablations), default=0) for name in ("bases", "seeds"))
    settings = "\n".join(dict.fromkeys(map(settings_text, ablations)))
    head = HEAD.format(command=command, bases=bases, seeds=seeds, df=max(0, bases - 1), settings=settings)
    return "\n".join([head, summary(results), *map(section, results)])


def settings_text(ablation: Ablation) -> str:
    """What the runs of an ablation share, as its recipe says, beyond the embedded world's own settings."""
    given = ", ".join(f"`{name}={value}`" for name, value in {**ablation.world, **ablation.common}.items())
    asked = ", ".join(map(benchmark_title, ablation.benchmarks)) or f"the suite {ablation.suite}"
    samples = "all samples" if ablation.limit is None else f"{ablation.limit} samples each"
    biases = f", at EOS biases 0 and {', '.join(f'{bias:+g}' for bias in ablation.eos_biases)}"
    text = f"- Base models: `sft_seed` {', '.join(map(str, ablation.bases))}. Settings: {given or 'as they are'}"
    whole = f"{text}. Benchmarks: {asked} ({samples}{biases if ablation.eos_biases else ''})."
    return _filled(whole, indent="  ")


def summary(results: Iterable[Result]) -> str:
    """A row a claim: what became of its comparisons."""
    results = list(results)
    there, planned = (sum(result.runs[i] for result in results) for i in (0, 1))
    lines = ["## In short", ""]
    if there < planned:
        lines += ["**Not all of it was run**; what is missing is said with each claim, and `--run` makes it.", ""]
    lines += ["| claim | comparisons | runs |", "|---|---|---|"]
    for result in results:
        counts = Counter(each.verdict for each in result.tested)
        words = [f"{count} {verdict}" for verdict, count in counts.items()] or ["not run"]
        lines.append(
            f"| [{result.claim.title}](#{anchor(result.claim.title)}) | {', '.join(words)} | {_runs(result)} |"
        )
    return "\n".join([*lines, ""])


def section(result: Result) -> str:
    """One claim: what is claimed, its command, what was found, the figures behind it, what was not run."""
    claim = result.claim
    parts = [f"## {claim.title}", claim.claim.strip()]
    parts += [f"Control: {claim.control.strip()}"] if claim.control else []
    parts.append(f"    python cli.py claims {result.name} --run --db claims.sqlite")
    parts += [_comparisons(result), _figures(result)] if result.figures else []
    parts += [*_notes(result), ""]
    return "\n\n".join(parts)


def anchor(title: str) -> str:
    """The address of a heading within the page, as GitHub makes it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def figure_title(name: str) -> str:
    """How a figure is called in the page."""
    benchmark, _, metric = name.partition(".")
    if benchmark == GAP:
        words = metric.replace("_less_", " - ").replace("_", " ")
        return f"held-out {words}" if metric == "accuracy" else f"{words} gap"
    return f"{metric_name(benchmark, metric)} ({benchmark_title(benchmark)})"


def _comparisons(result: Result) -> str:
    head = "| panel | row | with | figure | claimed | difference (95 %) | by base | p | smallest visible | |"
    lines = [head, "|---|---|---|---|---|---:|---|---:|---:|---|"]
    return "\n".join([*lines, *(_comparison(each, digits(result.figures[each.figure])) for each in result.tested)])


def digits(figure: Figure) -> int:
    """Decimals that a figure is shown with: percentages vary by points, gaps by hundredths of a nat."""
    return 1 if figure.metric.unit == "%" else 2


def _comparison(each: Compared, places: int) -> str:
    contrast, d = each.contrast, each.contrast.difference
    by_base = ", ".join(f"{value:+.{places}f}" for value in contrast.by_base)
    smallest = "-" if math.isnan(d.smallest) else f"{d.smallest:.{places}f}"
    interval = f"{d.value:+.{places}f} ({d.low:+.{places}f}, {d.high:+.{places}f})"
    cells = [contrast.panel, contrast.label, contrast.against or "0", figure_title(each.figure), each.expect]
    return f"| {' | '.join([*cells, interval, by_base, p_text(each.p), smallest, f'**{each.verdict}**'])} |"


def p_text(p: float) -> str:
    """A p-value in three digits; "-" where there is none."""
    return "-" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _figures(result: Result) -> str:
    """Of every row the mean of each figure, and of each base in parentheses."""
    shown = result.claim.figures
    lines = [
        f"| panel | row | {' | '.join(map(figure_title, shown))} |",
        f"|---|---|{'---:|' * len(shown)}",
    ]
    places = {name: digits(result.figures[name]) for name in shown}
    starts = {name: result.figures[name].starts for name in shown}
    if any(starts.values()):
        lines.append(f"| | base | {' | '.join(_means(starts[name], places[name]) for name in shown)} |")
    keys = next(iter(result.figures.values())).measured
    for panel, label in keys:
        by_base = {name: result.figures[name].by_base(panel, label)[0].tolist() for name in shown}
        cells = [_means(by_base[name], places[name]) for name in shown]
        lines.append(f"| {panel} | {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _means(means: Sequence[float], places: int) -> str:
    """The mean over bases, and of each base; "-" where there are none."""
    if not means:
        return "-"
    return f"{np.mean(means):.{places}f} ({', '.join(f'{mean:.{places}f}' for mean in means)})"


def _notes(result: Result) -> list[str]:
    """How much there is, what is missing, and what a figure leaves out."""
    samples = ", ".join(f"{figure_title(name)}: {figure.samples}" for name, figure in result.figures.items())
    lines = [f"Runs: {_runs(result)}." + (f" Samples: {samples}." if samples else "")]
    for panel, seeds in result.seeds.items():
        if len(seeds) < len(result.ablation.seeds):
            lines.append(
                f"**{panel}**: only seeds {', '.join(map(str, seeds))}, the others were not run for every row."
            )
    for name, figure in result.figures.items():
        if figure.left_out:
            lines.append(f"{figure_title(name)}: {figure.left_out} samples that some run did not score are left out.")
        beyond = {" of ".join(filter(None, (label, panel))): n for (panel, label), n in figure.beyond.items() if n}
        if beyond:
            words = ", ".join(f"{n} of {row}" for row, n in beyond.items())
            lines.append(f"{figure_title(name)}: extrapolated, as the curve does not reach the base's recall: {words}.")
    if result.missing:
        every = len(result.ablation.bases) * len(result.ablation.seeds)
        rows = "; ".join(
            f"{label}, {panel} ({there} of {every} runs)" for (panel, label), there in result.missing.items()
        )
        lines.append(f"**Not run in full**: {rows}.")
    return list(map(_filled, lines))


def _filled(text: str, indent: str = "") -> str:
    """``text`` on lines as long as those of other pages; none begins as an entry of a list would ("- hard gap")."""
    kept = text.replace(" - ", "\0- ")
    return textwrap.fill(kept, width=118, subsequent_indent=indent, break_on_hyphens=False).replace("\0", " ")


def _runs(result: Result) -> str:
    return f"{result.runs[0]} of {result.runs[1]}"


def claim_records(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One flat record a comparison, for JSON; None where a number is undefined."""
    records = []
    for result in results:
        for each in result.tested:
            c, d = each.contrast, each.contrast.difference
            numbers = {"difference": d.value, "low": d.low, "high": d.high, "p": each.p, "smallest": d.smallest}
            named = {"claim": result.name, "panel": c.panel, "row": c.label, "against": c.against}
            known = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
            words = {"figure": each.figure, "expect": each.expect, "verdict": each.verdict}
            records.append({**named, **words, **known, "by_base": list(c.by_base), "samples": d.n})
    return records
