"""The charts by themselves: their ticks, their text, what they leave out, and that nothing is drawn over another."""

from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from leaderboards.charts.bars import Bar, bars
from leaderboards.charts.forest import Estimate, forest
from leaderboards.charts.lines import Reading, Series, chart, histogram
from leaderboards.charts.svg import LABEL, SMALL, cut, extent, text_width, tick_texts, ticks

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


def rows(drawn: str) -> list[tuple[float, ElementTree.Element]]:
    """The rows of a chart with how far down they begin."""
    found = [g for g in ElementTree.fromstring(drawn).iter("g") if (g.get("class") or "").startswith("row")]
    return [(float((g.get("transform") or "").split()[-1].rstrip(")")), g) for g in found]


@pytest.mark.parametrize("width", [340, 380, 700])
def test_names_and_figures_of_a_forest_stand_inside_it_and_apart(width: int) -> None:
    text, more = "+1.00 [-2.00, 3.00]  p 1.000", "samples ± 12.10, seeds ± 11.30 (disagree in sign)"
    drawn = forest(
        [Estimate(name, 1.0, -2.0, 3.0, 0, text, more=more) for name in LONG], "t", "difference", width=width
    )
    names, figures, parts = texts(drawn), texts(drawn, "figures"), texts(drawn, "parts")
    assert [len(kind) for kind in (names, figures, parts)] == [3, 3, 3]
    for name, figure, part in zip(names, figures, parts, strict=True):
        assert span(name, LABEL)[0] >= 0 and span(figure, SMALL)[1] <= width and span(part, SMALL)[1] <= width
        same_height = abs(float(name.get("y") or 0) - float(figure.get("y") or 0)) < 10
        assert not same_height or span(name, LABEL)[1] < span(figure, SMALL)[0]
    assert all(part.text == more for part in parts), "not cut"
    whiskers = [e for e in ElementTree.fromstring(drawn).iter("line") if e.get("class") == "whisker"]
    assert len(whiskers) == 3 and all(0 < float(w.get("x1") or 0) < float(w.get("x2") or 0) < width for w in whiskers)


def test_a_forest_shows_what_the_samples_and_the_seeds_leave_open() -> None:
    """-2 .. 4 across; the samples' part of 1 +- 2 is 4 of these 6 units wide, and the seeds stand at 0 and 2."""
    row = Estimate("dama", 1.0, -2.0, 4.0, 0, "t", samples=2.0, seeds=(0.0, 2.0))
    page = ElementTree.fromstring(forest([row], "t", "x"))
    (whisker,) = [e for e in page.iter("line") if e.get("class") == "whisker"]
    (samples,) = [e for e in page.iter("rect") if e.get("class") == "samples"]
    seeds = [float(e.get("cx") or 0) for e in page.iter("circle") if e.get("class") == "seed"]
    start, stop = (float(whisker.get(end) or 0) for end in ("x1", "x2"))
    unit = (stop - start) / 6
    assert float(samples.get("width") or 0) == pytest.approx(4 * unit, abs=0.2)
    assert seeds == pytest.approx([start + 2 * unit, start + 4 * unit], abs=0.2)
    one = forest([Estimate("dama", 1.0, 0.0, 2.0, 0, seeds=(1.0,))], "t", "x")
    assert 'class="seed"' not in one, "one seed is the point itself"


@pytest.mark.parametrize("more", ["", "samples ± 2.10, seeds ± 1.30"])
def test_the_line_of_no_difference_crosses_no_figures(more: str) -> None:
    """In a narrow forest figures stand above the marks, and a line through "-14.2" hides its sign."""
    drawn = forest([Estimate(name, -14.2, -34.3, 6.0, 0, "-14.2 [-34.3, 6.0]", more=more) for name in "ab"], "t", "x")
    zeros = [e for _, row in rows(drawn) for e in row.iter("line") if e.get("class") == "zero"]
    assert len(zeros) == 2 and drawn.count('"zero') == 2
    (whisker,) = {
        float(e.get("y1") or 0) for e in ElementTree.fromstring(drawn).iter("line") if e.get("class") == "whisker"
    }
    lowest = max(float(e.get("y") or 0) for e in texts(drawn, "figures") + texts(drawn, "parts"))
    assert all(lowest + 3 < float(e.get("y1") or 0) < whisker < float(e.get("y2") or 0) for e in zeros)
    wide = forest([Estimate("a", 1.0, -2.0, 3.0, 0, "t")], "t", "x", width=700)
    assert wide.count('class="zero upright"') == wide.count('"zero') == 1


