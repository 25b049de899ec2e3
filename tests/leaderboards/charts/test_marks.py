"""Methods are told apart by colour also by the colour-blind, by dash and by shape, and stand out from their paper."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from leaderboards.charts.lines import Series, chart
from leaderboards.charts.marks import DARK, GREY, HUES, LIGHT, SHAPES, TERCILES, colour, marks, shape, style
from leaderboards.page.html import PAGE

Array = NDArray[np.float64]

SIGHT = {
    "all cones": np.eye(3),
    "protanopia": np.array([
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}  # fmt: skip
"""Linear RGB as it is seen (Machado, Oliveira and Fernandes 2009, severity 1.0)."""

TO_XYZ = np.array([
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
"""Linear sRGB to CIE XYZ (IEC 61966-2-1)."""
PAPER = {"light": ("#ffffff", "#fbfaf7"), "dark": ("#1a1d25", "#12141a")}
PALETTES = {"light": LIGHT, "dark": DARK}


def linear(hexadecimal: str) -> Array:
    """Linear sRGB of "#rrggbb"."""
    value = np.array([int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of linear sRGB."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return float(116 * f[1] - 16), float(500 * (f[0] - f[1])), float(200 * (f[1] - f[2]))


def ciede2000(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """The difference of two colours in L*a*b* (Sharma, Wu and Dalal 2005, equations 2 to 22)."""
    lightness = np.array([one[0], other[0]])
    a, b = np.array([one[1], other[1]]), np.array([one[2], other[2]])
    mean = np.hypot(a, b).mean()
    a = a * (1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25**7)))
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    grey = chroma.prod() == 0
    turn = 0.0 if grey else (hue[1] - hue[0] + 180) % 360 - 180
    hue_mean = hue.sum() if grey else (hue[0] + turn / 2) % 360
    t = (1 - 0.17 * np.cos(np.radians(hue_mean - 30)) + 0.24 * np.cos(np.radians(2 * hue_mean))
         + 0.32 * np.cos(np.radians(3 * hue_mean + 6)) - 0.20 * np.cos(np.radians(4 * hue_mean - 63)))  # fmt: skip
    level, spread = lightness.mean(), chroma.mean()
    light = np.diff(lightness)[0] / (1 + 0.015 * (level - 50) ** 2 / np.sqrt(20 + (level - 50) ** 2))
    coloured = np.diff(chroma)[0] / (1 + 0.045 * spread)
    hued = 2 * np.sqrt(chroma.prod()) * np.sin(np.radians(turn / 2)) / (1 + 0.015 * spread * t)
    rotated = (
        -2 * np.sqrt(spread**7 / (spread**7 + 25**7)) * np.sin(np.radians(60 * np.exp(-(((hue_mean - 275) / 25) ** 2))))
    )
    return float(np.sqrt(light**2 + coloured**2 + hued**2 + rotated * coloured * hued))


def seen_apart(one: str, other: str) -> float:
    """The least difference of two colours, to all kinds of sight."""
    return min(ciede2000(lab(eye @ linear(one)), lab(eye @ linear(other))) for eye in SIGHT.values())


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted(float(np.dot(linear(c), [0.2126, 0.7152, 0.0722])) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def test_the_difference_of_colours_is_that_of_the_published_pairs() -> None:
    """Pairs 1, 7 and 17 of table 1 of Sharma, Wu and Dalal (2005); black on white is 21 to 1."""
    assert ciede2000((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert ciede2000((50.0, 0.0, 0.0), (50.0, -1.0, 2.0)) == pytest.approx(2.3669, abs=1e-4)
    assert ciede2000((50.0, 2.5, 0.0), (73.0, 25.0, -18.0)) == pytest.approx(27.1492, abs=1e-4)
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("paper", PALETTES)
def test_the_colour_blind_tell_neighbours_apart(paper: str) -> None:
    """All neighbours in the order in which methods take colours; dpo, hardness, gap, dama and base each from each."""
    used = PALETTES[paper]
    neighbours = [(used[i], used[(i + 1) % HUES]) for i in range(HUES)]
    first = itertools.combinations([*used[:4], used[GREY]], 2)
    terciles = itertools.combinations([pair[paper == "dark"] for pair in TERCILES.values()], 2)
    for one, other in (*neighbours, *first, *terciles):
        assert seen_apart(one, other) >= 12, (one, other)


@pytest.mark.parametrize("paper", PALETTES)
def test_lines_and_whiskers_stand_out_from_their_paper(paper: str) -> None:
    terciles = [pair[paper == "dark"] for pair in TERCILES.values()]
    for used, ground in itertools.product((*PALETTES[paper], *terciles), PAPER[paper]):
        assert contrast(used, ground) >= 3.0, (used, ground)
    sheet = (PAGE / "report.css").read_text(encoding="utf-8")
    assert "svg .whisker { stroke: currentColor; stroke-width: 1.7; }" in sheet, "drawn in the whole colour"
    light, dark = PAPER["light"], PAPER["dark"]
    assert f"--bg: light-dark({light[1]}, {dark[1]}); --paper: light-dark(#fff, {dark[0]})" in sheet


def test_every_method_has_its_own_dash_and_point_from_the_first() -> None:
    """Five shapes before one comes back, and forty methods before a colour comes back with its shape."""
    assert [shape(colour(i)) for i in range(5)] == [0, 1, 2, 3, 4]
    assert len({marks(colour(i)) for i in range(HUES * SHAPES)}) == HUES * SHAPES
    drawn = [chart([Series("s", [(0, 0)], colour(i))], "", "x", "y") for i in range(5)]
    assert len({text[text.index('class="dot"') :] for text in drawn}) == 5
    sheet = (PAGE / "report.css").read_text(encoding="utf-8")
    assert all(f".m{i} .own {{ stroke-dasharray" in sheet for i in range(1, SHAPES))


def test_the_style_sheet_has_both_colours_of_each() -> None:
    assert "--c0: light-dark(#2b5fd9, #7d9dff);" in style()
    assert "--hard: light-dark(#d55e00, #ff8f3f);" in style()
