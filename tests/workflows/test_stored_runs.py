"""A stored run is the run that is asked for only while its pairs are what they were."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import cli
from aligners.pair_hardness.clip_files import files_hash
from aligners.pairs import data
from aligners.pairs.data import load_pairs
from aligners.training.start_model import start_weights
from harness.errors import UsageError
from harness.protocols.progress import silent
from harness.store import Store
from tests.tiny import picture, tiny_pairs
from workflows.align import resolve_alignment
from workflows.align_spec import AlignSpec
from workflows.stored_runs import finished, with_unique_name


def swap(folder: Path) -> None:
    """Every chosen answer is the rejected one."""
    file = folder / "train.jsonl"
    text = file.read_text().replace('"chosen"', '"x"').replace('"rejected"', '"chosen"').replace('"x"', '"rejected"')
    file.write_text(text)


def repaint(folder: Path) -> None:
    (folder / "images/0.png").write_bytes(picture(77))


def held_out(folder: Path) -> None:
    swap(folder / "heldout")


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlignSpec:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    return resolved(data=tiny_pairs(tmp_path, 4), heldout=tiny_pairs(tmp_path / "heldout", 2))


def resolved(**settings: Any) -> AlignSpec:
    return resolve_alignment({"method": "dpo", "model": "org/m", **settings}, silent)


def stored(folder: Path, spec: AlignSpec, **info: Any) -> Store:
    """A store in which ``spec`` is done, as training records it."""
    store = Store(folder / "r.sqlite")
    log = store.start_alignment(spec.name, method=spec.method, seed=0, panel="", key=spec.key, config=spec.record)
    for part, source in (("data", spec.train.data), ("heldout_data", spec.heldout)):
        read = load_pairs(str(source))
        log.log_info({part: {**read.report, "hash": read.content_hash}})
    log.log_info(info)
    store.finish_alignment(spec.name, status="done", model_dir=str(folder), seconds=1.0)
    return store


def test_a_run_whose_clip_was_exchanged_in_its_place_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's name is the same, so that the settings are; the record of what weighed the pairs is not."""
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    clip = tmp_path / "clip"
    clip.mkdir()
    (clip / "open_clip_config.json").write_text("{}")
    (clip / "open_clip_model.safetensors").write_bytes(b"weights")
    files = tiny_pairs(tmp_path, 4), tiny_pairs(tmp_path / "heldout", 2)
    spec = resolved(data=files[0], heldout=files[1], method="hardness", clip=f"local-dir:{clip}")
    store = stored(tmp_path, spec, hardness={"clip_files": files_hash(f"local-dir:{clip}")})
    assert finished(store, spec) is not None
    (clip / "README.md").write_text("a card changes nothing")
    assert finished(store, spec) is not None
    (clip / "open_clip_model.safetensors").write_bytes(b"others")
    assert finished(store, spec) is None
    with pytest.warns(UserWarning, match=rf"was trained with another CLIP \(local-dir:{clip} changed since"):
        other = with_unique_name(store, spec, named=False, fresh=False)
    assert other.name != spec.name and other.key != spec.key
    shutil.rmtree(clip)
    assert finished(store, spec) is not None, "what is gone cannot be compared"


def test_a_run_from_weights_that_were_exchanged_in_their_folder_is_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's name is the same, so that the settings are; the weights that training started from are not."""
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"weights")
    spec = resolved(data=tiny_pairs(tmp_path, 4), heldout=tiny_pairs(tmp_path / "heldout", 2), model=str(base))
    store = stored(tmp_path, spec, start_weights=start_weights(spec.train))
    (base / "README.md").write_text("a card changes nothing")
    assert finished(store, spec) is not None
    (base / "model.safetensors").write_bytes(b"others!")
    assert finished(store, spec) is None
    with pytest.warns(UserWarning, match=rf"was trained from other weights \({base} changed since"):
        other = with_unique_name(store, spec, named=False, fresh=False)
    assert other.name != spec.name and other.key != spec.key
    with pytest.raises(UsageError, match=r"from other weights .* another --name, or --fresh"):
        with_unique_name(store, spec, named=True, fresh=False)
    stored(tmp_path, other, start_weights=start_weights(other.train))
    with pytest.warns(UserWarning, match=f"this run is called {other.name}"):
        assert with_unique_name(store, spec, named=False, fresh=False) == other
    assert finished(store, other) is not None
    shutil.rmtree(base)
    assert finished(store, spec) is not None, "what is gone cannot be compared"


