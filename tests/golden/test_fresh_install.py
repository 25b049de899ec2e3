"""A fresh install: no official prompt, no tagger but the word list. Every official figure is by the rules only."""

from __future__ import annotations

import shutil
from pathlib import Path

import nltk
import pytest

from benchmarks.common import taggers
from commands.ablate import _show
from harness.evaluation.resolve import load, make_benchmark
from harness.protocols.official import is_official, level
from harness.store import Store
from leaderboards.formats.data import records
from tests.golden.test_golden import HERE, score
from workflows.report import leaderboard_view

WITH_PARTS = ("amber", "chair_coco", "object_halbench", "mmhal", "mm_vet", "llava_bench", "hallusion_bench")
"""The benchmarks whose official figures rest on a tagger, a list or a prompt; those of the others on rules alone."""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nltk.data, "path", [])
    monkeypatch.setattr(taggers, "spacy_model", lambda: None)


def test_every_benchmark_says_that_its_official_figures_follow_the_rules_only(tmp_path: Path) -> None:
    settings = {"chair_coco": {"images": 8}}
    folders = {name: HERE / name / "data" for name in (*WITH_PARTS, "pope", "dash_b")}
    folders["llava_bench"] = shutil.copytree(
        folders["llava_bench"], tmp_path / "llava_bench", ignore=shutil.ignore_patterns("rule.json")
    )
    made = {name: load(make_benchmark(name, settings.get(name)), folder) for name, folder in folders.items()}
    assert {name: level(data.info) for name, data in made.items()} == {
        **dict.fromkeys(WITH_PARTS, "rules"),
        **dict.fromkeys(("pope", "dash_b"), "full"),
    }


def test_every_official_figure_is_marked_and_the_demonstration_names_its_tagger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score(tmp_path, "amber")
    score(tmp_path, "mmhal", code=3)
    view = leaderboard_view(Store(tmp_path / "r.sqlite"))
    marks = {(r["benchmark"], r["official"]) for r in records(view.full_tables) if is_official(r["metric"])}
    assert marks == {("amber", "rules"), ("mmhal", "rules")}

    capsys.readouterr()
    _show(view, str(tmp_path / "r.sqlite"), [])
    said = " ".join(capsys.readouterr().out.split())
    assert "tagger=lexicon-pluralizer" in said
    assert "amber: official_* figures follow the official rules only: nouns: lexicon-pluralizer (officially" in said
