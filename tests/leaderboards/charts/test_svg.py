"""The charts by themselves: their ticks, their text, what they leave out, and that nothing is drawn over another."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import pytest

from leaderboards.charts.bars import Bar, bars
from leaderboards.charts.forest import Estimate, forest
from leaderboards.charts.lines import Series, chart, histogram
from leaderboards.charts.svg import colour, cut, extent, marks, text_width, tick_texts, ticks

LONG = ["dpo at dama's beta", "dama combine combine=data-then-model", "filter with aM = 1"]
SVG = "{http://www.w3.org/2000/svg}"


def texts(drawn: str, kind: str = "label") -> list[ElementTree.Element]:
    return [t for t in ElementTree.fromstring(drawn).iter("text") if t.get("class") == kind]


def span(text: ElementTree.Element, size: float) -> tuple[float, float]:
    """Where a text begins and ends across, by its anchor."""
    width, x = text_width(text.text or "", size), float(text.get("x") or 0)
    start = {"start": x, "middle": x - width / 2, "end": x - width}[text.get("text-anchor") or "start"]
    return start, start + width


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 10) == pytest.approx([0, 5, 10])
    assert ticks(-0.13, 0.21) == pytest.approx([-0.1, 0, 0.1, 0.2])
    assert ticks(3, 3) == [3]


@pytest.mark.parametrize("low", [0.0, 1.01, -3.7, 16.1, 99.6])
@pytest.mark.parametrize("width", [0.013, 0.98, 3.3, 7.9, 14.8, 740.0])
def test_no_axis_has_a_single_tick(low: float, width: float) -> None:
    for about, least in ((4, 3), (5, 3), (3, 2)):
        found = ticks(low, low + width, about, least)
        assert least <= len(found) <= 9
        assert all(low - 1e-9 <= tick <= low + width + 1e-9 for tick in found)
        assert len(set(tick_texts(found))) == len(found)


def test_ticks_have_the_decimals_of_their_step() -> None:
    assert tick_texts([-0.5, 0.0, 0.5]) == ["-0.5", "0.0", "0.5"]
    assert tick_texts([1001.2, 1001.4]) == ["1,001.2", "1,001.4"]
    assert tick_texts([0, 50, 100]) == ["0", "50", "100"]


def test_a_colour_comes_back_with_another_mark() -> None:
    assert [marks(colour(i)) for i in (0, 7, 8, 17)] == ["c0", "c7", "c0 r1", "c1 r2"]
    assert len({marks(colour(i)) for i in range(24)}) == 24
    assert marks(8) == "c8"
    shapes = [
        re.findall(r"<(circle|polygon)", chart([Series("s", [(0, 0)], colour(i))], "", "x", "y")) for i in (0, 8, 16)
    ]
    assert shapes == [["circle"], ["polygon"], ["polygon"]]


@pytest.mark.parametrize("width", [380, 700])
def test_names_and_figures_of_a_forest_stand_inside_it_and_apart(width: int) -> None:
    rows = [Estimate(name, 1.0, -2.0, 3.0, 0, "+1.00 [-2.00, 3.00]  p 1.000") for name in LONG]
    drawn = forest(rows, "t", "difference", width=width)
    names, figures = texts(drawn), texts(drawn, "figures")
    assert [t.text for t in names] == LONG
    for name, figure in zip(names, figures, strict=True):
        assert span(name, 12)[0] >= 0 and span(name, 12)[1] <= width and span(figure, 10.5)[1] <= width
        if name.get("y") == figure.get("y"):
            assert span(name, 12)[1] < span(figure, 10.5)[0]
    whiskers = [e for e in ElementTree.fromstring(drawn).iter("line") if e.get("class") == "whisker"]
    assert all(float(w.get("x2") or 0) < span(figures[0], 10.5)[0] for w in whiskers)


@pytest.mark.parametrize("width", [340, 700])
def test_names_of_bars_are_not_printed_over_each_other(width: int) -> None:
    groups = [(name, [Bar(50.0, "tone0", "50.0"), Bar(70.0, "tone1", "70.0")]) for name in LONG * 5]
    drawn = bars(groups, "t", "%", width=width, legend=[("tone0", "responses"), ("tone1", "mentions")])
    names = texts(drawn)
    heights = [float(t.get("y") or 0) for t in names]
    assert len(names) == 15 and all(b - a >= 12 for a, b in itertools.pairwise(heights))
    assert all(span(t, 12)[0] >= 0 and span(t, 12)[1] <= width for t in names)
    assert {"responses", "mentions"} <= {t.text for t in texts(drawn, "tick")}


def test_what_does_not_fit_is_cut_and_kept_in_the_tooltip() -> None:
    name = "a method with a name that nobody would give it, whatever its settings may be"
    drawn = forest([Estimate(name, 1.0, 0.0, 2.0, 0, "+1.0 [0.0, 2.0]  p .010")], "t", "x", width=380)
    (label,) = texts(drawn)
    assert (label.text or "").endswith("…") and name.startswith((label.text or "")[:-1])
    assert label.findtext("title") == name
    assert cut("short", 100, 12) == "short"
    assert cut("狗狗狗狗", 24, 12) == "狗…"


def test_bars_have_their_intervals_and_figures() -> None:
    drawn = bars([("mean", [Bar(50.0, "tone0", "50.0 [40.0, 60.0]", "n", 40.0, 60.0)])], "t", "%")
    (whisker,) = [e for e in ElementTree.fromstring(drawn).iter("line") if e.get("class") == "error"]
    (bar,) = list(ElementTree.fromstring(drawn).iter("rect"))
    end = float(bar.get("x") or 0) + float(bar.get("width") or 0)
    assert float(whisker.get("x1") or 0) < end < float(whisker.get("x2") or 0)
    assert [t.text for t in texts(drawn, "figures")] == ["50.0 [40.0, 60.0]"]


def test_a_histogram_has_ticks_on_both_axes() -> None:
    drawn = histogram([(-0.4, 0.1, 3, 1, "n"), (0.1, 0.6, 5, 2, "n")], "t", "delta", "pairs")
    assert {"-0.4", "-0.2", "0.0", "0.2"} <= {t.text for t in texts(drawn, "tick")}


def test_charts_are_xml_and_leave_out_what_is_not_finite() -> None:
    series = [Series("<a> & b", [(0.0, 1.0), (1.0, math.nan), (2.0, 3.0)], dots=True)]
    nothing = (math.nan, math.nan, math.nan)
    made = [
        chart(series, "t <", "x", "y", zero=True, rug=[(1.0, 2)]),
        chart([], "nothing", "x", "y"),
        bars([("<g>", [Bar(math.nan, "c0"), Bar(2.0, "c1", "<two>")])], "t", "x"),
        bars([], "t", "x"),
        histogram([], "t", "x", "y"),
        forest([Estimate("dama", *nothing), Estimate("<gap>", 1.0, 0.5, 2.0, 1, "<t>", "<n>")], "t", "x"),
        forest([Estimate("dama", 1.0, math.nan, math.nan)], "t", "x"),
    ]
    for text in made:
        ElementTree.fromstring(text)
        assert "nan" not in text
    assert made[0].count("<circle") == 2
    assert extent([math.nan]) == (0.0, 1.0)
