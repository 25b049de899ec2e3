"""From verdicts to figures, worked out by hand."""

from __future__ import annotations

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
