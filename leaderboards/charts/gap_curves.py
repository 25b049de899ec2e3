"""The paper's figure 1 from stored training curves: the reward gap of easy, middle and hard pairs over the steps."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from leaderboards.charts.marks import TERCILES as TERCILE_COLOURS
from leaderboards.charts.plots import Save, file_name, save
from leaderboards.reward_gaps import TERCILES, finite_gaps, hardness_of, probed, terciles
from leaderboards.run_groups import method_order
from leaderboards.snapshot import Snapshot

SPLITS = {"train": "training pairs", "heldout": "held-out pairs"}
ACROSS = 6
"""Methods side by side in a figure of files."""


@dataclass(frozen=True)
class Curve:
    """Mean reward gap (nats) of one tercile of hardness, over the steps, mean over seeds."""

    panel: str
    method: str
    split: str
    tercile: str
    seeds: int
    steps: tuple[int, ...]
    gaps: tuple[float, ...]


def gap_curves(snapshot: Snapshot) -> list[Curve]:
    """The curves of all finished alignments that logged gaps, over seeds.

    A run without hardness of its own (DPO) takes it from another run of its panel and seed, else of its panel: the
    terciles must be those of the same pairs.
    """
    alignments = [a for a in snapshot.groups.alignments.values() if a.status == "done"]
    gathered: dict[tuple[str, str, str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    seeds: dict[tuple[str, str], set[int]] = defaultdict(set)
    for alignment in alignments:
        gaps = finite_gaps(snapshot, alignment.name)
        splits = {split: hardness_of(snapshot, alignment, alignments, split) for split in {g[1] for g in gaps}}
        groups = {split: terciles(probed(deltas, gaps, split)) for split, deltas in splits.items()}
        per_step: dict[tuple[str, str, int], list[float]] = defaultdict(list)
        for step, split, pair, gap in gaps:
            if pair in groups[split]:
                per_step[split, groups[split][pair], step].append(gap)
        for (split, tercile, step), values in per_step.items():
            gathered[alignment.panel, alignment.method, split, tercile][step].append(float(np.mean(values)))
            seeds[alignment.panel, alignment.method].add(alignment.seed)
    curves = []
    for (panel, method, split, tercile), steps in gathered.items():
        most = max(map(len, steps.values()))  # a step that some seed lacks would put a kink into the mean
        kept = sorted(step for step, values in steps.items() if len(values) == most)
        means = tuple(float(np.mean(steps[step])) for step in kept)
        curves.append(Curve(panel, method, split, tercile, len(seeds[panel, method]), tuple(kept), means))
    return sorted(curves, key=_order)


def shown_split(curves: Sequence[Curve], method: str) -> str:
    """The split that a method's gaps are read off: held-out pairs, or the training pairs where none were held out."""
    return "heldout" if any(c.split == "heldout" for c in curves if c.method == method) else "train"


def gap_finding(curves: Sequence[Curve]) -> str:
    """What the last gaps say, in a sentence: those of easy, middle and hard pairs under every method, whether they are
    ordered so (the paper's starting point, figure 1), and how far apart the easy and the hard ones are.
    """
    said, ordered = [], []
    for method in dict.fromkeys(curve.method for curve in curves):
        split = shown_split(curves, method)
        last = {c.tercile: c for c in curves if (c.method, c.split) == (method, split) and c.gaps}
        if set(last) == set(TERCILES):
            easy, middle, hard = (last[name].gaps[-1] for name in reversed(TERCILES))
            ordered += [method] if easy > middle > hard else []
            said.append((method, split, last["easy"].steps[-1], easy, middle, hard))
    if not said:
        return ""
    figures = "; ".join(
        f"{method} {easy:.2f}, {middle:.2f} and {hard:.2f} (easy - hard {easy - hard:+.2f})"
        for method, _, _, easy, middle, hard in said
    )
    pairs = " and ".join(dict.fromkeys(SPLITS[split] for _, split, *_ in said))
    steps = " or ".join(f"{step:,}" for step in dict.fromkeys(step for _, _, step, *_ in said))
    some = f" ({', '.join(ordered)})" if 0 < len(ordered) < len(said) else ""
    return (
        f"After {steps} steps the mean reward gap of easy, middle and hard {pairs} is, in nats: {figures}. "
        f"The order that the paper starts from, easy above middle above hard, holds under "
        f"{len(ordered)} of {len(said)} methods{some}."
    )


def draw_gaps(curves: Sequence[Curve], panel: str) -> Any:
    """A matplotlib figure of one panel's curves: a column per method, a row per split, axes shared; more than ACROSS
    methods continue below.
    """
    from matplotlib.figure import Figure

    chosen = [curve for curve in curves if curve.panel == panel]
    methods = list(dict.fromkeys(curve.method for curve in chosen))
    splits = [split for split in SPLITS if any(curve.split == split for curve in chosen)]
    across, down = min(len(methods), ACROSS), len(splits) * math.ceil(len(methods) / ACROSS)
    figure = Figure(figsize=(1 + 2.4 * across, 0.9 + 2.1 * down), layout="constrained")
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for i, method in enumerate(methods):
        for k, split in enumerate(splits):
            axis = axes[i // ACROSS * len(splits) + k][i % ACROSS]
            for curve in chosen:
                if (curve.method, curve.split) == (method, split):
                    axis.plot(curve.steps, curve.gaps, color=TERCILE_COLOURS[curve.tercile][0], linewidth=1.6)
            if not k:
                axis.set_title(textwrap.fill(method, 26), fontsize=10)
            if not i % ACROSS:
                axis.set_ylabel(f"reward gap (nats)\n{SPLITS[split]}")
    for i, axis in enumerate(axes.ravel()):
        axis.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
        axis.spines[["top", "right"]].set_visible(False)
        if i >= (down - 1) * across:
            axis.set_xlabel("optimiser step")
        if i // across // len(splits) * ACROSS + i % across >= len(methods):
            axis.remove()
    for name in reversed(TERCILES):
        axes[0][0].plot([], [], color=TERCILE_COLOURS[name][0], label=f"{name} pairs")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def write_figures(snapshot: Snapshot, folder: Path, save: Save = save) -> list[Path]:
    """For each panel with curves an SVG and a PNG in ``folder`` (made if absent); returns the files."""
    curves = gap_curves(snapshot)
    files = []
    for panel in dict.fromkeys(curve.panel for curve in curves):
        files += save(partial(draw_gaps, curves, panel), folder / file_name(f"reward gaps {panel}"))
    return files


def _order(curve: Curve) -> tuple[str, int, str, str]:
    return curve.panel, *method_order(curve.method), curve.split
