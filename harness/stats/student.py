"""Student's t distribution for any degrees of freedom, on arrays."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

NORMAL = 1e6
"""Degrees of freedom from which the normal distribution is taken."""
STEPS = 500


def t_p(t: ArrayLike, df: ArrayLike) -> Array:
    """Two-sided p of ``t`` with ``df`` degrees of freedom (both of one shape); NaN where one is NaN.

    Source: P(|T| > t) = I_x(df / 2, 1 / 2) with x = df / (df + t^2) (Abramowitz and Stegun 1964, 26.7.1).
    """
    t, df = np.broadcast_arrays(np.asarray(t, dtype=np.float64), np.minimum(np.asarray(df, dtype=np.float64), NORMAL))
    known = np.isfinite(df) & ~np.isnan(t) & (df > 0)
    safe_df, square = np.where(known, df, 1.0), np.where(known, t, 0.0) ** 2
    with np.errstate(invalid="ignore"):
        x = np.where(np.isinf(square), 0.0, safe_df / (safe_df + square))
    return np.asarray(np.where(known, _beta_ratio(safe_df / 2, np.full_like(safe_df, 0.5), x), np.nan))


def t_bound(level: float, df: ArrayLike) -> Array:
    """The t whose two-sided p is ``level``; NaN where ``df`` is not above 0.

    By Newton's method on the logarithms of p and t, between which the tails are nearly straight.
    """
    df = np.minimum(np.asarray(df, dtype=np.float64), NORMAL)
    return _bounds(level, df.tobytes(), df.shape).copy()


@lru_cache(maxsize=10_000)
def _bounds(level: float, held: bytes, shape: tuple[int, ...]) -> Array:
    """``t_bound`` of the degrees of freedom ``held``: a table asks for the same ones again and again."""
    df = np.frombuffer(held).reshape(shape)
    t = np.full(shape, NormalDist().inv_cdf(1 - level / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        density = np.vectorize(_log_density_at_zero, otypes=[np.float64])(df)
        for _ in range(30):
            p = t_p(t, df)
            slope = -2 * np.exp(density - (df + 1) / 2 * np.log1p(t**2 / df)) * t / p
            step = (math.log(level) - np.log(p)) / slope
            t = t * np.exp(np.clip(step, -2, 2))
            if not np.any(np.abs(step) > 1e-13):
                break
    return np.asarray(t)


def _log_density_at_zero(df: float) -> float:
    if not df > 0:
        return math.nan
    return math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)


def _beta_ratio(a: Array, b: Array, x: Array) -> Array:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    swap = x > (a + 1) / (a + b + 2)  # the fraction converges fast on one side only: I_x(a, b) = 1 - I_(1-x)(b, a)
    a, b, x = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, 1 - x, x)
    logs = np.vectorize(lambda p, q: math.lgamma(p + q) - math.lgamma(p) - math.lgamma(q), otypes=[np.float64])(a, b)
    with np.errstate(divide="ignore"):
        front = np.exp(logs + a * np.log(x) + b * np.log1p(-x)) / a
    out = front * _continued_fraction(a, b, x)
    return np.asarray(np.where(swap, 1 - out, out))


def _continued_fraction(a: Array, b: Array, x: Array) -> Array:
    """Lentz's evaluation (Press et al. 2007, section 6.4)."""
    tiny = 1e-300
    c, d = np.ones_like(x), 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    h = d
    for m in range(1, STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = np.ones_like(x)
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + term / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            change = c * d
            h = h * change
        if np.all(np.abs(change - 1) < 1e-14):
            break
    return np.asarray(h)
