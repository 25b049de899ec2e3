"""The embedded world is known where it is met, and is said to be what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from aligners.training.model_card import write_card
from commands.align import next_command
from tinyworld.build import README, SYNTHETIC
from workflows.embedded import is_embedded, is_embedded_model, mark_card, synthetic, unbuilt
from workflows.results import AlignResult


def aligned(model: str) -> AlignResult:
    return AlignResult("mine", "dpo", 0, Path("m"), 1.0, {"model": model}, {}, ())


def test_the_next_command_names_the_users_own_data_unless_the_model_is_the_embedded_worlds() -> None:
    own = next_command(aligned("org/llava"), "results.sqlite")
    assert own == "python cli.py bench --suite hallucination --model run:mine --data-dir DIR --judge openai:NAME"
    embedded = next_command(aligned("/gone/artifacts/tinyworld/base-0123"), "other.sqlite")
    assert embedded == "python cli.py bench --suite hallucination --model run:mine --db other.sqlite"


def test_a_model_card_says_that_the_model_is_the_embedded_worlds(tmp_path: Path) -> None:
    record = {"model": "base", "method": "dpo", "steps": 1, "batch_size": 2, "seed": 0, "seconds": 1.0, "objective": {}}
    write_card(tmp_path, {**record, "data": {"pairs": 2, "source": "p", "hash": "h", "dropped": {}}}, [])
    before = (tmp_path / "README.md").read_text()
    mark_card(tmp_path)
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert f"Of the {SYNTHETIC}." in lines[: lines.index("## Recipe")]
    assert [line for line in lines if line and line != f"Of the {SYNTHETIC}."] == [*filter(None, before.splitlines())]


def test_data_are_the_embedded_worlds_where_its_truth_or_its_readme_lies(tmp_path: Path) -> None:
    for name, text in (("truth.jsonl", ""), ("README.md", README)):
        folder = tmp_path / name.lower()
        folder.mkdir()
        assert synthetic(folder) == {}
        (folder / name).write_text(text)
        assert synthetic(folder) == {"synthetic": SYNTHETIC}
    for other in ("# My data\n", "", f"Not the {SYNTHETIC}\n"):
        (folder / "README.md").write_text(other)
        assert not is_embedded(folder)


def test_every_benchmark_of_a_world_of_an_earlier_version_is_known_and_no_folder_beside_it(tmp_path: Path) -> None:
    pope, halbench = (tmp_path / "bench-01/report" / name for name in ("pope", "object_halbench"))
    for folder in (pope, halbench):
        folder.mkdir(parents=True)
    assert not is_embedded(pope)
    (halbench / "truth.jsonl").touch()
    assert is_embedded(pope)
    (halbench / "truth.jsonl").unlink()
    (pope.parents[1] / "README.md").write_text(README)
    assert is_embedded(pope) and not is_embedded(pope.parent) and not is_embedded(pope.parent / "absent")
    own = tmp_path / "own/pope"
    own.mkdir(parents=True)
    (tmp_path / "own/object_halbench").mkdir()
    (tmp_path / "own/object_halbench/truth.jsonl").touch()  # a benchmark of the world, copied beside real data
    assert not is_embedded(own)


def test_what_is_no_models_directory_is_not_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("[]")
    for source in ("org/llava", str(tmp_path), "hf:org/llava", str(tmp_path / "absent")):
        assert not is_embedded_model(source)
    monkeypatch.setenv("DAMA_HOME", str(tmp_path))
    assert unbuilt(str(tmp_path / "config.json"), str(tmp_path / "tinyworld/base-1"), "org/llava") == [
        str(tmp_path / "tinyworld/base-1")
    ]