@pytest.mark.parametrize("change", [swap, repaint, held_out])
def test_a_run_whose_pairs_have_changed_is_another_run(
    tmp_path: Path, spec: AlignSpec, change: Callable[[Path], None]
) -> None:
    store = stored(tmp_path, spec)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.suffix in (".jsonl", ".png")}
    done = finished(store, spec)
    assert done is not None and with_unique_name(store, spec, named=False, fresh=False) == spec

    change(tmp_path)
    assert finished(store, spec) is None
    with pytest.warns(UserWarning, match=rf"{spec.name} was trained on other pairs \(.*train.jsonl changed since"):
        other = with_unique_name(store, spec, named=False, fresh=False)
    assert other.name == f"{spec.name}-{other.key[:6]}" and other.key != spec.key
    with pytest.raises(UsageError, match=r"trained on other pairs .* another --name, or --fresh"):
        with_unique_name(store, spec, named=True, fresh=False)
    assert with_unique_name(store, spec, named=True, fresh=True) == spec
    stored(tmp_path, other)
    with pytest.warns(UserWarning, match=f"this run is called {other.name}"):
        assert with_unique_name(store, spec, named=False, fresh=False) == other
    assert finished(store, other) is not None

    for file, content in before.items():  # as it was
        if "home" not in file.parts:
            file.write_bytes(content)
    assert finished(store, spec) == done


def test_a_finished_run_whose_pairs_are_gone_is_given_and_said_to_be_uncompared(
    tmp_path: Path, spec: AlignSpec
) -> None:
    store = stored(tmp_path, spec)
    Path(spec.train.data).unlink()
    said = rf"{spec.name} is as it was stored; its pairs could not be compared: .*train.jsonl: there is no such file"
    with pytest.warns(UserWarning, match=said):
        assert with_unique_name(store, spec, named=False, fresh=False) == spec
    with pytest.warns(UserWarning, match=said):
        assert finished(store, spec) == store.alignment(spec.name)
    swap(tmp_path / "heldout")
    with pytest.warns(UserWarning, match=said):
        assert finished(store, spec) is None, "the held-out ones are there, and others"


@pytest.mark.parametrize("method", ["dpo", "da-dpo"])
def test_a_column_makes_another_run_where_the_objective_needs_it(tmp_path: Path, spec: AlignSpec, method: str) -> None:
    file = Path(spec.train.data)
    file.write_text(file.read_text().replace('"score"', '"c_rejected": 1, "c_chosen"'))
    spec = resolved(method=method, data=file, heldout=spec.heldout)
    store = stored(tmp_path, spec)
    file.write_text(file.read_text().replace('"c_chosen": 0.25', '"c_chosen": 0.5'))
    assert (finished(store, spec) is None) == (method == "da-dpo")


def test_the_pairs_of_a_stored_run_are_not_read_again_and_the_screen_says_that_nothing_was_trained(
    tmp_path: Path, spec: AlignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored(tmp_path, spec)

    def opened(*_: Any) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(data, "check", opened)
    words = [
        "align",
        "--method",
        "dpo",
        "--model",
        "org/m",
        "--data",
        spec.train.data,
        "--set",
        f"heldout={spec.heldout}",
    ]
    done = CliRunner().invoke(cli.cli, [*words, "--db", str(store.path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert "dpo-s0 was done before, with these settings and pairs: nothing was trained" in done.stdout


def test_an_older_record_says_by_its_hash_whether_the_pairs_are_others(tmp_path: Path, spec: AlignSpec) -> None:
    store = stored(tmp_path, spec)
    info = store.alignment("dpo-s0").info["data"]
    log = store.start_alignment("dpo-s0", method="dpo", seed=0, panel="", key=spec.key, config=spec.record)
    store.finish_alignment("dpo-s0", status="done", model_dir=str(tmp_path), seconds=1.0)
    for dropped, same in (({}, False), ({"no template": {"rows": 1}}, True)):
        old = {name: value for name, value in info.items() if name != "read"}
        log.log_info({"data": {**old, "dropped": dropped}})
        assert finished(store, spec) is not None
        log.log_info({"data": {**old, "hash": "another", "dropped": dropped}})
        assert (finished(store, spec) is not None) == same
