"""Directories, splits, folders of save_to_disk and the hub's reader; images by URL; several processes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import pytest

from aligners.pairs.data import load_pairs
from aligners.pairs.reading import Reading
from aligners.pairs.sources import of_hub, open_rows
from harness.errors import DataError
from harness.util.other_kind import LFS
from tests.tiny import picture

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(picture(1))
    return tmp_path


def row(chosen: str, **more: Any) -> dict[str, Any]:
    return {"image": "a.png", "question": "what ?", "chosen": chosen, "rejected": "no", **more}


def lines(file: Path, *rows: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return file


def answers(source: str | Path, **reading: Any) -> list[str]:
    return [pair.chosen for pair in load_pairs(source, reading=Reading(**reading)).pairs]


def test_a_directory_is_all_its_files_and_several_sources_are_read_one_after_the_other(folder: Path) -> None:
    one = lines(folder / "part-0.jsonl", row("0"))
    two = lines(folder / "part-1.jsonl", row("1"))
    (folder / "dataset_infos.json").write_text("{}")
    assert answers(folder) == ["0", "1"]
    assert answers(f"{two},{one}") == ["1", "0"]
    (folder / "more.json").write_text("[]")
    with pytest.raises(DataError, match=r"holds \.json and \.jsonl files: which are the pairs\?"):
        answers(folder)


def test_of_files_that_name_their_split_one_split_is_read_and_the_others_are_named(folder: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        lines(folder / f"{name}.jsonl", row(name, image=str(folder / "a.png")))
    lines(folder / "validation/part.jsonl", row("validation", image=str(folder / "a.png")))
    loaded = load_pairs(folder)
    assert [pair.chosen for pair in loaded.pairs] == ["train-00000-of-00002", "train-00001-of-00002"]
    assert loaded.report["notes"] == ["split train (not test, validation)"]
    assert answers(folder, split="validation") == ["validation"]
    with pytest.raises(DataError, match=r"no split 'dev'; its splits: test, train, validation"):
        answers(folder, split="dev")
    for file in folder.glob("train*"):
        file.unlink()
    with pytest.raises(DataError, match=r"its splits are test, validation: set split= to one of them"):
        answers(folder)
    with pytest.raises(DataError, match=r"its only split is test: set split=test if you mean to train on it"):
        (folder / "validation/part.jsonl").unlink()
        answers(folder)


def test_where_one_of_several_numbered_files_lacks_the_folder_is_refused(folder: Path) -> None:
    """As a download that broke off leaves them, or one that is still going on."""
    files = [lines(folder / f"data/train-{n:05d}-of-00003-abc.jsonl", row(str(n))) for n in (0, 2)]
    with pytest.raises(DataError, match=r"data/train: 2 of 3 files are there"):
        answers(folder)
    assert answers(",".join(map(str, files)), image_root=str(folder)) == ["0", "2"]


def test_folders_of_save_to_disk_and_what_the_hub_gives(folder: Path) -> None:
    features = datasets.Features(
        {"image": datasets.Image(), **{name: datasets.Value("string") for name in ("question", "chosen", "rejected")}}
    )
    rows = [row(str(number), image={"bytes": picture(1), "path": "a.png"}) for number in range(3)]
    table = datasets.Dataset.from_list(rows, features=features)
    both = datasets.DatasetDict(train=table.select([0, 1]), test=table.select([2]))
    table.save_to_disk(folder / "one", num_shards=2)
    both.save_to_disk(folder / "both")
    assert answers(folder / "one") == ["0", "1", "2"]
    assert answers(folder / "both") == ["0", "1"] and answers(folder / "both", split="test") == ["2"]
    assert answers(folder / "one/data-00000-of-00002.arrow") == ["0", "1"]

    for split, part in both.items():  # as push_to_hub lays it out; the hub's own reader finds the splits
        part.to_parquet(folder / f"hub/data/{split}-00000-of-00001.parquet")
    opened = of_hub(str(folder / "hub"), "", "")
    assert opened.notes == ("split train (not test)",)
    assert [(place.name.rpartition(", ")[2], each["chosen"]) for place, each in opened.rows] == [
        ("row 0", "0"),
        ("row 1", "1"),
    ]
    image = next(iter(of_hub(str(folder / "hub"), "test", "").rows))[1]["image"]
    assert image["bytes"] == picture(1), "the hub's images are kept as they are encoded"
    with pytest.raises(DataError, match="no such file, and the hub did not give such a data set"):
        answers("nobody/nothing")


class Counting(SimpleHTTPRequestHandler):
    """A web server's own code over a folder; counts what is asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = partial(type("Handler", (Counting,), {"asked": asked}), directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


