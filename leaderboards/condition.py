"""What figures must share to stand in one table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
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
    """The evaluation that stands for each model, by ``key``, under each condition: the last of those given.

    One of which nothing was scored (its endpoint was down) does not stand in place of one with scores.
    """
    grouped: dict[Condition, dict[str, EvaluationRecord]] = defaultdict(dict)
    given = list(evaluations)
    synthetic = _made_up(given)
    for evaluation in given:
        condition = replace(condition_of(evaluation), synthetic=synthetic.get(evaluation.data_key, ""))
        if evaluation.n_scored or key(evaluation) not in grouped[condition]:
            grouped[condition][key(evaluation)] = evaluation
    return grouped


def _made_up(evaluations: Iterable[EvaluationRecord]) -> dict[str, str]:
    """What made-up data are, by their key.

    An old evaluation may not say so. Then another on the same data does, or on data beside them: the embedded world
    keeps its benchmarks in DIR/bench-KEY/report, where no others lie.
    """
    given = list(evaluations)
    said = {e.data_key: str(e.info["synthetic"]) for e in given if "synthetic" in e.info}
    beside = {Path(e.data_dir).parent: said[e.data_key] for e in given if "synthetic" in e.info}
    worlds = {folder: text for folder, text in beside.items() if folder.parent.name.startswith("bench-")}
    of_worlds = {e.data_key: worlds[folder] for e in given if (folder := Path(e.data_dir).parent) in worlds}
    return {**of_worlds, **said}
