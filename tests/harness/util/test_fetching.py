"""Official files from a real home on loopback: lists of images, the hub's mirror, and what is said of failures."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.llava_bench import LlavaBench
from cli import cli
from harness.errors import DataError
from harness.util import fetching
from harness.util.fetching import Listed, Source, fetch, mirrored
from tests.harness.util.test_download import DATA, SHA, Home, home  # noqa: F401  (the fixture)

IMAGES = {f"{name}.jpg": name.encode() * 50 for name in ("a", "b", "c", "d", "e")}


def listed(home: str, names: Mapping[str, bytes] = IMAGES) -> Listed:  # noqa: F811
    return Listed("images", "images", lambda folder: {name: f"{home}/{name}" for name in names}, ("pictures",))


def test_each_missing_image_is_fetched_once_and_resumed(home: str, tmp_path: Path) -> None:  # noqa: F811
    Home.files = dict(IMAGES)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"mine")
    (only,) = fetch([listed(home)], tmp_path)
    assert (only.state, only.detail) == ("fetched", "5 images, 4 of them now")
    assert (tmp_path / "images/a.jpg").read_bytes() == b"mine"
    assert (tmp_path / "images/e.jpg").read_bytes() == IMAGES["e.jpg"]
    assert sorted(path for path, _ in Home.asked) == ["/b.jpg", "/c.jpg", "/d.jpg", "/e.jpg"]
    (again,) = fetch([listed(home)], tmp_path)
    assert (again.state, len(Home.asked)) == ("there", 4)


def test_images_in_another_folder_of_theirs_are_found(home: str, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "pictures").mkdir()
    for name in IMAGES:
        (tmp_path / "pictures" / name).write_bytes(b"mine")
    (only,) = fetch([listed(home)], tmp_path)
    assert (only.state, Home.asked) == ("there", [])


def test_one_that_fails_is_named_and_the_others_come(home: str, tmp_path: Path) -> None:  # noqa: F811
    Home.files = {name: data for name, data in IMAGES.items() if name != "b.jpg"}
    (only,) = fetch([listed(home)], tmp_path)
    assert only.state == "failed"
    assert only.detail.startswith("1 of 5 images are missing: ")
    assert "/b.jpg: HTTP 404" in only.detail
    assert (tmp_path / "images/e.jpg").is_file()


def test_a_file_in_the_place_of_a_folder_is_named_and_the_other_files_come(home: str, tmp_path: Path) -> None:  # noqa: F811
    """And a folder in the place of a file; nothing is asked for that could not be put down."""
    Home.files = {**IMAGES, "data.bin": DATA}
    (tmp_path / "images").write_text("mine")
    (tmp_path / "rows.json").mkdir()
    (tmp_path / "rows.json" / "mine").touch()
    archive = Source("images.zip", f"{home}/images.zip", unpack=(("*.jpg", "images"),), gives=("images",))
    states = fetch([listed(home), archive, Source("rows.json", f"{home}/r"), Source("d", f"{home}/data.bin")], tmp_path)
    assert [state.state for state in states] == ["failed", "failed", "failed", "fetched"]
    said = f"{tmp_path}/images is a file, and a directory is needed there"
    assert f"5 of 5 images are missing: {said}" in states[0].detail and states[1].detail.startswith(said)
    assert f"{tmp_path}/rows.json is a directory, and a file is needed there" in states[2].detail
    assert [path for path, _ in Home.asked] == ["/data.bin"] and (tmp_path / "images").read_text() == "mine"


def packed(*names: str) -> bytes:
    """A zip archive of files that hold their names in capitals."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as zipped:
        for name in names:
            zipped.writestr(zipfile.ZipInfo(name), name.upper() * 100)
    return stream.getvalue()


def archive(home: str) -> Source:  # noqa: F811
    return Source("images.zip", f"{home}/images.zip", unpack=(("*.jpg", "images"),), gives=("images",))


def files_in(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.rglob("*") if each.is_file())


def test_an_archive_that_cannot_be_taken_apart_is_kept_until_it_can(home: str, tmp_path: Path) -> None:  # noqa: F811
    """It came, and its second picture cannot be written: a folder lies there. The first alone would pass for all."""
    (tmp_path / "images.zip").write_bytes(packed("0.jpg", "1.jpg"))
    (tmp_path / "images.zip.part.of").write_text("left by a process that was killed as the download ended")
    blocked = tmp_path / "images" / "1.jpg"
    blocked.mkdir(parents=True)
    for _ in range(2):
        (state,) = fetch([archive(home)], tmp_path)
        assert state.state == "failed" and "images.zip: what it holds cannot be written" in state.detail
    blocked.rmdir()
    assert [fetch([archive(home)], tmp_path)[0].state for _ in range(2)] == ["fetched", "there"]
    assert files_in(tmp_path) == ["0.jpg", "1.jpg", "fetched.json"] and Home.asked == []


