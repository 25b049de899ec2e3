"""Paths in the results file's folder are found again when that is moved; others stay as they are."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from harness.protocols.benchmark import Sample
from harness.protocols.conversation import Image
from harness.store import Store
from harness.store.places import read_path, stored_path
from tests.harness.store.test_store import evaluation


def test_a_moved_folder_takes_its_models_data_and_images_along(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for name in ("model", "data"):
        (old / "artifacts" / name).mkdir(parents=True)
    image = old / "artifacts" / "data" / "a.png"
    image.touch()
    store = Store(old / "r.sqlite")
    store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key="a", config={})
    store.finish_alignment("dpo-s0", status="done", model_dir=str(old / "artifacts" / "model"), seconds=1.0)
    store.save_evaluation(replace(evaluation(), data_dir=str(old / "artifacts" / "data")), [])
    store.save_samples("d", [Sample("s", "?", Image(path=image)), Sample("t", "?")])
    store.close()
    for folder in (old, new):
        if folder == new:
            shutil.move(old, new)
        store = Store(folder / "r.sqlite")
        assert store.alignment("dpo-s0").model_dir == str(folder / "artifacts" / "model")
        assert store.evaluations()[0].data_dir == str(folder / "artifacts" / "data")
        assert [row["image"] for row in store.samples("d")] == [str(folder / "artifacts" / "data" / "a.png"), None]
        store.close()


def test_a_copy_of_the_file_alone_still_finds_what_stayed(tmp_path: Path) -> None:
    (tmp_path / "work" / "model").mkdir(parents=True)
    stored = stored_path(str(tmp_path / "work" / "model"), tmp_path / "work" / "r.sqlite")
    assert read_path(stored, tmp_path / "elsewhere" / "r.sqlite") == str(tmp_path / "work" / "model")
    assert Path(stored) == tmp_path / "work" / "model", "for others it is an absolute path"


def test_paths_elsewhere_and_those_of_older_versions_stay(tmp_path: Path) -> None:
    results = tmp_path / "work" / "r.sqlite"
    for path in ("/data/amber", "", "."):
        assert stored_path(path, results) == path and read_path(path, results) == path
    (tmp_path / "work" / "made-here").mkdir(parents=True)
    assert read_path("made-here", results) == str(tmp_path / "work" / "made-here"), "relative: beside the file"
    assert read_path("gone", results) == "gone"
