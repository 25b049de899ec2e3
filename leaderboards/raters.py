"""The ratings of a store by rater: a judge with its runs, one run of a judge, or people from a file."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import UsageError, unknown_name
from harness.protocols.benchmark import Level
from harness.store import EvaluationRecord
from leaderboards.agreement import Agreement, Answers, agreement, agreement_of_runs
from leaderboards.condition import condition_of
from leaderboards.declared import declared, in_several_runs
from leaderboards.human_labels import HumanLabels
from leaderboards.selection import Selection
from leaderboards.snapshot import Snapshot

RUN = re.compile(r"(?P<judge>.+)#(?P<run>\d+)")
Rated = Mapping[tuple[str, str], tuple[str | None, str, Mapping[int, float]]]
"""By (model run, sample id): the answer, its group, and the rating of every judge run."""


@dataclass(frozen=True)
class Rater:
    """A judge as tables name it, all of its runs or the one ``run``."""

    judge: str
    run: int | None = None

    @classmethod
    def parse(cls, text: str, known: Sequence[str]) -> Rater:
        """JUDGE, or JUDGE#RUN (runs are counted from 0); an unknown judge raises UsageError."""
        match = RUN.fullmatch(text)
        if text not in known and match and match["judge"] in known:
            return cls(match["judge"], int(match["run"]))
        if text not in known:
            raise unknown_name("judge among the evaluations", text, known)
        return cls(text)

    def __str__(self) -> str:
        return self.judge if self.run is None else f"{self.judge}#{self.run}"


def compare_raters(
    snapshot: Snapshot,
    a: str,
    b: str | None = None,
    *,
    human: HumanLabels | None = None,
    benchmarks: Sequence[str] = (),
    runs: Sequence[str] = (),
    rating: str | None = None,
    level: Level | None = None,
) -> list[Agreement]:
    """One agreement for each benchmark and rating that both rated.

    Args:
        snapshot: the store.
        a: JUDGE or JUDGE#RUN; ``b``: the other one, where people are not compared. Without both it is the runs of A.
        human: labels of people in place of ``b``.
        benchmarks: of these only; ``runs``: only these models' answers.
        rating: the number of the verdicts that is compared; None: those that the benchmark declares.
        level: its level of measurement; None: as declared.

    Raises UsageError where nothing is shared, saying what each judged.
    """
    wanted = [
        e
        for e in snapshot.current
        if (not benchmarks or e.benchmark in benchmarks) and (not runs or e.run in runs) and e.judge != "none"
    ]
    _require_known(snapshot, benchmarks, runs)
    known = list(dict.fromkeys(e.judge for e in wanted))
    if not known:
        chosen = Selection(benchmarks=tuple(benchmarks), runs=tuple(runs)).filters
        where = f"{snapshot.store.path} holds no answers that a judge scored{f' ({chosen})' if chosen else ''}"
        raise UsageError(f"{where}. Score some with `bench --judge JUDGE`.")
    one, other = _raters(a, b, known, by_people=human is not None)
    compared = wanted if human is None else _labelled(snapshot, wanted, one, human)
    measured_by = {name: _ratings(name, rating, level) for name in dict.fromkeys(e.benchmark for e in compared)}
    if rating is not None and measured_by and not any(measured_by.values()):
        names = ", ".join(measured_by)
        raise UsageError(f"--rating {rating}: {names} does not declare it; give its level too: --level LEVEL.")
    out = []
    for benchmark, ratings in measured_by.items():
        of = [e for e in compared if e.benchmark == benchmark]
        if human is not None and len(ratings) > 1:
            raise UsageError(
                f"--human: say which number of {benchmark} the labels are, --rating {' or '.join(ratings)}."
            )
        out += [
            found
            for name, measured in ratings.items()
            if (found := _agreement(snapshot, of, benchmark, (one, other), (name, measured), human)) is not None
        ]
    if not out:
        raise UsageError(_absent_run(snapshot, wanted, one, other) or _nothing(wanted, one, other, human))
    return out


def _agreement(
    snapshot: Snapshot,
    evaluations: Sequence[EvaluationRecord],
    benchmark: str,
    raters: tuple[Rater, Rater | None],
    rating: tuple[str, Level],
    human: HumanLabels | None,
) -> Agreement | None:
    """How far two raters, a judge and people, or a judge's own runs agree in one rating; None where they share none."""
    (one, other), (name, level) = raters, rating
    if other is None and human is None:
        of_runs = _of_runs(snapshot, evaluations, one, name)
        return None if of_runs is None else agreement_of_runs(benchmark, name, level, str(one), of_runs)
    shared = _shared(snapshot, evaluations, one, other, name, human)
    if shared is None:
        return None
    answers, notes = shared
    if human is not None and level == "nominal":
        _require_flags(answers, name, human)
    return agreement(benchmark, name, level, str(one), str(other if other is not None else human), answers, notes)


