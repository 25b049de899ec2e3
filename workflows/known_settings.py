"""Every setting that there is, with its meaning: for docs/settings.md, `list settings` and the help of `align`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.util.documented import Setting, documented
from harness.util.other_names import OTHER_NAMES

COMMON = (
    "lr",
    "epochs",
    "batch_size",
    "micro_batch",
    "max_length",
    "lora_rank",
    "lora_alpha",
    "quantize",
    "dtype",
    "gradient_checkpointing",
)
"""What people change most in an alignment, beside its objective's beta."""


@dataclass(frozen=True)
class Section:
    """Settings that are given in one place.

    Args:
        title: what they are of.
        part: what stands before the dot where a name alone is not enough: "train" of train.lr; "" for none.
        how: where they are given, in a sentence.
        settings: each with who has it ("dpo, dama"; "" for all).
        alone: whether a name is enough, without the part's.
    """

    title: str
    part: str
    how: str
    settings: tuple[tuple[Setting, str], ...]
    alone: bool = False

    def names_elsewhere(self, name: str) -> list[str]:
        """What a setting is called in other tools."""
        ours = {f"{self.part}.{name}", *([name, f"--{name}"] if self.alone or "." in name else [])}
        return [other for other, answer in OTHER_NAMES.items() if ours & set(answer.names)]


def sections() -> list[Section]:
    """All of them: of align, of bench, of the judge, of each benchmark, and the keys of the YAML files."""
    return [*_of_align(), *_of_bench(), *_of_files()]


def common() -> list[Setting]:
    """The settings of a training that people change most; imports no torch, as the help of a command must not."""
    from aligners.training.config import AlignConfig

    known = {setting.name: setting for setting in documented(AlignConfig)}
    return [known[name] for name in COMMON]


def _section(title: str, part: str, how: str, kind: type[Any], *, alone: bool = False) -> Section:
    return Section(title, part, how, tuple((setting, "") for setting in documented(kind)), alone)


def _of_align() -> list[Section]:
    from aligners.objective import ALIGNERS
    from harness.models.settings import LoadSettings
    from tinyworld.build import WorldConfig
    from workflows.align import RunSettings, kinds_of

    def how(part: str) -> str:
        return f"`align --set NAME=VALUE` or `{part}.NAME=VALUE`, or a line of a recipe."

    titles = {"train": "Training", "hardness": "Hardness", "world": "Embedded world"}
    parts = {part: kind for part, kind in kinds_of("dpo").items() if part != "objective"}
    parts["world"] = WorldConfig
    first, *rest = (_section(titles.get(p, p), p, how(p), kind, alone=True) for p, kind in parts.items())
    names = sorted(ALIGNERS.names(), key=lambda name: (ALIGNERS.position(name), name))
    shared = _shared({name: ALIGNERS.get(name) for name in names})
    objectives = Section("Objective", "objective", how("objective"), shared, alone=True)
    run = "An option of `align`, a `--set NAME=VALUE` or a line of a recipe."
    own = tuple(item for item in first.settings if not item[0].name.startswith("prompt."))
    asked = _section(
        "How the model is asked", "model", "`align --set model.NAME=VALUE`, the same as of bench.", LoadSettings
    )
    return [
        _section("Run", "", run, RunSettings, alone=True),
        replace(first, settings=own),
        asked,
        objectives,
        *rest,
    ]


def _of_bench() -> list[Section]:
    from harness.evaluation.spoken import ScoringSettings
    from harness.judges.registry import JUDGES
    from harness.models.spec import MODELS
    from harness.protocols.benchmark import BENCHMARKS

    models = {kind.form.partition(":")[0]: kind.settings for _, kind in MODELS.items() if kind.settings}
    judges = {name: kind.Settings for name, kind in JUDGES.items() if kind.Settings}
    of_scoring = "`--set scoring.NAME=VALUE` of bench and score."
    of_model = "`bench --set model.NAME=VALUE`."
    of_judge = "`--set judge.NAME=VALUE` of bench and score."
    of_benchmark = "`--set NAME=VALUE` of bench and score, for one benchmark of several `--set BENCHMARK.NAME=VALUE`."
    return [
        *(Section(f"Model {names}", "model", of_model, rows) for names, rows in _grouped(models)),
        *(Section(f"Judge {names}", "judge", of_judge, rows) for names, rows in _grouped(judges)),
        _section("Scoring", "scoring", of_scoring, ScoringSettings),
        *(
            _section(f"Benchmark {name}", name, of_benchmark, BENCHMARKS.get(name))
            for name in sorted(BENCHMARKS.names(), key=lambda name: (BENCHMARKS.position(name), name))
            if documented(BENCHMARKS.get(name))
        ),
    ]


def _of_files() -> list[Section]:
    from harness.chat.prices import Price
    from workflows.ablation import Ablation, Method, Panel
    from workflows.suites import Member, SuiteFile

    return [
        _section("Recipe of ablate", "", "Keys of the YAML file of `ablate --recipe` and `demo --recipe`.", Ablation),
        _section("Row of methods", "", "Keys of a row of its `methods`.", Method),
        _section("Row of panels", "", "Keys of a row of its `panels`.", Panel),
        _section("Suite", "", "Keys of the YAML file of `bench --suite`.", SuiteFile),
        _section("Row of a suite", "", "Keys of a row of its `benchmarks`.", Member),
        _section("Price", "", "Keys of a model in the YAML file of `--prices`.", Price),
    ]


def _shared(kinds: Mapping[str, type[Any]]) -> tuple[tuple[Setting, str], ...]:
    """The settings of several dataclasses, each once, with the names of those that have it so; "" for all."""
    owners: dict[Setting, list[str]] = {}
    for name, kind in kinds.items():
        for setting in documented(kind):
            owners.setdefault(setting, []).append(name)
    return tuple((s, "" if len(names) == len(kinds) else ", ".join(names)) for s, names in owners.items())


def _grouped(kinds: Mapping[str, type[Any]]) -> Iterable[tuple[str, tuple[tuple[Setting, str], ...]]]:
    """(the names of those that share a dataclass, its settings)."""
    for kind in dict.fromkeys(kinds.values()):
        names = [f"`{name}:`" for name, each in kinds.items() if each is kind]
        yield " and ".join(names), tuple((setting, "") for setting in documented(kind))
