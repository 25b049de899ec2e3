"""The simulated figures of docs/report.md: `python -m tests.leaderboards.verdict_figures` prints them.

--curves N: how often models of one coverage curve are called different, of N cases. --a-a STORE: how often two seeds of
one method are, in the short tables of a results file: as the note below its tables says, and by the samples alone.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations

import numpy as np

from harness.stats import Array, SeedVariance, pooled_seed_variance, two_levels
from leaderboards.declared import headline
from leaderboards.differences import Measured, Side, compare_sides, difference_error
from leaderboards.members import members_by_condition
from leaderboards.rows import build_tables
from leaderboards.scored_metrics import scored_metrics
from leaderboards.snapshot import Snapshot
from tests.leaderboards.test_coverage import called_different
from tests.leaderboards.test_verdicts_by_simulation import (
    METHODS,
    SEED_SD,
    Simulated,
    any_starred,
    best_starred,
    difference,
    simulate,
    starred,
)

Rule = Callable[[SeedVariance | None, Measured, Measured], SeedVariance | None]
"""Which seed variance counts in a difference of two rows."""


def counted_twice(pooled: SeedVariance | None, a: Measured, b: Measured) -> SeedVariance | None:
    return None if pooled is None else replace(pooled, answered=np.zeros_like(pooled.answered))


def of_both(pooled: SeedVariance | None, a: Measured, b: Measured) -> SeedVariance | None:
    return pooled_seed_variance([a.figures, b.figures], [a.influence, b.influence])


RULES: dict[str, tuple[Rule, float]] = {
    "samples alone": (lambda pooled, a, b: None, 0.5),
    "+ s²/k, which counts twice what samples explain": (counted_twice, 0.0),
    "+ (s² less that)/k, no less than 0": (lambda pooled, a, b: pooled, 0.0),
    "the same, at least half the samples' variance": (lambda pooled, a, b: pooled, 0.5),
    "s² of the two methods alone (Welch)": (of_both, 0.5),
}


@contextmanager
def floor(share: float) -> Iterator[None]:
    """The share of the samples' variance that is the least."""
    before, two_levels.FLOOR = two_levels.FLOOR, share
    try:
        yield
    finally:
        two_levels.FLOOR = before


def p_of_pairs(table: Simulated, rule: Rule) -> dict[tuple[int, int], Array]:
    """Of every two rows, by position (the base is the last), their p-values by a rule, [trials]."""
    rows, found = [*table.methods, table.base], {}
    for i, j in combinations(range(len(rows)), 2):
        share = sum(1 / len(rows[k].figures) for k in (i, j) if k < METHODS)
        error = difference_error(rows[i], rows[j], rule(table.variance, rows[i], rows[j]), share)
        found[i, j] = error.p(difference(rows[i], rows[j]))
    return found


def print_rules() -> None:
    """False stars of each rule at 2, 3 and 5 seeds, and the power at three seeds that do not vary; the best row against
    all others where only these are the family."""
    false: dict[tuple[str, str], list[str]] = defaultdict(list)
    power = {}
    for kind, effect in (("ratio", -0.078), ("mean", -0.2)):
        for seeds in (2, 3, 5):
            table = simulate(kind, seeds, SEED_SD[kind])
            best = 100 * best_starred(table)
            print(f"{kind}, {seeds} seeds: the best row is starred in {best:.1f} % in a family of its own")
            for name, (rule, least) in RULES.items():
                with floor(least):
                    false[name, kind].append(f"{100 * any_starred(_all(p_of_pairs(table, rule))):.1f}")
        table = simulate(kind, 3, 0.0, effect=effect)
        for name, (rule, least) in RULES.items():
            with floor(least):
                power[name, kind] = found_share(table, rule)
    for name in RULES:
        shares = [f"{power[name, kind] / power['samples alone', kind]:.2f}" for kind in ("ratio", "mean")]
        print(" | ".join([name, *(" / ".join(false[name, kind]) for kind in ("ratio", "mean")), *shares]))
    print("found by the samples alone:", {kind: power["samples alone", kind] for kind in ("ratio", "mean")})


def found_share(table: Simulated, rule: Rule) -> float:
    """How often the first method is called different from the second at 5 %."""
    return float(np.mean(p_of_pairs(table, rule)[0, 1] < 0.05))


