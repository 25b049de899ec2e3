"""What is in the key of an alignment."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from aligners.mdpo import Mdpo
from aligners.objective import Objective
from aligners.pairs import corruption
from workflows.align_spec import AlignSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foreign(Objective):
    """An aligner of another package, which takes the masks as they come."""

    name: ClassVar[str] = "foreign"
    needs: ClassVar[frozenset[str]] = frozenset({"reference", "corrupted:mask"})


def key(objective: Objective) -> str:
    """Of a run that differs from others in its objective alone; any dataclass stands for the other settings."""
    return AlignSpec("a", "a", "a", "", objective, objective, objective, None).key


def test_other_masks_are_another_run_of_an_objective_without_settings_of_its_own_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = dataclasses.replace(Foreign(), beta=0.2)
    before = key(plain), key(Mdpo())
    monkeypatch.setattr(corruption, "VERSION", corruption.VERSION + 1)
    assert key(plain) != before[0]
    assert key(Mdpo()) == before[1], "what mdpo's crop keeps stands in its settings, and so in its key"
