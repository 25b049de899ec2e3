"""The sign-flip test of two checkpoints on the same samples: what each group adds may as well have the other sign."""

from __future__ import annotations

import math

import numpy as np

from harness.stats.resampling import Array

BLUR = 1e-3
"""Of the sum's standard deviation: it is smoothed by this much, and sums within five times it are not distinguished."""
BEYOND = 9.0
"""Standard deviations that no sum of random signs passes (Hoeffding 1963: with a chance below 1e-17)."""
LOST = 1e-16
CELLS = 20_000


def sign_flip_p(differences: Array) -> float:
    """The two-sided p that ``differences`` [groups] are symmetric about 0: the share of all 2^groups patterns of signs
    whose sum is at least as far from 0 as the one observed.

    Nothing is drawn. The share is read off the sum's characteristic function, the product of cosines (Gil-Pelaez 1951,
    eq. 3, by the midpoint rule of Davies 1973), blurred by ``BLUR`` of its standard deviation. Sums that fall short of
    the observed one by less than five times that count as reaching it: p is too small by no more than a millionth of
    itself, and too large by those patterns, which are few: of many groups a factor of about 1 + 0.005 (1 + z) at z
    standard deviations. It is no smaller than 2^-39. NaN where a difference is.
    """
    if np.isnan(differences).any():
        return math.nan
    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 1.0
    sizes = sizes / np.sqrt(np.sum(sizes**2))
    observed = abs(float(np.sum(differences))) / float(np.sqrt(np.sum(differences**2))) - 5 * BLUR
    if observed <= 0:
        return 1.0
    period = observed + min(float(sizes.sum()), BEYOND) + 10 * BLUR
    step = 2 * math.pi / period
    at = (np.arange(math.ceil(6.5 / BLUR / step)) + 0.5) * step
    transform = np.exp(-((at * BLUR) ** 2) / 2)
    values, counts = np.unique(sizes.round(12), return_counts=True)
    alive, done = np.arange(len(at)), 0
    order = np.argsort(-(values**2) * counts)
    while done < len(values) and len(alive):
        block = order[done : done + max(4, CELLS // len(alive))]
        done += len(block)
        factors = np.cos(np.outer(values[block], at[alive]))
        if counts[block].max() > 1:
            factors **= counts[block][:, None]
        transform[alive] *= factors.prod(axis=0)
        alive = alive[np.abs(transform[alive]) > LOST]
    kept = np.abs(transform) > LOST
    p = 1 - 2 / math.pi * float(np.sum(np.sin(at[kept] * observed) / (at[kept] / step) * transform[kept]))
    return min(1.0, max(p, 2.0 ** (1 - min(len(sizes), 40))))