def test_of_an_archive_that_is_damaged_within_nothing_passes_for_all_of_it(home: str, tmp_path: Path) -> None:  # noqa: F811
    whole = packed("0.jpg", "1.jpg")
    Home.files = {"images.zip": whole.replace(b"1.JPG1.JPG", b"1.JPG2.JPG")}
    (state,) = fetch([archive(home)], tmp_path)
    assert state.state == "failed" and "cannot be unpacked (Bad CRC" in state.detail and files_in(tmp_path) == []
    Home.files = {"images.zip": whole}
    assert [fetch([archive(home)], tmp_path)[0].state for _ in range(2)] == ["fetched", "there"]
    assert (tmp_path / "images" / "1.jpg").read_text() == "1.JPG" * 100


def test_a_file_in_the_place_of_a_benchmarks_folder_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "pope").write_text("mine")
    result = CliRunner().invoke(cli, ["fetch", "pope", "--data-dir", str(tmp_path)])
    assert result.exit_code == 2, result.exception
    assert f"{tmp_path}/pope is a file, and a directory is needed there" in " ".join(result.output.split())


def test_a_home_that_has_none_is_asked_for_a_few_only(home: str, tmp_path: Path) -> None:  # noqa: F811
    names = {f"{i}.jpg": b"" for i in range(50)}
    (only,) = fetch([listed(home, names)], tmp_path)
    assert only.detail.startswith("50 of 50 images are missing")
    assert len(Home.asked) == fetching.GIVE_UP


def test_images_that_nothing_names_yet_are_a_failure(tmp_path: Path) -> None:
    def unknown(folder: Path) -> Mapping[str, str]:
        raise DataError(f"{folder}: questions not found")

    (only,) = fetch([Listed("images", "images", unknown)], tmp_path)
    assert (only.state, "questions not found" in only.detail) == ("failed", True)


def test_the_mirror_of_the_hub_is_asked(
    home: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{home}/")
    Home.files = {"datasets/of/mine/data.bin": DATA}
    (only,) = fetch([Source("data.bin", "https://huggingface.co/datasets/of/mine/data.bin", SHA)], tmp_path)
    assert only.state == "fetched"
    assert json.loads((tmp_path / fetching.RECORD).read_text())["data.bin"]["url"].startswith("https://huggingface.co/")
    assert mirrored("https://huggingface.community/x") == "https://huggingface.community/x"
    monkeypatch.delenv("HF_ENDPOINT")
    assert mirrored("https://huggingface.co/x") == "https://huggingface.co/x"


def test_a_benchmark_that_is_not_complete_is_not_said_to_be_usable(
    home: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its questions, contexts and images come from the mirror; the home of rule.json does not answer."""
    questions = [{"question_id": i, "image": f"00{i}.jpg", "text": "?", "category": "llava_bench_conv"} for i in (1, 2)]
    rows: dict[str, Sequence[Mapping[str, object]]] = {
        "questions.jsonl": questions,
        "context.jsonl": [{"image": "001.jpg", "caption": "c"}],
        "answers_gpt4.jsonl": [],
    }
    folder = "datasets/liuhaotian/llava-bench-in-the-wild/resolve/main"
    Home.files = {f"{folder}/{n}": "".join(json.dumps(row) + "\n" for row in of).encode() for n, of in rows.items()}
    Home.files |= {f"{folder}/images/00{i}.jpg": b"image" for i in (1, 2)}
    monkeypatch.setenv("HF_ENDPOINT", home)
    for kind in ("http", "https"):
        monkeypatch.setenv(f"{kind}_proxy", "http://127.0.0.1:9")
    done = CliRunner().invoke(cli, ["fetch", "llava_bench", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert (tmp_path / "llava_bench/images/002.jpg").read_bytes() == b"image"
    assert "llava_bench is not complete" in done.output
    assert "bench --benchmark" not in done.output


def test_a_name_that_is_neither_benchmark_nor_suite_is_refused() -> None:
    done = CliRunner().invoke(cli, ["fetch", "hallucinations"])
    assert done.exit_code == 2
    assert "hallucination" in done.output


def test_images_are_asked_for_under_plain_names_only(tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text(json.dumps({"image": "../../x.jpg"}) + "\n")
    (source,) = [each for each in LlavaBench.sources if isinstance(each, Listed)]
    with pytest.raises(DataError, match="no file name"):
        source.urls(tmp_path)
