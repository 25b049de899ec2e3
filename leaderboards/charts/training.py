"""The training behind the figures, as charts: reward gaps, beta and its factors, pair weights, the filter."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeGuard

import numpy as np
from markupsafe import Markup

from harness.store import AlignmentRecord
from leaderboards.charts.bars import Bar, bars
from leaderboards.charts.gap_curves import SPLITS, Curve, gap_curves, shown_split
from leaderboards.charts.lines import Series, chart, histogram
from leaderboards.charts.svg import extent, fitting
from leaderboards.reward_gaps import TERCILES, finite_gaps, hardness_of, terciles
from leaderboards.snapshot import Snapshot

Palette = Mapping[str, int]

LOGGED = (
    ("beta_mean", "Mean beta of the batch", "beta"),
    ("aM", "Model-aware factor aM", "aM"),
    ("aD_mean", "Data-aware factor aD, batch mean", "aD"),
    ("gap", "Mean reward gap of the batch", "nats"),
    ("filtered", "Share of the batch the filter drops", "share"),
    ("loss", "Loss", "loss"),
)


@dataclass(frozen=True)
class Evidence:
    """What the store holds of one panel's finished alignments, read once."""

    panel: str
    alignments: tuple[AlignmentRecord, ...]
    logs: Mapping[str, list[dict[str, Any]]]
    gaps: Mapping[str, list[tuple[int, str, str, float]]]
    hardness: Mapping[str, float]
    curves: tuple[Curve, ...]

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(a.method for a in self.alignments))

    def runs(self, method: str) -> list[AlignmentRecord]:
        return [a for a in self.alignments if a.method == method]


def read_evidence(snapshot: Snapshot) -> dict[str, Evidence]:
    """By panel; empty where nothing was aligned."""
    everything = [a for a in snapshot.groups.alignments.values() if a.status == "done"]
    curves = gap_curves(snapshot)
    evidence = {}
    for panel in dict.fromkeys(a.panel for a in everything):
        members = tuple(a for a in everything if a.panel == panel)
        evidence[panel] = Evidence(
            panel,
            members,
            {a.name: snapshot.train_log(a.name) for a in members},
            {a.name: finite_gaps(snapshot, a.name) for a in members},
            hardness_of(snapshot, members[0], everything, "train"),
            tuple(c for c in curves if c.panel == panel),
        )
    return evidence


def gap_charts(evidence: Evidence) -> list[tuple[str, Markup]]:
    """Figure 1 of the paper: by method a chart, axes shared; held-out pairs solid, training pairs dotted."""
    if not evidence.curves:
        return []
    span = extent([g for c in evidence.curves for g in c.gaps], keep=(0.0,))
    charts = []
    for method in dict.fromkeys(c.method for c in evidence.curves):
        shown = shown_split(evidence.curves, method)
        series = [
            Series(
                f"{c.tercile} pairs, {SPLITS[c.split]}", tuple(zip(c.steps, c.gaps, strict=True)), kind=c.tercile,
                dash="dotted" if c.split == "train" else "solid", tag=c.tercile if c.split == shown else "",
                name=f"{c.tercile} pairs",
            )
            for c in evidence.curves
            if c.method == method
        ]  # fmt: skip
        drawn = chart(series, method, "optimiser step", "reward gap (nats)", y_range=span, zero=True)
        charts.append((method, drawn))
    return charts


def log_charts(evidence: Evidence, palette: Palette) -> list[Markup]:
    """What was logged at every step, smoothed, the mean over seeds, one line a method."""
    charts = []
    for name, title, unit in LOGGED:
        series = []
        for method in evidence.methods:
            points = _smooth(_mean_over_seeds([evidence.logs[a.name] for a in evidence.runs(method)], name))
            if points:
                series.append(Series(method, points, palette[method], tag=method))
        if series and any(len(s.points) > 1 for s in series):
            charts.append(chart(series, title, "optimiser step", unit))
    return charts


def weight_chart(evidence: Evidence, palette: Palette) -> Markup | None:
    """A pair's weight in the gradient, beta * sigmoid(-beta h), at each method's last mean beta; rug: its last gaps."""
    series, rug, gaps_seen = [], [], [-2.0, 2.0]
    last: dict[str, list[float]] = {}
    for method in evidence.methods:
        probes = [g for a in evidence.runs(method)[:1] for g in evidence.gaps[a.name] if g[1] == "train"]
        final = max((g[0] for g in probes), default=0)
        last[method] = [g[3] for g in probes if g[0] == final]
        gaps_seen += last[method]
    grid = np.linspace(min(gaps_seen) - 1, max(gaps_seen) + 1, 80)
    for method in evidence.methods:
        rows = [row for a in evidence.runs(method) for row in evidence.logs[a.name][-20:]]
        betas = [row["beta_mean"] for row in rows if _known(row.get("beta_mean"))]
        if betas:
            beta = float(np.mean(betas))
            weights = beta / (1 + np.exp(beta * grid))
            series.append(
                Series(
                    f"{method}, beta {beta:.3f}",
                    tuple(zip(grid.tolist(), weights.tolist(), strict=True)),
                    palette[method],
                    tag=method,
                    name=method,
                )
            )
            rug += [(gap, palette[method]) for gap in last[method]]
    if not series:
        return None
    return chart(series, "A pair's weight in the gradient", "reward gap h (nats)", "beta · sigmoid(-beta h)", rug=rug)