def _raters(a: str, b: str | None, known: Sequence[str], *, by_people: bool) -> tuple[Rater, Rater | None]:
    """The two raters, the second None where people are; UsageError where it is not two of them."""
    if b is not None and by_people:
        raise UsageError("agree: name two judges (or runs of one, JUDGE#0 JUDGE#1), or one judge and --human FILE.")
    one, other = Rater.parse(a, known), None if b is None else Rater.parse(b, known)
    if other is not None and one.judge == other.judge and (one.run == other.run or None in (one.run, other.run)):
        raise UsageError(
            f"agree: {a} and {b} are ratings of one judge by itself; compare two of its runs, {one.judge}#0 and "
            f"{one.judge}#1, or name another judge."
        )
    return one, other


def _labelled(
    snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], judge: Rater, human: HumanLabels
) -> list[EvaluationRecord]:
    """The evaluations of the benchmark that people's labels are of: the file names none, and ids such as "1" are of
    several. UsageError where it is not clear which is meant."""
    judged = [e for e in evaluations if e.judge == judge.judge]
    labelled = [e for e in judged if any(human.has(e.run, sample) for sample in snapshot.verdicts(e).samples)]
    names = list(dict.fromkeys(e.benchmark for e in labelled))
    if len(names) > 1:
        raise UsageError(
            f"--human {human.path}: its ids are of samples of {' and '.join(names)}, which {judge} judged; choose one "
            "with --benchmark."
        )
    return [e for e in evaluations if e.benchmark in names]


def _require_known(snapshot: Snapshot, benchmarks: Sequence[str], runs: Sequence[str]) -> None:
    stored = snapshot.current
    for kind, asked, known in (
        ("benchmark among the evaluations", benchmarks, {e.benchmark for e in stored}),
        ("run", runs, {e.run for e in stored}),
    ):
        for name in asked:
            if name not in known:
                raise unknown_name(kind, name, known)


def _ratings(benchmark: str, rating: str | None, level: Level | None) -> dict[str, Level]:
    """The numbers of a benchmark's verdicts that are compared, with their level of measurement: those that it declares,
    of which ``rating`` is one or (with its ``level``) another."""
    known = dict(declared(benchmark).ratings)
    if rating is None:
        return {name: level or measured for name, measured in known.items()}
    measured = level or known.get(rating)
    return {} if measured is None else {rating: measured}


def _shared(
    snapshot: Snapshot,
    evaluations: Sequence[EvaluationRecord],
    a: Rater,
    b: Rater | None,
    rating: str,
    human: HumanLabels | None,
) -> tuple[Answers, list[str]] | None:
    """The answers that both rated, and notes on those that only one did; None where there are none."""
    rated_a = _rated(snapshot, evaluations, a, rating)
    rated_b = _rated(snapshot, evaluations, b, rating) if b is not None else _by_people(human, rated_a)
    keys = [key for key in rated_a if key in rated_b]
    same = [key for key in keys if rated_a[key][0] == rated_b[key][0]]
    if not same:
        return None
    notes = []
    if len(same) < len(keys):
        notes.append(f"{len(keys) - len(same)} answers are left out: each judged another text")
    if b is not None and (versions := _versions(evaluations, a, b)):
        notes.append(f"the judges were asked or read differently: {versions}")
    only = len(rated_a) - len(keys), len(rated_b) - len(keys)
    if any(only):
        notes.append(f"rated by the first alone: {only[0]}, by the second alone: {only[1]}")
    answers = common_answers(rated_a, rated_b)
    return None if answers is None else (answers, notes)


def _require_flags(answers: Answers, rating: str, human: HumanLabels) -> None:
    """UsageError where a judge says 0 or 1 and people something else: their labels are of another number."""
    by_judge, by_people = ({*of[np.isfinite(of)].tolist()} for of in (answers.a, answers.b))
    strange = sorted(by_people - {0.0, 1.0})
    if by_judge <= {0.0, 1.0} and strange:
        raise UsageError(
            f"--human {human.path}: it has the label {strange[0]:g}, and {rating} is 0 or 1: name the number that the "
            "labels are of with --rating."
        )


