"""What figures must share to stand in one table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from harness.store import EvaluationRecord


@dataclass(frozen=True)
class Condition:
    """What all rows of a table share: figures of different judges, versions, data or decodings are never mixed.

    ``synthetic`` says of made-up data what they are; "" for others. It follows from the data and distinguishes nothing.
    """

    benchmark: str
    version: str
    mode: str
    judge: str
    data_hash: str
    decoding: tuple[tuple[str, str], ...]
    synthetic: str = field(default="", compare=False, repr=False)

    @property
    def eos_bias(self) -> float:
        """The bias on the end-of-sequence logit; tables where it is not 0 are points of the coverage curve."""
        return float(dict(self.decoding).get("eos_bias", "0"))

    @property
    def unbiased(self) -> Condition:
        """What all points of a coverage curve share."""
        return replace(self, decoding=tuple(item for item in self.decoding if item[0] != "eos_bias"))


def condition_of(evaluation: EvaluationRecord) -> Condition:
    """The condition an evaluation was made under."""
    decoding = tuple(sorted((name, str(value)) for name, value in evaluation.decoding.items()))
    e = evaluation
    return Condition(e.benchmark, e.version, e.mode, e.judge, e.data_key, decoding, str(e.info.get("synthetic", "")))


def newest(
    evaluations: Iterable[EvaluationRecord], key: Callable[[EvaluationRecord], str]
) -> dict[Condition, dict[str, EvaluationRecord]]:
    """The evaluation that stands for each model, by ``key``, under each condition: the last of those given."""
    grouped: dict[Condition, dict[str, EvaluationRecord]] = defaultdict(dict)
    given = list(evaluations)
    synthetic = {e.data_key: str(e.info["synthetic"]) for e in given if "synthetic" in e.info}
    for evaluation in given:  # an old evaluation of the same data may not say what they are
        condition = replace(condition_of(evaluation), synthetic=synthetic.get(evaluation.data_key, ""))
        grouped[condition][key(evaluation)] = evaluation
    return grouped
