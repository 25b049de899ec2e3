"""Which point a coverage curve lacks: by hand, on curves that are known, and from a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from harness.store import EvaluationRecord, Store
from leaderboards.bracket import LARGEST, MOST, Lack, has_base, lack, lack_of
from leaderboards.snapshot import Snapshot
from tests.leaderboards.fakes import snapshot
from tests.leaderboards.test_coverage import METRICS, point


def lacks(curve: Mapping[float, float], target: float = 50.0) -> Lack | None:
    """Of a curve without uncertainty."""
    return lack_of(list(curve), np.array([*curve.values()])[:, None], np.array([target]))


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ({0.0: 40.0}, Lack(1, -0.5)),
        ({0.0: 60.0}, Lack(-1, 0.5)),
        ({0.0: 40.0, -0.5: 44.0}, Lack(1, -1.25)),  # 6 points short at 8 a unit: 0.75 further
        ({0.0: 60.0, 0.5: 57.0}, Lack(-1, 1.5)),  # 7 points at 6 a unit are 1.17: no further than 1
        ({0.0: 40.0, -0.5: 40.0}, Lack(1, -1.5)),  # nothing moves: as far as allowed
        ({0.0: 40.0, -1.5: 39.0}, Lack(1, -3.0)),  # twice as far out
        ({0.0: 40.0, -0.3: 49.0}, Lack(1, -1.0)),  # a given point lies beside the grid: 0.5 further, rounded outwards
        ({0.0: 40.0, -8.0: 41.0}, Lack(1, None)),
        ({0.0: 49.0, -0.5: 51.0}, None),
        ({0.0: 50.0}, None),
        ({0.0: 40.0, -2.0: 60.0}, Lack(0, -1.0)),  # half-way
        ({0.0: 46.0, -1.0: 56.0}, Lack(0, -0.5)),  # 0.4 of the way: -0.4
        ({0.0: 40.0, -0.25: 60.0}, None),  # no multiple of a quarter lies between
    ],
)
def test_the_next_point(curve: Mapping[float, float], expected: Lack | None) -> None:
    assert lacks(curve) == expected
    mirrored = {-bias: 100 - coverage for bias, coverage in curve.items()}
    opposite = expected and Lack(-expected.side, None if expected.bias is None else -expected.bias)
    assert lacks(mirrored) == opposite


def test_a_point_without_figures_counts_for_nothing() -> None:
    assert lacks({0.0: 40.0, -0.5: np.nan}) == Lack(1, -0.5)
    assert lacks({0.0: np.nan}) is None and lacks({0.0: 40.0}, np.nan) is None


def test_draws_beyond_an_end_count_too() -> None:
    """Of 100 draws 4 have the target at 51.5, beyond 51: more than 2.5. Two standard errors are 2 * 0.294 (variance
    0.96 * 0.06^2 + 0.04 * 1.44^2 = 0.0864), which 51 has already: so the smallest step, 0.5. Of 2 nothing is said.
    """
    curve = np.repeat([[49.0], [51.0]], 101, axis=1)
    assert lack_of([0.0, -0.5], curve, np.array([50.0] * 97 + [51.5] * 4)) == Lack(1, -1.0)
    assert lack_of([0.0, -0.5], curve, np.array([50.0] * 99 + [51.5] * 2)) is None


def test_points_that_noise_would_not_tell_apart_are_not_put_between() -> None:
    """45 and 55 % are 10 apart: 8 standard errors of 1.2 are less (9.6), of 1.3 more (10.4)."""
    target = np.array([50.0, 50.0, 50.0])

    def found(deviation: float) -> Lack | None:
        high = [55.0, 55.0 - deviation, 55.0 + deviation]
        # of three draws, the first among them, the standard deviation is deviation * sqrt(2 / 3)
        return lack_of([0.0, -1.0], np.array([[45.0] * 3, high]), target)

    assert found(1.2 * 1.5**0.5) == Lack(0, -0.5) and found(1.3 * 1.5**0.5) is None


def added(coverage: Callable[[float], float]) -> list[float]:
    """The points that a model of this coverage gets, one after the other."""
    curve = {0.0: coverage(0.0)}
    while (found := lacks(curve)) is not None and found.bias is not None:
        curve[found.bias] = coverage(found.bias)
    return [*curve][1:]


def test_a_line_is_walked_along_until_the_target_lies_within() -> None:
    """40 % and 4 more a unit: 42, 46, and 50 at -2.5; 4 points apart are too far, so 49 at -2.25."""
    assert added(lambda bias: 40 - 4 * bias) == [-0.5, -1.5, -2.5, -2.25]


def test_a_curve_that_never_reaches_the_target_ends() -> None:
    assert added(lambda bias: 40.0) == [-0.5, -1.5, -3.0, -6.0, -LARGEST]
    assert len(added(lambda bias: 49.99 - 1 / (1 + abs(bias)))) <= MOST


@pytest.mark.parametrize("seed", range(20))
def test_a_curve_that_reaches_the_target_in_reach_is_bracketed_by_near_points(seed: int) -> None:
    """Any falling curve, 20 to 80 % over +-8: within six points the target lies between two, near or side by side."""
    rng = np.random.default_rng(seed)
    steps = rng.exponential(size=65)
    heights = 80 - 60 * np.cumsum(steps) / steps.sum()
    grid = np.linspace(-8, 8, 65)
    target = float(rng.uniform(30, 70))

    def coverage(bias: float) -> float:
        return float(np.interp(bias, grid, heights))

    curve = {0.0: coverage(0.0)}
    while (found := lacks(curve, target)) is not None and found.bias is not None:
        curve[found.bias] = coverage(found.bias)
    assert lacks(curve, target) is None and len(curve) <= MOST + 1
    assert min(curve.values()) <= target <= max(curve.values())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """base covers 50 %; the seeds of dpo 40 % and 60 %."""
    store = Store(tmp_path / "results.sqlite")
    for seed in (0, 1):
        store.start_alignment(f"dpo-s{seed}", method="dpo", seed=seed, panel="", key=f"{seed}", config={})
        store.finish_alignment(f"dpo-s{seed}", status="done", model_dir="m", seconds=1.0)
        point(store, f"dpo-s{seed}", 0.0, [(2, 10, 4 + 2 * seed)] * 8)
    point(store, "base", 0.0, [(5, 10, 5)] * 8)
    return store


def of(stored: Snapshot, run: str) -> EvaluationRecord:
    return next(e for e in stored.counted if e.run == run and e.decoding["eos_bias"] == 0)


def test_each_seed_has_a_curve_of_its_own_and_the_base_needs_none(store: Store) -> None:
    stored = snapshot(store, METRICS)
    found = {run: lack(stored, of(stored, run)) for run in ("base", "dpo-s0", "dpo-s1")}
    assert found == {"base": None, "dpo-s0": Lack(1, -0.5), "dpo-s1": Lack(-1, 0.5)}
    point(store, "dpo-s0", -1.0, [(2, 10, 5)] * 8)
    stored = snapshot(store, METRICS)
    assert lack(stored, of(stored, "dpo-s0")) == Lack(0, -0.75), "40 and 50 % are far apart"
    assert lack(stored, of(stored, "dpo-s1")) == Lack(-1, 0.5)


def test_an_answer_of_an_earlier_time_is_no_point(store: Store) -> None:
    point(store, "dpo-s0", -1.0, [(2, 10, 9)] * 8)
    point(store, "dpo-s0", 0.0, [(2, 10, 4)] * 8)
    stored = snapshot(store, METRICS)
    again = of(stored, "dpo-s0")
    assert lack(stored, again, since=again.id) == Lack(1, -0.5)


def test_without_a_base_there_is_nothing_to_reach(tmp_path: Path) -> None:
    store = Store(tmp_path / "other.sqlite")
    point(store, "mine", 0.0, [(2, 10, 4)] * 8)
    stored = snapshot(store, METRICS)
    assert lack(stored, of(stored, "mine")) is None and not has_base(stored, of(stored, "mine"))
    point(store, "base", 0.0, [(5, 10, 5)] * 8)
    stored = snapshot(store, METRICS)
    assert lack(stored, of(stored, "mine")) == Lack(1, -0.5) and has_base(stored, of(stored, "mine"))
