from __future__ import annotations

import numpy as np

from leaderboards.coverage import at_coverage


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)[:, None]


def test_the_curve_is_read_at_the_target_between_its_points() -> None:
    coverage, chair = column(60.0, 40.0, 50.0), column(40.0, 20.0, 30.0)
    assert at_coverage(coverage, chair, np.array([45.0])) == 25.0
    assert at_coverage(coverage, chair, np.array([50.0])) == 30.0


def test_beyond_its_ends_the_last_segment_is_prolonged() -> None:
    coverage, chair = column(40.0, 50.0, 60.0), column(20.0, 30.0, 50.0)
    assert at_coverage(coverage, chair, np.array([65.0])) == 60.0
    assert at_coverage(coverage, chair, np.array([35.0])) == 15.0


def test_points_of_one_coverage_do_not_divide_by_zero() -> None:
    assert np.isfinite(at_coverage(column(50.0, 50.0), column(30.0, 31.0), np.array([50.0]))).all()


def test_every_resample_has_its_own_curve() -> None:
    coverage = np.array([[40.0, 42.0], [60.0, 62.0]])
    chair = np.array([[20.0, 21.0], [40.0, 45.0]])
    assert at_coverage(coverage, chair, np.array([50.0, 52.0])).tolist() == [30.0, 33.0]
