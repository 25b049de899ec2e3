"""Where a setting goes: to the dataclass that has it, by its qualified name where several do."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aligners.objective import ALIGNERS
from aligners.pair_hardness.hardness import HardnessConfig
from aligners.training.config import AlignConfig
from benchmarks.pope import Pope
from harness.errors import UsageError
from harness.protocols.benchmark import BENCHMARKS, PARTS
from harness.protocols.progress import silent
from harness.util.options import parse_assignments
from tests.tiny import tiny_pairs
from tinyworld.build import WorldConfig
from workflows.align import OPTIONS, resolve_alignment
from workflows.settings import deal_benchmarks, gather, parts_of_bench, route


@dataclass(frozen=True)
class Train:
    lr: float = 1.0
    warmup: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class Objective:
    beta: float = 0.1
    warmup: int = 10


KINDS: dict[str, type[Any]] = {"train": Train, "objective": Objective}


def dealt(*words: str) -> dict[str, dict[str, Any]]:
    return route(gather(None, parse_assignments(words), {}), KINDS, "align --method x")


def test_a_setting_goes_where_its_name_is_known() -> None:
    assert dealt("lr=2", "beta=0.5") == {"train": {"lr": 2}, "objective": {"beta": 0.5}}


def test_a_qualified_name_goes_where_it_says() -> None:
    assert dealt("train.warmup=0.2", "objective.warmup=5", "train.lr=3") == {
        "train": {"warmup": 0.2, "lr": 3},
        "objective": {"warmup": 5},
    }


def test_a_name_of_two_dataclasses_is_refused_with_both_qualified_names() -> None:
    with pytest.raises(UsageError, match=r"'warmup'.*train\.warmup and objective\.warmup"):
        dealt("warmup=0.2")


def test_what_is_given_later_wins_whether_it_is_qualified_or_not(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("train:\n  lr: 1\nbeta: 1\n")
    settings = gather(tmp_path / "r.yaml", parse_assignments(["lr=2", "objective.beta=2"]), {"seed": 7, "limit": None})
    assert route(settings, KINDS, "align") == {"train": {"lr": 2, "seed": 7}, "objective": {"beta": 2}}
    assert dealt("train.lr=1", "lr=2")["train"] == {"lr": 2}
    assert dealt("lr=2", "train.lr=1")["train"] == {"lr": 1}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("btea=1", r"'btea'\. Did you mean 'beta' \(objective\)\?$"),
        ("warmpu=1", r"Did you mean 'warmup' \(train, objective\)\?$"),
        ("objective.lr=1", r"'objective\.lr'\. Known: objective: beta, warmup\.$"),
        ("train.wramup=1", r"Did you mean 'warmup' \(train\)\?$"),
        ("nonsense=1", r"Known: train: lr, seed, warmup; objective: beta, warmup\.$"),
    ],
)
def test_a_wrong_name_lists_what_is_near_and_its_home(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dealt(word)


@pytest.mark.parametrize("method", ALIGNERS.names())
def test_every_setting_of_our_aligners_has_one_home(method: str) -> None:
    """Recipes, stored records and the README give them unqualified."""
    kinds = (AlignConfig, ALIGNERS.get(method), HardnessConfig, WorldConfig)
    homes = Counter(field.name for kind in kinds for field in dataclasses.fields(kind) if field.init)
    assert [name for name, count in homes.items() if count > 1] == []
    assert set(OPTIONS) <= {field.name for field in dataclasses.fields(AlignConfig)}


def test_the_options_of_align_are_the_trainings_whatever_an_objective_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Seeded(ALIGNERS.get("dpo")):  # type: ignore[misc]
        seed: int = 3
        epochs: int = 5

    monkeypatch.setitem(ALIGNERS._items, "seeded", Seeded)
    files = {"method": "seeded", "model": "org/m", "data": str(tiny_pairs(tmp_path, count=2))}
    spec = resolve_alignment({**files, "seed": 1, "objective.seed": 2, "train.epochs": 4}, silent)
    assert (spec.train.seed, spec.objective.seed) == (1, 2)
    assert (spec.train.epochs, spec.objective.epochs) == (4, 5)
    with pytest.raises(UsageError, match=r"train\.epochs and objective\.epochs"):
        resolve_alignment({**files, "epochs": 2}, silent)


def test_a_benchmarks_setting_goes_to_all_that_have_it_or_to_the_one_named() -> None:
    names = ("amber", "object_halbench")
    both = deal_benchmarks(names, {"decoding.num_beams": 1})
    assert both == {name: {"decoding": {"num_beams": 1}} for name in names}
    one = deal_benchmarks(
        names, {"decoding.num_beams": 1, "amber": {"decoding.num_beams": 2}, "amber.similarity": "exact"}
    )
    assert one["amber"] == {"decoding": {"num_beams": 2}, "similarity": "exact"}
    assert one["object_halbench"] == {"decoding": {"num_beams": 1}}


def test_no_benchmark_has_a_setting_of_a_name_that_is_another_parts() -> None:
    """`--set scoring=rule` of HallusionBench was refused: scoring.NAME is what of an answer is scored."""
    assert set(parts_of_bench()) == set(PARTS)

    @dataclass(frozen=True, kw_only=True)
    class Taken(Pope):
        scoring: str = "rule"

    assert BENCHMARKS.faults(Pope) == []
    assert BENCHMARKS.faults(Taken)[0].startswith("its setting 'scoring' cannot be set")