def test_intervals_of_readings_at_one_place_stand_side_by_side() -> None:
    """The rings stay where the curves are read; twenty intervals take no more room than seven."""

    def drawn(count: int) -> tuple[set[str], list[float]]:
        read = [Series(str(i), [(0, i), (2, i)], reading=Reading(1, i, i - 1, i + 1, "r")) for i in range(count)]
        page = ElementTree.fromstring(chart(read, "t", "x", "y"))
        rings = {e.get("cx") or "" for e in page.iter("circle") if e.get("class") == "reading"}
        return rings, sorted(float(e.get("x1") or 0) for e in page.iter("line") if e.get("class") == "whisker")

    rings, whiskers = drawn(4)
    assert len(rings) == 1 and np.diff(whiskers) == pytest.approx([4] * 3, abs=0.11)
    assert float(rings.pop()) == pytest.approx(np.mean(whiskers), abs=0.1)
    many = drawn(20)[1]
    assert len(set(many)) == 20 and many[-1] - many[0] <= 28


def test_what_an_upright_line_is_stands_on_two_lines_where_it_does_not_fit_on_one() -> None:
    words = ["coverage of base", "54.6 %"]
    series = [Series("dpo", [(0, 0), (1, 1)], tag="gap")]
    narrow, wide = (
        chart(series, "t", "x", "y", upright=(0.5, ", ".join(words)), size=(width, 230)) for width in (340, 700)
    )
    assert [t.text for t in texts(narrow, "tick")][-2:] == words
    assert [t.text for t in texts(wide, "tick")][-1] == ", ".join(words)


@pytest.mark.parametrize("width", [340, 700])
def test_names_of_bars_are_not_printed_over_each_other(width: int) -> None:
    groups = [(name, [Bar(50.0, "tone0", "50.0"), Bar(70.0, "tone1", "70.0")]) for name in LONG * 5]
    drawn = bars(groups, "t", "%", width=width, legend=[("tone0", "responses"), ("tone1", "mentions")])
    heights = [top + float(next(text for text in row.iter("text")).get("y") or 0) for top, row in rows(drawn)]
    assert len(heights) == 15 and all(b - a >= LABEL for a, b in itertools.pairwise(heights))
    assert all(span(t, LABEL)[0] >= 0 and span(t, LABEL)[1] <= width for t in texts(drawn))
    assert {"responses", "mentions"} <= {t.text for t in texts(drawn, "tick")}


def test_lines_are_named_at_their_ends_one_below_the_other() -> None:
    """Three lines that end at the same height; of forty there is no room for the names."""
    three = [Series(name, [(0, 0), (1, 1)], tag=name) for name in ("dpo", "gap", "dama")]
    heights = sorted(float(t.get("y") or 0) for t in texts(chart(three, "t", "x", "y"), "tag"))
    assert len(heights) == 3 and all(b - a >= 12 for a, b in itertools.pairwise(heights))
    assert all(span(t, SMALL)[1] <= 340 for t in texts(chart(three, "t", "x", "y"), "tag"))
    assert texts(chart(three * 14, "t", "x", "y"), "tag") == []


def test_a_chart_holds_its_values_for_the_read_out() -> None:
    drawn = chart([Series("dpo s0", [(10, 0.25), (20, math.nan), (30, 0.5)], name="dpo")], "t", "x", "y")
    (series,) = [g for g in ElementTree.fromstring(drawn).iter("g") if g.get("data-xy")]
    assert (series.get("data-series"), series.get("data-label")) == ("dpo", "dpo s0")
    assert series.get("data-xy") == "10,0.25 30,0.5"


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
    drawn = histogram([(-0.4, 0.1, 3, "hard", "n"), (0.1, 0.6, 5, "easy", "n")], "t", "delta", "pairs")
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