def common_answers(a: Rated, b: Rated) -> Answers | None:
    """The answers that both rated, the same text; None where there are none."""
    same = [key for key in a if key in b and a[key][0] == b[key][0]]
    if not same:
        return None
    matrix_a, matrix_b = (_matrix([rated[key][2] for key in same]) for rated in (a, b))
    return Answers(tuple(same), tuple(a[key][1] for key in same), matrix_a, matrix_b)


def _of_runs(snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], judge: Rater, rating: str) -> Answers | None:
    """The answers that several runs of a judge rated; None where there are none."""
    rated = {key: of for key, of in _rated(snapshot, evaluations, judge, rating).items() if len(of[2]) > 1}
    if not rated:
        return None
    ratings = _matrix([runs for _, _, runs in rated.values()])
    return Answers(tuple(rated), tuple(group for _, group, _ in rated.values()), ratings, np.zeros((len(rated), 0)))


def _rated(snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], rater: Rater, rating: str) -> Rated:
    """What a judge made of every answer; the newest evaluation of a model's run counts."""
    found: dict[tuple[str, str], tuple[str | None, str, dict[int, float]]] = {}
    for e in evaluations:
        if e.judge != rater.judge or condition_of(e).eos_bias:
            continue
        newer: dict[tuple[str, str], tuple[str | None, str, dict[int, float]]] = {}
        for v in snapshot.store.verdicts(e.id):
            if v.error is None and rating in v.counts and rater.run in (None, v.run):
                newer.setdefault((e.run, v.sample_id), (v.answer, v.group, {}))[2][v.run] = v.counts[rating]
        found |= newer
    return found


def _by_people(human: HumanLabels | None, rated: Rated) -> Rated:
    """People's labels of answers, each as one run, with the answer and group that the judge rated."""
    if human is None:
        return {}
    runs = list(dict.fromkeys(run for run, _ in rated))
    labels = human.of(runs)
    return {key: (*rated.get(key, (None, ""))[:2], {0: label}) for key, label in labels.items()}


def _versions(evaluations: Sequence[EvaluationRecord], a: Rater, b: Rater) -> str:
    versions = {r.judge: sorted({e.version for e in evaluations if e.judge == r.judge}) for r in (a, b)}
    if len({tuple(names) for names in versions.values()}) < 2:
        return ""
    return "; ".join(f"{judge} {', '.join(names)}" for judge, names in versions.items())


def _matrix(rows: Sequence[Mapping[int, float]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[answers, judge runs], NaN where a run has no rating."""
    runs = sorted({run for row in rows for run in row})
    return np.array([[row.get(run, math.nan) for run in runs] for row in rows], dtype=np.float64)


def _absent_run(snapshot: Snapshot, evaluations: Sequence[EvaluationRecord], a: Rater, b: Rater | None) -> str:
    """That a run which was named is none of its judge's, and which are; "" where both are there."""
    for rater in (a, b):
        of = [e for e in evaluations if rater is not None and e.judge == rater.judge]
        runs = sorted({int(run) for e in of for run in snapshot.verdicts(e).runs})
        if rater is not None and rater.run is not None and rater.run not in runs:
            named = "run" if len(runs) == 1 else "runs"
            there = f"it rated in {named} {' and '.join(map(str, runs))}"
            return f"agree {a}{'' if b is None else f' {b}'}: {rater.judge} has no run {rater.run}; {there}."
    return ""


def _nothing(evaluations: Sequence[EvaluationRecord], a: Rater, b: Rater | None, human: HumanLabels | None) -> str:
    """Why there is nothing to compare: what each rated, and what declares no rating."""
    if b is None and human is None:
        runs = in_several_runs(list(dict.fromkeys(e.benchmark for e in evaluations if e.judge == a.judge)))
        again = f"judge {' and '.join(runs)} again with --set judge_runs=3, " if runs else ""
        return (
            f"agree {a}: it rated each answer in one run, so there is nothing to compare: {again}score the answers "
            f"by a second judge (`bench` or `score` with --judge B, then `agree {a} B`), or give --human FILE."
        )
    by_judge: dict[str, dict[str, None]] = defaultdict(dict)
    for e in evaluations:
        by_judge[e.judge][f"{e.run} on {e.benchmark}"] = None
    judged = "; ".join(f"{j}: {', '.join(list(names)[:4])}" for j, names in by_judge.items())
    other = str(b) if b is not None else str(human)
    bare = [name for name in dict.fromkeys(e.benchmark for e in evaluations) if not declared(name).ratings]
    more = f" {', '.join(bare)} declares no rating: name one with --rating and --level." if bare else ""
    return f"{a} and {other} rated no answer in common. Judged are: {judged}.{more}"
