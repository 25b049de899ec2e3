"""A benchmark with an engine of its own: its answers, samples and figures are stored like all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from harness.errors import UsageError
from harness.evaluation.external import run_external, with_numbers
from harness.evaluation.metrics import Scored, summarise
from harness.evaluation.resolve import load
from harness.protocols.benchmark import BENCHMARKS, Decoding, Metric, Sample, Verdict, ratio
from harness.protocols.external import AnswerFunction, ExternalBenchmark, ExternalResult, FigureOf
from harness.store import EvaluationSubject, Store
from tests.harness.evaluation.test_score import Echo


@dataclass(frozen=True, kw_only=True)
class Foreign(ExternalBenchmark):
    """Another engine: an answer is right that names the sample; two tasks come of one name."""

    name: ClassVar[str] = "foreign:both"
    version: ClassVar[str] = "9"

    def run(self, answer: AnswerFunction, root: Path, limit: int | None) -> Sequence[ExternalResult]:
        return [self._task(task, answer, limit) for task in ("one", "two")]

    def _task(self, task: str, answer: AnswerFunction, limit: int | None) -> ExternalResult:
        samples = [Sample(f"{task}{i}", f"Who is {task} {i}?") for i in range(3)][:limit]
        answers = answer(samples, Decoding(max_new_tokens=4))
        answered = []
        for sample in samples:
            text, error = answers[sample.id].text, answers[sample.id].error
            verdict = (
                Verdict({"asked": 1.0, "right": float(text == sample.id)}) if error is None else Verdict({}, error)
            )
            answered.append((sample, text, verdict))
        figure = {"value": 1.0, "low": None, "high": None, "unit": "", "higher_is_better": True}
        return ExternalResult(f"foreign:{task}", "9", "theirs", {"until": "."}, answered, {"acc": figure})

    def stored_metrics(self, samples: Sequence[Sample], figures: Mapping[str, Mapping[str, Any]]) -> list[Metric]:
        return [Metric(name, ratio("right", "asked", 1.0), True, "") for name in figures]


SUBJECT = EvaluationSubject(
    run="r", model="hf:echo", model_key="echo", alignment=None, data_dir=".", settings={}, info={"route": "test"}
)


def test_every_result_is_an_evaluation_whose_figures_can_be_computed_again(tmp_path: Path) -> None:
    store, model = Store(tmp_path / "r.sqlite"), Echo(broken=("two1",))
    one, two = run_external(store, Foreign(), model, SUBJECT, tmp_path)
    assert (one.benchmark, one.n, one.n_scored, one.n_failed, one.version) == ("foreign:one", 3, 3, 0, "9")
    assert (two.benchmark, two.n, two.n_scored, two.n_failed) == ("foreign:two", 3, 2, 1)
    assert one.decoding == {"until": "."} and one.metrics["acc"]["value"] == 1.0
    verdicts = store.verdicts(two.id)
    assert {v.sample_id: v.error for v in verdicts if v.error} == {"two1": "bad image"}
    scored = [Scored(v.sample_id, v.run, v.group, v.counts, v.error) for v in verdicts]
    assert summarise(Foreign().stored_metrics([], two.metrics), scored)["acc"]["value"] == 1.0

    again = Echo()
    run_external(store, Foreign(), again, SUBJECT, tmp_path)
    assert again.asked == ["two1"], "stored answers are used, failed ones are asked again"
    assert len(store.evaluations()) == 2, "an evaluation of the same is replaced"


def test_what_is_not_known_before_it_runs_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"foreign:both: what it asks is known to its own engine only.*--dry-run"):
        load(Foreign(), tmp_path)


def test_tasks_of_lmms_eval_are_found_by_name_without_lmms_eval_being_imported() -> None:
    kind = BENCHMARKS.get("lmms:mme")
    assert issubclass(kind, ExternalBenchmark) and kind.name == "lmms:mme" and kind is BENCHMARKS.get("lmms:mme")
    assert "lmms:mme" in BENCHMARKS and "lmms:mme" not in BENCHMARKS.names() and "lmm:mme" not in BENCHMARKS
    figures = {"mme_score,flexible": {"higher_is_better": True}}
    (metric,) = kind().stored_metrics([], figures)
    scored = [Scored(str(i), 0, "", {"mme_score": v, "scored_mme_score": 1.0}) for i, v in enumerate((1.0, 4.0))]
    assert summarise([metric], scored)["mme_score,flexible"]["value"] == 2.5


def f1(truths: Mapping[str, tuple[str, str]], ids: Sequence[str]) -> float:
    """F1 of "yes" of (truth, said); NaN without any."""
    tp = sum(truths[i] == ("yes", "yes") for i in ids)
    wrong = sum(truths[i][0] != truths[i][1] for i in ids)
    return 2 * tp / (2 * tp + wrong) if tp + wrong else math.nan


def result_of(said: Sequence[tuple[str, str]], figures: Mapping[str, FigureOf], groups: int = 0) -> ExternalResult:
    answered = [
        (Sample(str(i), "?", group=f"g{i % groups}" if groups else ""), pair[1], Verdict({"seen": 1.0}))
        for i, pair in enumerate(said)
    ]
    return ExternalResult("foreign:f1", "1", "theirs", {}, answered, {}, figures)


def numbers(answered: Sequence[tuple[Sample, str | None, Verdict]], name: str) -> list[float]:
    return [verdict.counts[name] for _, _, verdict in answered if name in verdict.counts]


def test_the_numbers_of_a_figure_that_is_no_mean_have_it_for_their_mean_and_its_spread() -> None:
    """F1 of 300 answers, in 200 blocks: their bootstrap is as wide as that of F1 itself over the answers."""
    rng = np.random.default_rng(1)
    truth = rng.random(300) < 0.5
    said = np.where(rng.random(300) < 0.8, truth, ~truth)
    pairs = [("yes" if t else "no", "yes" if s else "no") for t, s in zip(truth, said, strict=True)]
    by_id = {str(i): pair for i, pair in enumerate(pairs)}
    made = with_numbers(result_of(pairs, {"f1": lambda ids: f1(by_id, ids)}))
    values = numbers(made, "f1")
    assert len(values) == 300 and sum(values) / 300 == pytest.approx(f1(by_id, list(by_id)))
    metric = Metric("f1", ratio("f1", "scored_f1", 1.0), True, "")
    row = summarise([metric], [Scored(s.id, 0, s.group, v.counts, v.error) for s, _, v in made])["f1"]
    plain = [f1(by_id, [str(i) for i in rng.integers(0, 300, 300)]) for _ in range(1000)]
    low, high = np.percentile(plain, [2.5, 97.5])
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))
    assert len({sample.group for sample, _, _ in made}) <= 200


def test_of_a_mean_they_are_the_groups_own_means() -> None:
    """Samples 0 to 5 in two groups, by turns: 0, 2, 4 have 0, 1, 1 and the others 1, 1, 1."""
    values = {str(i): value for i, value in enumerate((0.0, 1.0, 1.0, 1.0, 1.0, 1.0))}
    figure = {"mean": lambda ids: sum(values[i] for i in ids) / len(ids)}
    made = with_numbers(result_of([("", "")] * 6, figure, groups=2))
    assert numbers(made, "mean") == pytest.approx([2 / 3, 1, 2 / 3, 1, 2 / 3, 1])


def test_a_figure_that_some_of_the_samples_have_not_gives_no_numbers() -> None:
    """MME's sums need both questions of an image: without one of them there is none."""
    made = with_numbers(result_of([("", "")] * 3, {"pairs": lambda ids: 1.0 if len(ids) == 3 else math.nan}))
    assert numbers(made, "pairs") == [] and numbers(made, "seen") == [1, 1, 1]
