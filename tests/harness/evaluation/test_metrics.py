"""From verdicts to figures, worked out by hand."""

from __future__ import annotations

import math

import pytest

from harness.evaluation.metrics import Scored, summarise
from harness.protocols.benchmark import Metric, ratio

SHARE = Metric("share", ratio("right", "asked"), True)
SPREAD = Metric("spread", ratio("right", "asked"), False, over_runs="std")


def verdicts(right: str, run: int = 0) -> list[Scored]:
    """One verdict a character: 1 right, 0 wrong, - failed."""
    return [
        Scored(str(i), run, "", {}, "failed")
        if c == "-"
        else Scored(str(i), run, "", {"right": float(c), "asked": 1.0})
        for i, c in enumerate(right)
    ]


def test_the_interval_of_a_share() -> None:
    """Four of eight are right. Of eight draws none is in 1 / 256 = 0.4 % of the resamples, at most one in 3.5 %.

    With eight samples 0.6 % are cut off on either side, Phi(-sqrt(8 / 7) 2.36): at 1 / 8 and 7 / 8, or just beyond,
    as the draws fall.
    """
    figure = summarise([SHARE], verdicts("11110000"))["share"]
    assert figure["value"] == 50
    assert 0 < figure["low"] <= 12.5 and 87.5 <= figure["high"] < 100
    assert (figure["unit"], figure["higher_is_better"]) == ("%", True)


def test_a_failed_sample_is_in_no_figure() -> None:
    assert summarise([SHARE], verdicts("1-0-1"))["share"]["value"] == pytest.approx(200 / 3)
    assert summarise([SHARE], verdicts("---"))["share"]["value"] is None


def test_figures_of_judge_runs_are_averaged_and_their_spread_is_the_populations() -> None:
    """Runs of 100, 50 and 0 %: mean 50, spread sqrt((50^2 + 0 + 50^2) / 3)."""
    scored = verdicts("11", 0) + verdicts("10", 1) + verdicts("00", 2)
    table = summarise([SHARE, SPREAD], scored)
    assert table["share"]["value"] == 50
    assert table["spread"]["value"] == pytest.approx((5000 / 3) ** 0.5)


def test_a_run_is_weighed_alike_however_many_of_its_samples_failed() -> None:
    """Run 0 has 2 of 2 right, run 1 only one sample, which is wrong: (100 + 0) / 2, and not 2 of 3."""
    assert summarise([SHARE], verdicts("11", 0) + verdicts("0-", 1))["share"]["value"] == 50
    assert summarise([SHARE], verdicts("11", 0) + verdicts("--", 1))["share"]["value"] == 100


def test_an_interval_is_cut_at_what_the_metric_can_be_and_never_passes_the_value() -> None:
    relative = Metric("relative", ratio("answer", "reference"), True, limits=(0.0, math.inf))
    count = Metric("words", ratio("words", "asked"), None, unit="per answer")
    assert SHARE.within(40.0, -1.0, 101.0) == (0.0, 100.0) and SHARE.within(40.0, 30.0, 50.0) == (30.0, 50.0)
    assert SHARE.within(-3.0, -5.0, 2.0) == (-3.0, 2.0), "a reading beyond a curve's ends"
    assert relative.within(99.0, -1.0, 101.0) == (0.0, 101.0) and count.within(1.0, -1.0, 101.0) == (-1.0, 101.0)
    assert SHARE.difference_within(-60.0, -120.0, 3.0) == (-100.0, 3.0)
    assert count.difference_within(1.0, -120.0, 120.0) == (-120.0, 120.0)
    assert all(math.isnan(end) for end in SHARE.within(math.nan, math.nan, math.nan))
    assert (SHARE.is_share, SPREAD.is_share, relative.is_share, count.is_share) == (True, False, False, False)


def test_the_open_end_is_of_shares_and_only_where_all_groups_agree_over_all_judge_runs() -> None:
    """Run 0 has half of every image's answers right, run 1 none: 25 % in all six, and no end is open.

    The spread over the runs is 25 points in every image; of runs that agree it is 0, which is no share of images.
    """
    halves = [Scored(f"{i}{half}", 0, str(i), {"right": half, "asked": 1.0}) for i in range(6) for half in (0.0, 1.0)]
    none = [Scored(v.sample_id, 1, v.group, {"right": 0.0, "asked": 1.0}) for v in halves]
    found = summarise([SHARE, SPREAD], [*halves, *none])
    assert [found["share"][end] for end in ("value", "low", "high")] == [25, 25, 25]
    alike = summarise([SHARE, SPREAD], [*none, *(Scored(v.sample_id, 0, v.group, v.counts) for v in none)])
    assert [alike["spread"][end] for end in ("value", "low", "high")] == [0, 0, 0]
    assert alike["share"]["high"] > 30, "0 of six has Wilson's end"


def test_judge_runs_are_resampled_together_also_where_one_could_not_read_a_sample() -> None:
    """Two runs that agree say no more than one, and so they do where the second lacks the last of 40 samples."""
    one = summarise([SHARE], verdicts("10" * 20))["share"]
    both = summarise([SHARE], [*verdicts("10" * 20), *verdicts("10" * 19 + "1-", run=1)])["share"]
    assert both["high"] - both["low"] > 0.95 * (one["high"] - one["low"])
