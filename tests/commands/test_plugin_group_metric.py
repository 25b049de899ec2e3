"""A benchmark of another package, one file, that counts groups of questions: bench, score, leaderboard and compare.

Each picture is asked about twice, once for what it shows and once for what it does not (as MME does). Answers:

    picture   A: shown?  absent?    B: shown?  absent?
    1         right      right      right      wrong
    2         right      right      right      right
    3         right      wrong      wrong      wrong
    4         right      (none)     right      right

acc+ of A = 2 of 3 pictures = 66.67 %, picture 4 left out; of B = 2 of 4 = 50 %.
On pictures 1 to 3, which both answered whole: A 66.67 %, B 33.33 %, difference 33.33 points.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.protocols.benchmark import BENCHMARKS
from harness.util.jsonl import write_jsonl
from tests.commands.test_plugin_benchmark import install

PLUGIN = '''
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks.common.files import need
from benchmarks.common.yes_no import read_yes_no
from harness.protocols.benchmark import Benchmark, BenchmarkData, Metric, Sample, Verdict, groups_by, ratio
from harness.util.jsonl import iter_jsonl


@dataclass(frozen=True, kw_only=True)
class Twice(Benchmark):
    """Each picture is asked about twice."""

    name: ClassVar[str] = "twice"
    title: ClassVar[str] = "Twice"
    headline: ClassVar[tuple[str, ...]] = ("acc_plus", "acc")
    suites: ClassVar[tuple[str, ...]] = ("hallucination", "pictures")
    version: ClassVar[str] = "twice-1"

    def load(self, root: Path) -> BenchmarkData:
        rows = [row for _, row in iter_jsonl(need(root, "twice.jsonl", what="the questions"))]
        samples = [
            Sample(row["id"], row["question"], data={"answer": row["answer"]}, group=row["picture"]) for row in rows
        ]
        return BenchmarkData(samples, self.version)

    def verdict(self, sample: Sample, answer: str, replies: Sequence[str]) -> Verdict:
        said = read_yes_no(answer)
        return Verdict({"asked": 1.0, "right": float(said == sample.data["answer"])})

    def metrics(self, samples: Sequence[Sample]) -> list[Metric]:
        right = ratio("right", "asked")
        pictures = groups_by(samples, lambda sample: sample.group)
        return [Metric("acc", right, True), Metric("acc_plus", right, True, groups=pictures)]
'''
A = {"1y": "Yes", "1n": "No", "2y": "Yes", "2n": "No", "3y": "Yes", "3n": "Yes", "4y": "Yes"}
B = {"1y": "Yes", "1n": "Yes", "2y": "Yes", "2n": "No", "3y": "No", "3n": "Yes", "4y": "Yes", "4n": "No"}


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install(tmp_path, monkeypatch, "twice", PLUGIN, "Twice")
    rows = [
        {"id": f"{i}{kind}", "picture": f"p{i}", "question": "Is it there?", "answer": answer}
        for i in range(1, 5)
        for kind, answer in (("y", "yes"), ("n", "no"))
    ]
    write_jsonl(tmp_path / "twice.jsonl", rows)
    for name, said in (("a", A), ("b", B)):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"id": i, "response": text} for i, text in said.items()])
    return tmp_path


def test_a_metric_over_groups_goes_through_bench_leaderboard_and_compare(data: Path) -> None:
    db = ("--db", data / "r.sqlite")
    models = [word for name in "ab" for word in ("--model", f"replay:{data / name}.jsonl")]
    where = ("--benchmark", "twice", "--data-dir", data, *models, *db, "--json")
    benched = run("bench", *where, code=3)
    assert "twice, a.jsonl: acc_plus leaves out 1 of 4 groups" in benched.stderr
    a, b = json.loads(benched.stdout)
    assert a["metrics"]["acc"]["value"] == pytest.approx(600 / 7)
    assert a["metrics"]["acc_plus"]["value"] == pytest.approx(200 / 3)
    assert (a["metrics"]["acc_plus"]["groups"], a["metrics"]["acc_plus"]["groups_left_out"]) == (3, 1)
    assert b["metrics"]["acc_plus"]["value"] == 50

    rows = json.loads(run("leaderboard", "--format", "json", *db).stdout)
    shown = {row["method"]: row["value"] for row in rows if row["metric"] == "acc_plus"}
    assert shown == {"a.jsonl": pytest.approx(200 / 3), "b.jsonl": 50}
    table = run("leaderboard", "--format", "markdown", *db).stdout
    assert "66.7" in table and "acc_plus" in table.lower()
    resampled = "Metrics over groups: the interval resamples groups (images, where each group lies within one image)."
    assert resampled in table
    assert resampled in " ".join(run("compare", "a.jsonl", "b.jsonl", *db).stdout.split())

    compared = {row["metric"]: row for row in json.loads(run("compare", "a.jsonl", "b.jsonl", *db, "--json").stdout)}
    assert compared["acc_plus"]["difference"] == pytest.approx(100 / 3)
    assert (compared["acc_plus"]["n_common"], compared["acc"]["n_common"]) == (3, 7)
    assert compared["acc_plus"]["p_mcnemar"] == 1.0, "one picture that only A has right"


def test_a_suite_takes_in_the_benchmarks_that_declare_it(data: Path) -> None:
    suites = {row["name"]: row["benchmarks"] for row in json.loads(run("list", "suites", "--json").stdout)}
    assert suites["hallucination"] == "object_halbench, amber, mmhal, twice"
    assert suites["pictures"] == "twice" and suites["all"].endswith("pope, twice")
    where = ("--data-dir", data, "--model", f"replay:{data / 'b.jsonl'}", "--db", data / "r.sqlite", "--json")
    (row,) = json.loads(run("bench", "--suite", "pictures", *where).stdout)
    assert row["benchmark"] == "twice"
    assert BENCHMARKS.position("twice") > BENCHMARKS.position("pope")
