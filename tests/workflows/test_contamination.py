"""`contamination`: counts of what pairs and benchmarks share, and the mark of the runs that were trained on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import dama
from aligners.pairs.data import load_pairs
from cli import cli
from harness.errors import DataError, UsageError
from harness.protocols.benchmark import Verdict
from harness.store import Store
from leaderboards.formats.data import records
from leaderboards.formats.latex import latex
from leaderboards.formats.markdown import markdown
from leaderboards.rows import build_tables
from leaderboards.snapshot import Snapshot
from tests.benchmarks.conftest import write_jsonl
from tests.harness.util.test_likeness import encoded, picture
from tests.leaderboards.fakes import add

IMAGES = 6


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Pairs of pictures 4 to 9, of which the benchmark has 4 and 5; one more of picture 5; a row without an answer."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    rows: list[dict[str, str]] = []
    for i in (*range(4, 10), 5):
        (folder / f"{i}.jpg").write_bytes(encoded(picture(i), "JPEG"))
        answers = {"chosen": f"a cat {len(rows)}", "rejected": "a dog"}
        rows.append({"idx": str(len(rows)), "image": f"{i}.jpg", "question": "What?", **answers})
    write_jsonl(folder / "pairs.jsonl", [*rows, {"idx": "x", "image": "4.jpg", "question": "What?", "chosen": "a"}])
    return folder / "pairs.jsonl"


@pytest.fixture
def pope(tmp_path: Path) -> Path:
    """Two questions in each split about each of pictures 0 to 5, the last of which is not there."""
    folder = tmp_path / "data/pope"
    (folder / "val2014").mkdir(parents=True)
    for i in range(IMAGES - 1):
        (folder / f"val2014/{i}.png").write_bytes(encoded(picture(i)))
    rows = [
        {"question_id": 2 * i + k, "image": f"{i}.png", "text": f"Is there a {what}?", "label": "no"}
        for i in range(IMAGES)
        for k, what in enumerate(("dog", "cat"))
    ]
    for split in ("random", "popular", "adversarial"):
        write_jsonl(folder / f"coco_pope_{split}.json", rows)
    return folder


def trained(store: Store, name: str, pairs: Path, limit: int | None = None, parent: str | None = None) -> None:
    """A finished run of ``pairs``, as `align` records it."""
    read = load_pairs(pairs, limit, skip_bad=True).report
    config = {"data": str(pairs), "limit": limit}
    store.start_alignment(name, method=name, seed=0, panel="", key=name, config=config)
    store.note_alignment(name, {"data": read, "lineage": {"parent": parent, "base": "m", "adapters": []}})
    store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)


def marks(db: Path) -> dict[str, int | None]:
    """By run what its row says."""
    tables = build_tables(Snapshot(Store(db)))
    return {row.runs[0]: row.trained_on for table in tables for row in table.rows}


def evaluated(store: Store, run: str, pope: Path, synthetic: str = "") -> None:
    """An evaluation on the questions of the random split."""
    from harness.evaluation.resolve import data_key, load, make_benchmark

    samples = [s for s in load(make_benchmark("pope"), pope).samples if s.id.startswith("random")]
    key = data_key("pope", samples)
    store.save_samples(key, samples)
    verdicts = {s.id: Verdict({"random_no_no": 1.0}) for s in samples}
    info = {"synthetic": synthetic} if synthetic else {}
    add(store, run, verdicts, benchmark="pope", data_key=key, metrics={}, info=info)


def test_what_is_shared_is_counted_by_kind_and_listed(pairs: Path, pope: Path, tmp_path: Path) -> None:
    """Picture 4 is a JPEG of the PNG: alike. Picture 5 is not there: nothing says what it shows."""
    command = ["contamination", str(pairs), "--data-dir", str(pope.parent), "--db", str(tmp_path / "none.sqlite")]
    done = CliRunner().invoke(cli, [*command, "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    counts = {"pairs": 7, "pair_images": 6, "questions": 36, "images": 6, "absent": 1, "shared": 1, "sharing_pairs": 1}
    counts |= {"by_coco": 0, "by_file": 0, "by_look": 1, "by_name": 0, "shared_questions": 6}
    assert {name: found[name] for name in counts} == counts and found["runs"] == {}
    (match,) = found["matches"]
    assert match["image"] == str(pope / "val2014/4.png") and match["pairs"] == ["0"] and match["how"] == ["look"]
    assert sorted(match["samples"]) == sorted(f"{split}:{n}" for split in ("random", "popular", "adversarial")
                                              for n in (8, 9))  # fmt: skip
    assert not (tmp_path / "none.sqlite").exists()
    shown = CliRunner().invoke(cli, command)
    assert "val2014/4.png" in shown.stdout.replace("\n", "") and "1 of 6 images are not there" in shown.stderr


def test_rows_that_are_not_compared_are_counted_beside_what_is_shared(pairs: Path, pope: Path, tmp_path: Path) -> None:
    """Of the pairs' files 4.jpg, which the benchmark has, is gone: its pair is no clean one, it is left out."""
    (pairs.parent / "4.jpg").unlink()
    command = ["contamination", str(pairs), "--data-dir", str(pope.parent), "--db", str(tmp_path / "none.sqlite")]
    command += ["--benchmark", "pope", "--benchmark", "pope"]
    done = CliRunner().invoke(cli, [*command, "--json"])
    (found,) = json.loads(done.stdout)  # named twice it is one benchmark
    assert (found["pairs"], found["shared"]) == (6, 0)
    reasons = [(why.partition(". ")[0], rows) for why, rows in found["left_out"].items()]
    assert sorted(reasons) == [("image: no such file, and not base64", 1), ("no rejected", 1)]
    shown = " ".join(CliRunner().invoke(cli, command).stdout.split())
    assert "Rows of the pairs that are not compared: 1, image: no such file, and not base64; 1, no rejected" in shown