def kept_shares(evidence: Evidence) -> dict[str, dict[str, float]]:
    """Method -> tercile -> share of the training probe pairs the paper's filter would keep, over the probed steps.

    The filter works on batches that are not stored, so it is applied to the probe pairs: of them it keeps the K nearest
    to the R_bar of that step. Only methods that filter.
    """
    shares = {}
    for method in evidence.methods:
        kept: dict[str, list[bool]] = defaultdict(list)
        for run in evidence.runs(method):
            keep = (run.config.get("objective") or {}).get("keep")
            r_bar = {row["step"]: row["r_bar"] for row in evidence.logs[run.name] if _known(row.get("r_bar"))}
            rows = [
                g for g in evidence.gaps[run.name] if g[1] == "train" and g[0] in r_bar and g[2] in evidence.hardness
            ]
            if keep is None or not rows:
                continue
            tercile = terciles({g[2]: evidence.hardness[g[2]] for g in rows})
            for step in {g[0] for g in rows}:
                probes = sorted((abs(g[3] - r_bar[step]), g[2]) for g in rows if g[0] == step)
                count = max(1, math.floor(keep * len(probes)))
                for i, (_, pair) in enumerate(probes):
                    kept[tercile[pair]].append(i < count)
        if kept:
            shares[method] = {name: float(np.mean(kept[name])) for name in TERCILES if kept[name]}
    return shares


def kept_chart(evidence: Evidence) -> Markup | None:
    shares = kept_shares(evidence)
    if not shares:
        return None
    groups = [
        (
            method,
            [
                Bar(100 * share[t], t, f"{100 * share[t]:.0f} %",
                    f"{method}: {100 * share[t]:.0f} % of the {t} pairs")
                for t in reversed(TERCILES)
                if t in share
            ],
        )
        for method, share in shares.items()
    ]  # fmt: skip
    legend = [(t, t) for t in reversed(TERCILES)]
    title = "Pairs the filter keeps, by hardness"
    return fitting(lambda width: bars(groups, title, "% of probe pairs", legend=legend, width=width))


def hardness_chart(evidence: Evidence) -> Markup | None:
    """The histogram of delta over the training pairs."""
    deltas = np.array([d for d in evidence.hardness.values() if math.isfinite(d)])
    if not len(deltas):
        return None
    counts, edges = np.histogram(deltas, bins=min(40, max(8, len(deltas) // 12)))
    middle = np.quantile(deltas, [1 / 3, 2 / 3])
    bins = []
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        tercile = TERCILES[int(np.searchsorted(middle, (low + high) / 2))]
        about = f"{count} pairs with delta {low:.2f} to {high:.2f} ({tercile})"
        bins.append((float(low), float(high), float(count), tercile, about))
    title = f"Hardness delta of {len(deltas):,} training pairs, from {edges[0]:.2f} to {edges[-1]:.2f}"
    across = "hardness delta (left: hard, right: easy)"
    return fitting(lambda width: histogram(bins, title, across, "pairs", size=(width, 250)))


def extremes(evidence: Evidence, count: int = 3) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """The hardest and the easiest training pairs, as (pair id, delta)."""
    order = sorted(evidence.hardness.items(), key=lambda item: (item[1], item[0]))
    return order[:count], order[::-1][:count]


def _mean_over_seeds(logs: Sequence[Sequence[Mapping[str, Any]]], name: str) -> list[tuple[float, float]]:
    by_step: dict[int, list[float]] = defaultdict(list)
    for log in logs:
        for row in log:
            value = row.get(name)
            if _known(value):
                by_step[row["step"]].append(float(value))
    return [(float(step), float(np.mean(values))) for step, values in sorted(by_step.items())]


def _known(value: Any) -> TypeGuard[float]:
    """Whether a logged value is a finite number; a training that diverged logs others."""
    return isinstance(value, int | float) and math.isfinite(value)


def _smooth(points: Sequence[tuple[float, float]], shown: int = 60) -> list[tuple[float, float]]:
    """At most ``shown`` points, each the mean of its stretch of steps."""
    if len(points) <= shown:
        return list(points)
    edges = [i * len(points) // shown for i in range(shown + 1)]
    stretches = [np.array(points[start:stop]) for start, stop in pairwise(edges)]
    return [(float(stretch[:, 0].mean()), float(stretch[:, 1].mean())) for stretch in stretches]
