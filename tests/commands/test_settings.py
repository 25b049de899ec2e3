"""From a recipe, `--set` and options to settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from workflows.settings import deal_benchmarks, gather, route


@dataclass(frozen=True, kw_only=True)
class One:
    rate: float = 1.0
    shared: int = 0


@dataclass(frozen=True, kw_only=True)
class Other:
    size: int = 1
    shared: int = 0


def test_an_option_outranks_an_assignment_and_that_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("beta: 0.1\nseed: 1\nkeep: 0.5\n")
    settings = gather(tmp_path / "r.yaml", {"beta": 0.2, "seed": 2}, {"seed": 3, "method": None})
    assert settings == {"beta": 0.2, "seed": 3, "keep": 0.5}


def test_a_setting_goes_where_its_name_is_known() -> None:
    kinds: dict[str, type[Any]] = {"one": One, "other": Other}
    assert route({"rate": 2.0, "size": 3}, kinds, "these") == {"one": {"rate": 2.0}, "other": {"size": 3}}
    assert route({"shared": 1}, kinds, "these", everywhere=True) == {"one": {"shared": 1}, "other": {"shared": 1}}
    with pytest.raises(UsageError, match=r"rat.*Did you mean 'rate'"):
        route({"rat": 2.0}, kinds, "these")


def test_settings_reach_every_benchmark_that_has_them_and_outrank_defaults() -> None:
    dealt = deal_benchmarks(["amber", "mmhal", "llava_bench"], {"attempts": 4}, {"attempts": 3, "similarity": "exact"})
    assert dealt == {"amber": {"similarity": "exact"}, "mmhal": {"attempts": 4}, "llava_bench": {"attempts": 4}}
    with pytest.raises(UsageError, match="Unknown setting of these benchmarks 'similarty'"):
        deal_benchmarks(["amber"], {"similarty": "exact"})