def _all(p: dict[tuple[int, int], Array]) -> Array:
    return np.stack(list(p.values()))


def print_assumptions() -> None:
    """Smaller effects, and a method whose seeds vary more than the others'."""
    chosen = RULES["the same, at least half the samples' variance"][0]
    for kind, effect in (("ratio", -0.062), ("mean", -0.16)):
        for seeds in (2, 3):
            table = simulate(kind, seeds, 0.0, effect=effect)
            alone = found_share(table, RULES["samples alone"][0])
            print(f"{kind}, {seeds} seeds, found alone in {alone:.2f}: of it {found_share(table, chosen) / alone:.2f}")
        for wider in (2.0, 3.0):
            for seeds in (2, 3, 5):
                p = p_of_pairs(simulate(kind, seeds, SEED_SD[kind], wider=wider), chosen)
                single = np.mean(np.stack([p[0, j] for j in range(1, METHODS)]) < 0.05)
                print(
                    f"{kind}, {seeds} seeds, one varies {wider:g} times: {100 * any_starred(_all(p)):.1f} {single:.3f}"
                )


def print_counts() -> None:
    """One method better than four equal rows: what is found of its differences, and how often one of the others is
    called different, by Holm's counts and by Shaffer's."""
    for kind, effect in (("ratio", -0.15), ("mean", -0.36)):
        for seeds in (2, 3, 5):
            table = simulate(kind, seeds, SEED_SD[kind], effect=effect)
            for name, rows in (("Holm", None), ("Shaffer", METHODS + 1)):
                found = starred(table, rows)
                power = np.mean([each for pair, each in found.items() if 0 in pair])
                false = np.mean(np.any([each for pair, each in found.items() if 0 not in pair], axis=0))
                print(f"{kind}, {seeds} seeds, {name}'s counts: found {power:.3f}, a false one in {100 * false:.1f} %")


def a_a_of(path: str) -> dict[str, tuple[int, int]]:
    """How many pairs of seeds of one method are called different in the headline metrics, of how many, over all panels:
    by the rule of the tables, and by the samples alone (sign flips)."""
    snapshot, alone, pairs = Snapshot.reading(path), 0, 0
    for panel in snapshot.groups.panels:
        for condition, members in members_by_condition(snapshot, panel).items():
            first = next(e for seeds in members.seeds.values() for e in seeds.values())
            every = scored_metrics(condition.benchmark, members, snapshot.metrics(first), snapshot)
            short = headline(condition.benchmark, [metric.name for each in every for metric in each.metrics])
            for each in every:
                for label, scores in each.scores.items() if not condition.eos_bias else ():
                    row = each.row(label)
                    seeds = [Measured(row.figures[[s]], row.influence[:, [s]]) for s in range(len(row.figures))]
                    for a, b in combinations(seeds, 2):
                        found = compare_sides(Side(scores, a), Side(scores, b), None)
                        p = [d.p for d, m in zip(found, each.metrics, strict=True) if m.name in short]
                        alone += sum(value < 0.05 for value in p)
                        pairs += sum(np.isfinite(p))
    rates = [table.a_a.get(metric.name, (0, 0)) for table in build_tables(snapshot) for metric in table.headline]
    called, of = (sum(rate[i] for rate in rates) for i in (0, 1))
    return {"as the tables say": (called, of), "by the samples alone": (alone, pairs)}


def print_a_a(path: str) -> None:
    for rule, (called, pairs) in a_a_of(path).items():
        share = f" ({100 * called / pairs:.0f} %)" if pairs else ""
        print(f"two seeds of one method, {rule}: {called} of {pairs} called different{share}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", type=int, metavar="N")
    parser.add_argument("--a-a", metavar="STORE")
    given = parser.parse_args()
    if given.a_a:
        print_a_a(given.a_a)
    elif given.curves:
        for reference, images in (("base", 100), ("dpo", 100), ("base", 30), ("dpo", 30)):
            called, marked = (100 * share for share in called_different(reference, given.curves, images))
            print(f"against {reference}, {images} images: {called:.1f} % called different, {marked:.1f} % marked")
    else:
        print_rules()
        print_assumptions()
        print_counts()
