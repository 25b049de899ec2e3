"""Metrics over groups of samples: a group is right only where all of its samples are.

Four pictures with two questions each (MME's acc+ counts pictures, its accuracy questions):

    picture  q1  q2   both
    p        1   1    1
    q        1   0    0
    r        1   1    1
    s        0   -    not counted: the answer to q2 failed

accuracy = 5 right of 7 scored = 71.43 %; acc+ = 2 right of 3 pictures counted = 66.67 %, one picture left out.
"""

from __future__ import annotations

import numpy as np
import pytest

from harness.evaluation.metrics import Scored, group_verdicts, summarise
from harness.protocols.benchmark import Metric, Sample, groups_by, ratio
from harness.stats import bootstrap_interval
from leaderboards.scored_metrics import ScoredMetrics
from leaderboards.scores import intervals, mcnemar, only, read_scores, same_groups, scored_samples
from leaderboards.verdict_table import VerdictTable

RIGHT = {"p1": 1, "p2": 1, "q1": 1, "q2": 0, "r1": 1, "r2": 1, "s1": 0, "s2": None}
SAMPLES = [Sample(name, "?", group=name[0]) for name in RIGHT]


def verdicts(right: dict[str, int | None], run: int = 0, images: bool = True) -> list[Scored]:
    return [
        Scored(name, run, name[0] if images else "", {} if value is None else {"asked": 1.0, "right": float(value)},
               "no answer" if value is None else None)
        for name, value in right.items()
    ]  # fmt: skip


BY_PICTURE = groups_by(SAMPLES, lambda sample: sample.group)
ACC = Metric("acc", ratio("right", "asked"), True)
ACC_PLUS = Metric("acc_plus", ratio("right", "asked"), True, groups=BY_PICTURE)


def test_a_group_is_right_where_all_of_its_samples_are_and_one_with_a_failed_sample_is_left_out() -> None:
    table = summarise([ACC, ACC_PLUS], verdicts(RIGHT))
    assert table["acc"]["value"] == pytest.approx(500 / 7) and "groups" not in table["acc"]
    assert table["acc_plus"]["value"] == pytest.approx(200 / 3)
    assert (table["acc_plus"]["groups"], table["acc_plus"]["groups_left_out"]) == (3, 1)


def test_a_group_with_a_missing_sample_is_left_out_too() -> None:
    answered = {name: value for name, value in RIGHT.items() if name not in ("r2", "s2")}
    table = summarise([ACC_PLUS], verdicts(answered))
    assert table["acc_plus"]["value"] == 50, "p is right, q is not"
    assert (table["acc_plus"]["groups"], table["acc_plus"]["groups_left_out"]) == (2, 2)
    nothing = summarise([ACC_PLUS], [])["acc_plus"]
    assert (nothing["value"], nothing["groups"], nothing["groups_left_out"]) == (None, 0, 4)


def test_samples_without_a_group_are_counted_in_no_group() -> None:
    paired = groups_by(SAMPLES, lambda sample: sample.group if sample.group in "pq" else None)
    assert {verdict.sample_id for verdict in group_verdicts(verdicts(RIGHT), paired)} == {"p", "q"}


def test_a_failed_sample_counts_in_official_figures_as_its_official_counts_say() -> None:
    """Officially the unread answer is wrong: of two pictures p is right and s is not, 50 %; plainly p alone, 100 %."""
    groups = {"p1": "p", "s1": "s", "s2": "s"}
    scored = [
        Scored("p1", 0, "p", {"asked": 1.0, "right": 1.0, "official_asked": 1.0, "official_right": 1.0}),
        Scored("s1", 0, "s", {"asked": 1.0, "right": 1.0, "official_asked": 1.0, "official_right": 1.0}),
        Scored("s2", 0, "s", {"official_asked": 1.0, "official_right": 0.0}, "neither yes nor no"),
    ]
    plain = Metric("acc_plus", ratio("right", "asked"), True, groups=groups)
    official = Metric("official_acc_plus", ratio("official_right", "official_asked"), True, groups=groups)
    table = summarise([plain, official], scored)
    assert (table["acc_plus"]["value"], table["official_acc_plus"]["value"]) == (100, 50)


def test_the_bootstrap_resamples_groups() -> None:
    """The interval is that of three numbers (1, 0, 1), one a picture, not that of six questions."""
    table = summarise([ACC_PLUS], verdicts({**RIGHT, "s1": None}))
    values = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    low, high = bootstrap_interval(
        lambda sums: 100 * sums[..., 1:] / np.where(sums[..., :1] > 0, sums[..., :1], np.nan),
        values, ["p", "q", "r", "s"], resamples=1000, seed=20250201,
    )  # fmt: skip
    assert (table["acc_plus"]["low"], table["acc_plus"]["high"]) == pytest.approx((low[0], high[0]))


def test_groups_of_one_image_are_resampled_together_and_groups_across_images_by_themselves() -> None:
    within = {"p1": "first", "p2": "second", "q1": "third", "q2": "third"}
    assert [v.group for v in group_verdicts(verdicts(RIGHT), within)] == ["p", "p", "q"]
    across = {"p1": "one", "q1": "one", "p2": "two", "q2": "two"}
    assert [v.group for v in group_verdicts(verdicts(RIGHT), across)] == ["one", "two"]
    assert [v.group for v in group_verdicts(verdicts(RIGHT, images=False), within)] == ["first", "second", "third"]


def test_judge_runs_are_grouped_each_for_itself() -> None:
    """Run 0: p right, q wrong, r right: 66.67 %. Run 1: p right, q and r wrong: 33.33 %. Their mean is 50 %."""
    worse = {**RIGHT, "r1": 0}
    table = summarise([ACC_PLUS], verdicts(RIGHT) + verdicts(worse, run=1))
    assert table["acc_plus"]["value"] == pytest.approx(50)


def test_tables_and_comparisons_use_the_same_groups() -> None:
    """A has p and r right, B only p, on the three pictures that both counted: 66.67 - 33.33 = 33.33 points."""
    a, b = verdicts(RIGHT), verdicts({**RIGHT, "r1": 0})
    left, right = (read_scores([VerdictTable.of(side)], ACC_PLUS.groups) for side in (a, b))
    assert intervals(left, [ACC_PLUS])[0][0] == pytest.approx(summarise([ACC_PLUS], a)["acc_plus"]["value"])
    (difference,) = ScoredMetrics([ACC_PLUS], {"left": left, "right": right}).differences("left", "right")
    left, right = (only(side, scored_samples(left) & scored_samples(right)) for side in (left, right))
    assert (difference.value, difference.n) == (pytest.approx(100 / 3), 3)
    assert mcnemar(left, right, ACC_PLUS) == 1.0, "one discordant picture"
    again = Metric("again", ACC.compute, True)
    assert same_groups([ACC, ACC_PLUS, again]) == [[ACC, again], [ACC_PLUS]]