def test_images_by_url_are_downloaded_once_and_what_is_not_there_is_left_out(
    folder: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, asked = server
    file = lines(folder / "private.jsonl", row("private", image=f"{url}/a.png"))
    with pytest.raises(DataError, match=r"127\.0\.0\.1, which is not of the public internet"):
        load_pairs(file, reading=Reading(image_urls=True))
    assert asked == []
    monkeypatch.setattr("harness.util.hosts.is_public", lambda address: True)
    rows = [row(str(number), image=f"{url}/a.png") for number in range(9)]
    file = lines(folder / "pairs.jsonl", *rows, row("gone", image=f"{url}/b.png"))
    loaded = load_pairs(file, skip_bad=True, reading=Reading(image_urls=True))
    assert len(loaded.pairs) == 9 and asked.count("/a.png") == 1
    assert loaded.pairs[0].image_bytes() == picture(1)
    assert loaded.report["dropped"]["the image could not be downloaded"]["rows"] == 1
    lines(folder / "again.jsonl", *rows)
    load_pairs(folder / "again.jsonl", reading=Reading(image_urls=True))
    assert asked.count("/a.png") == 1, "another data set finds it"
    kept = loaded.pairs[0].images[0].path
    assert kept is not None
    kept.write_bytes(picture(1)[:60])
    monkeypatch.setattr("aligners.pairs.images._FOUND", set())  # as of another process
    with pytest.warns(UserWarning, match="is damaged .*: it is thrown away and made anew"):
        again = load_pairs(folder / "again.jsonl", reading=Reading(image_urls=True))
    assert again.pairs[0].image_bytes() == picture(1) and asked.count("/a.png") == 2
    with pytest.raises(DataError, match=r"line 10: the image could not be downloaded .*HTTP 404"):
        load_pairs(file, reading=Reading(image_urls=True))


@pytest.mark.parametrize("how", ["absolute", "file", "up", "link", "linked folder"])
def test_an_image_outside_the_datas_folder_is_no_image_of_it(tmp_path: Path, how: str) -> None:
    (tmp_path / "secret.png").write_bytes(picture(1))
    data, names = tmp_path / "data", {"absolute": str(tmp_path / "secret.png"), "up": "../secret.png"}
    data.mkdir()
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    (data / "images").symlink_to(tmp_path)
    names |= {"file": f"file://{tmp_path}/secret.png", "link": "link.png", "linked folder": "images/secret.png"}
    file = lines(data / "pairs.jsonl", row("a", image=names[how]))
    with pytest.raises(DataError, match=r"outside the data's folder.*--image-root DIR"):
        load_pairs(file)


def test_an_image_outside_is_one_where_its_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_bytes(picture(1))
    file = lines(tmp_path / "data/pairs.jsonl", row("a", image=str(tmp_path / "pictures/a.png")))
    assert len(load_pairs(file, reading=Reading(image_root=str(tmp_path / "pictures"))).pairs) == 1
    (tmp_path / "data").rename(tmp_path / "real")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    (tmp_path / "real/a.png").write_bytes(picture(1))
    linked = lines(tmp_path / "data/linked.jsonl", row("a", image=str(tmp_path / "data/a.png")))
    assert len(load_pairs(linked).pairs) == 1, "a data folder that is a link itself"
    with pytest.raises(DataError, match="outside"):
        load_pairs(file)
    monkeypatch.setenv("DAMA_IMAGES", str(tmp_path / "pictures"))
    assert len(load_pairs(file).pairs) == 1


def test_a_path_that_leads_out_of_the_datas_folder_is_followed_as_the_message_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    file = lines(tmp_path / "data/pairs.jsonl", row("a", image="../a.png"))
    with pytest.raises(DataError, match=r"outside the data's folder.*DAMA_IMAGES=DIR .*--image-root DIR"):
        load_pairs(file)
    monkeypatch.setenv("DAMA_IMAGES", str(tmp_path))
    assert len(load_pairs(file).pairs) == 1


WORKER = """
import sys
from aligners.pairs import data
checked, check = [], data.check
data.check = lambda *of: checked.append(of) or check(*of)
print(data.load_pairs(sys.argv[1]).content_hash, len(checked))
"""


def test_of_several_processes_one_reads_and_checks(folder: Path) -> None:
    file = lines(folder / "pairs.jsonl", *(row(str(number)) for number in range(40)))
    command = [sys.executable, "-c", WORKER, str(file)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(2)]
    outcomes = [process.communicate(timeout=60)[0].split() for process in running]
    none, some = sorted(int(checked) for _, checked in outcomes)
    assert none == 0 < some < 40, "and it checks an image once (or as often as threads come to it at the same time)"
    assert len({digest for digest, _ in outcomes}) == 1


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("d.json", b'{"chosen": {"0": "a"}, "rejected": {"0": "b"}}', "it holds columns; expected rows"),
        ("d.json", b'{"chosen": ["a"], "rejected": ["b"]}', "it holds columns; expected rows"),
        ("d.json", b'{"version": "1", "data": []}', "found an object of 'version', 'data'"),
        ("d.csv", b"image;chosen;rejected\na;b;c\n", "is one column: are cells divided by ';'"),
        ("d.tsv", b"image,chosen,rejected\na,b,c\n", "is one column: are cells divided by ','"),
        ("d.jsonl", b'[{"chosen": "a"}]', "found list"),
        ("d.csv", b"image,chosen,chosen,rejected\na,b,c,d\n", "two columns are called 'chosen'"),
        *((f"d.{kind}", LFS + b"/v1\n", "Git LFS pointer") for kind in ("json", "jsonl", "parquet", "arrow")),
        ("d.json", b"<!DOCTYPE html><html>", "it is an HTML page"),
        ("d.jsonl", b"\x1f\x8b\x08\x00", "it is compressed"),
    ],
)
def test_what_a_file_is_instead_of_rows_is_said(tmp_path: Path, name: str, content: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"d\.\w+.*{fault}"):
        load_pairs(tmp_path / name)


@pytest.mark.parametrize("name", ["split", "subset"])
def test_a_split_or_subset_of_a_file_which_has_none_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "pairs.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=f"{name}=nosuch.*Leave {name} out"):
        open_rows(tmp_path / "pairs.jsonl", **{name: "nosuch"})
