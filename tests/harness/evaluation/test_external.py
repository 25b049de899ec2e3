"""A benchmark with an engine of its own: its answers, samples and figures are stored like all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.errors import UsageError
from harness.evaluation.external import run_external
from harness.evaluation.metrics import Scored, summarise
from harness.evaluation.resolve import load
from harness.protocols.benchmark import BENCHMARKS, Decoding, Metric, Sample, Verdict, ratio
from harness.protocols.external import AnswerFunction, ExternalBenchmark, ExternalResult
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