def test_a_run_trained_on_them_is_marked_in_every_table(pairs: Path, pope: Path, tmp_path: Path) -> None:
    """Picture 5 has come: two are shared. "part" saw the first pair alone, "child" started from "whole" on others."""
    (pope / "val2014/5.png").write_bytes(encoded(picture(5)))
    other = tmp_path / "other.jsonl"
    write_jsonl(other, [{"image": str(pope / "val2014/0.png"), "question": "?", "chosen": "a", "rejected": "b"}])
    store = Store(db := tmp_path / "r.sqlite")
    trained(store, "whole", pairs)
    trained(store, "part", pairs, limit=1)
    trained(store, "child", other, parent="whole")
    for run in ("whole", "part", "child", "base"):
        evaluated(store, run, pope)
    assert {*marks(db).values()} == {None}
    found = dama.contamination(pairs, data_dir=pope.parent, db=db, progress=False)
    assert found[0].runs == {"whole": 2, "part": 1} and found[0].by == {"coco": 0, "file": 0, "look": 2, "name": 0}
    assert marks(db) == {"whole": 2, "part": 1, "child": 2, "base": None}
    tables = build_tables(Snapshot(Store(db)))
    assert {r["n_images_trained_on"] for r in records(tables)} == {2, 1, None}
    for text in (markdown(tables), latex(tables)):
        assert "Trained on images of the benchmark" in text
    assert "12/12 (2 images trained on)" in markdown(tables)


def test_other_data_of_the_same_names_is_not_marked(pairs: Path, pope: Path, tmp_path: Path) -> None:
    """What is made up has other pictures under the benchmark's names."""
    store = Store(db := tmp_path / "r.sqlite")
    trained(store, "whole", pairs)
    evaluated(store, "whole", pope, synthetic="made up")
    dama.contamination(pairs, benchmark="pope", data_dir=pope, db=db, progress=False)
    assert {*marks(db).values()} == {None}


def test_a_run_whose_pairs_have_changed_is_not_marked(pairs: Path, pope: Path, tmp_path: Path) -> None:
    store = Store(db := tmp_path / "r.sqlite")
    trained(store, "whole", pairs)
    lines = pairs.read_text().splitlines()
    pairs.write_text("\n".join(lines[1:]) + "\n")
    with pytest.warns(UserWarning, match="whole is not marked: .* holds other pairs now"):
        found = dama.contamination(pairs, benchmark="pope", data_dir=pope, db=db, progress=False)
    assert found[0].runs == {} and "trained_on" not in Store(db).alignment("whole").info


def test_pairs_that_are_not_there_are_said_before_a_world_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    with pytest.raises(DataError, match=r"missing\.jsonl: there is no such file"):
        dama.contamination(tmp_path / "missing.jsonl", progress=False, db=tmp_path / "r.sqlite")
    assert not list((tmp_path / "home").glob("tinyworld/*"))


def test_what_cannot_be_compared_is_refused(pairs: Path, pope: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name the benchmark with --benchmark"):
        dama.contamination(pairs, data_dir=pope, progress=False)
    with pytest.raises(UsageError, match="another package's"):
        dama.contamination(pairs, benchmark="lmms:mmstar", data_dir=pope, progress=False)
    with pytest.raises(UsageError, match="Unknown setting"):
        dama.contamination(pairs, benchmark="pope", data_dir=pope, settings={"imageroot": "x"}, progress=False)
