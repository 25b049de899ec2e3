"""What figures must share to stand in one table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from harness.models.settings import HfSettings, PromptSettings
from harness.store import EvaluationRecord

PROMPT = frozenset(f.name for f in fields(PromptSettings))
SETTINGS = {f.name: f.default for f in fields(HfSettings) if f.name in {*PROMPT, "dtype", "quantization"}}
SETTINGS["extra_body"] = None
"""The settings of models that change answers, with their defaults. Others say where and how fast they are computed."""


@dataclass(frozen=True)
class Condition:
    """What all rows of a table share: figures of different judges, versions, data, decodings, prompts are never mixed.

    ``asked``: the settings of the models that change answers (``asked_of``).
    ``synthetic`` says of made-up data what they are; "" for others. It follows from the data and distinguishes nothing.
    """

    benchmark: str
    version: str
    mode: str
    judge: str
    data_hash: str
    decoding: tuple[tuple[str, str], ...]
    asked: tuple[tuple[str, str], ...] = ()
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
    synthetic = str(e.info.get("synthetic", ""))
    return Condition(e.benchmark, e.version, e.mode, e.judge, e.data_key, decoding, asked_of(e), synthetic)


def asked_of(evaluation: EvaluationRecord) -> tuple[tuple[str, str], ...]:
    """The settings, by name, that give a model other answers than its own way of being loaded and asked.

    How it was trained to be asked counts whether the user repeats it or not. What the user sets for a row that he named
    (`--name`) is what the name stands for, so that it stands beside the others.
    """
    given = evaluation.info.get("loading", {})
    asked = {name: value for name, value in given.items() if name in SETTINGS and value not in (None, SETTINGS[name])}
    asked = {name: value for name, value in asked.items() if name not in PROMPT} | evaluation.info.get(
        "asked", {name: value for name, value in asked.items() if name in PROMPT}
    )
    if evaluation.info.get("named"):
        asked = {name: value for name, value in asked.items() if name not in given}
    texts = {name: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for name, v in asked.items()}
    return tuple(sorted(texts.items()))


def newest(
    evaluations: Iterable[EvaluationRecord], key: Callable[[EvaluationRecord], str]
) -> dict[Condition, dict[str, EvaluationRecord]]:
    """The evaluation that stands for each model, by ``key``, under each condition: the last of those given, unless it
    is poorer than the one before.
    """
    grouped: dict[Condition, dict[str, EvaluationRecord]] = defaultdict(dict)
    for evaluation in evaluations:
        rows = grouped[condition_of(evaluation)]
        before = rows.get(key(evaluation))
        if before is None or not _poorer(evaluation, before):
            rows[key(evaluation)] = evaluation
    return grouped


def _poorer(evaluation: EvaluationRecord, before: EvaluationRecord) -> bool:
    """Whether it has no scores (its endpoint was down), or lacks some and has fewer than ``before`` of one model."""
    fewer = evaluation.n_scored < min(evaluation.n, before.n_scored) and evaluation.model_key == before.model_key
    return fewer or not evaluation.n_scored


def marked(evaluations: Iterable[EvaluationRecord]) -> list[EvaluationRecord]:
    """All evaluations of a store, those on made-up data with what these are, which old ones do not say."""
    given = list(evaluations)
    said = _made_up(given)
    return [replace(e, info={**e.info, "synthetic": said[e.data_key]}) if e.data_key in said else e for e in given]


def _made_up(evaluations: Sequence[EvaluationRecord]) -> dict[str, str]:
    """What made-up data are, by their key.

    An old evaluation may not say so. Then another on the same data does, or on data beside them: the embedded world
    keeps its benchmarks in DIR/bench-KEY/report, where no others lie.
    """
    said = {e.data_key: str(e.info["synthetic"]) for e in evaluations if "synthetic" in e.info}
    beside = {Path(e.data_dir).parent: said[e.data_key] for e in evaluations if "synthetic" in e.info}
    worlds = {folder: text for folder, text in beside.items() if folder.parent.name.startswith("bench-")}
    of_worlds = {e.data_key: worlds[folder] for e in evaluations if (folder := Path(e.data_dir).parent) in worlds}
    return {**of_worlds, **said}
