"""Downloads from a real HTTP server on loopback that knows ranges, and from some that misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.errors import Transient
from harness.util import download as module
from harness.util import files
from harness.util.download import DownloadError, download
from harness.util.fetching import Manual, Source, fetch

DATA = bytes(range(256)) * 4000
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Home(BaseHTTPRequestHandler):
    """GET /NAME gives ``files[NAME]``; ``cut`` breaks the first N answers off halfway, ``status`` refuses them."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str | None]]] = []
    cut: ClassVar[int] = 0
    ranges: ClassVar[bool] = True
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        cls, asked = type(self), self.headers.get("Range")
        cls.asked.append((self.path, asked))
        data = cls.files.get(self.path.strip("/"))
        if data is None or cls.status != 200:
            self.send_error(404 if data is None else cls.status)
            return
        same = self.headers.get("If-Range", "") in ("", f'"{hashlib.md5(data).hexdigest()}"')
        start = int(asked.split("=")[1].strip("-")) if asked and cls.ranges and same else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if cls.cut:
            cls.cut -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    Home.files, Home.asked, Home.cut, Home.ranges, Home.status = {"data.bin": DATA}, [], 0, True, 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Home)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_comes_whole_and_is_checked(home: str, tmp_path: Path) -> None:
    assert download(f"{home}/data.bin", tmp_path / "a" / "data.bin", SHA) == SHA[7:]
    assert (tmp_path / "a" / "data.bin").read_bytes() == DATA
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["data.bin"]


def test_an_interrupted_download_goes_on_where_it_stopped(home: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA[:1000])
    download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert Home.asked == [("/data.bin", "bytes=1000-")]
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_complete_part_is_not_fetched_again(home: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(DATA)
    download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == DATA


@pytest.mark.parametrize("ranges", [True, False])
def test_answers_that_break_off_are_completed(home: str, tmp_path: Path, ranges: bool) -> None:
    Home.cut, Home.ranges = 2, ranges
    download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    assert len(Home.asked) == 3


def test_what_keeps_breaking_off_fails_and_keeps_what_came(home: str, tmp_path: Path) -> None:
    Home.cut = 100
    with pytest.raises(DownloadError, match=r"broke off after \d+ bytes. Run the same command again"):
        download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert not (tmp_path / "data.bin").exists()
    kept = (tmp_path / "data.bin.part").stat().st_size
    Home.cut, Home.asked = 0, []
    download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert Home.asked == [("/data.bin", f"bytes={kept}-")]


def test_the_beginning_of_another_version_is_not_joined_to_the_rest_of_this_one(home: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"another" * 100)
    download(f"{home}/data.bin", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == DATA, "a part of unknown origin"
    Home.cut = 100
    with pytest.raises(DownloadError):
        download(f"{home}/data.bin", tmp_path / "two.bin")
    Home.cut, Home.files["data.bin"] = 0, DATA[::-1]
    download(f"{home}/data.bin", tmp_path / "two.bin")
    assert (tmp_path / "two.bin").read_bytes() == DATA[::-1], "one that changed meanwhile"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.bin", "two.bin"]


@pytest.mark.parametrize("fault", ["bomb", "encrypted", "cut"])
def test_an_archive_that_is_a_bomb_or_cannot_be_read_is_refused_and_removed(
    home: str, tmp_path: Path, fault: str
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(80 << 20) if fault == "bomb" else b"picture" * 100)
    raw = bytearray(packed.getvalue())
    if fault == "encrypted":
        raw[6] |= 1
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
    Home.files["a.zip"] = bytes(raw[:60] + raw[70:]) if fault == "cut" else bytes(raw)
    source = Source("a.zip", f"{home}/a.zip", unpack=(("*.jpg", "images"),), gives=("images",))
    (done,) = fetch([source], tmp_path)
    assert done.state == "failed" and "cannot be unpacked" in done.detail
    assert list(tmp_path.rglob("*.jpg")) == [] and not (tmp_path / "a.zip").exists()


def test_a_member_of_an_archive_stays_in_its_folder(home: str, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../../up.jpg", "/abs.jpg", "a/../b.jpg", "x/..", "images/c.jpg"):
            archive.writestr(name, b"x")
    Home.files["a.zip"] = packed.getvalue()
    source = Source("a.zip", f"{home}/a.zip", unpack=(("*", "images"),), gives=("images",))
    (done,) = fetch([source], tmp_path / "data")
    assert done.state == "fetched"
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg"))
    assert files == [f"data/images/{name}.jpg" for name in ("abs", "b", "c", "up")]


def test_a_wrong_checksum_is_never_kept_unless_wanted(home: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected sha256:0123, found sha256:"):
        download(f"{home}/data.bin", tmp_path / "data.bin", "sha256:0123")
    assert not list(tmp_path.iterdir())
    download(f"{home}/data.bin", tmp_path / "data.bin", "sha256:0123", any_version=True)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_another_version_is_named_by_the_kind_of_digest_that_was_expected(home: str, tmp_path: Path) -> None:
    """git's id of "hello\\r\\n" is sha1("blob 7", a zero byte, the text); that of a text is of its lines with LF."""
    Home.files["greeting"] = b"hello\r\n"
    for pin, found in (
        ("git:0123", f"git:{hashlib.sha1(b'blob 7' + bytes(1) + Home.files['greeting']).hexdigest()}"),
        ("text:0123", f"text:{hashlib.sha256(b'hello' + bytes([10])).hexdigest()}"),
    ):
        with pytest.raises(DownloadError, match=f"expected {pin}, found {found};"):
            download(f"{home}/greeting", tmp_path / "greeting", pin)


def test_a_pointer_is_not_taken_for_the_file(home: str, tmp_path: Path) -> None:
    Home.files["p.jsonl"] = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 50000000\n"
    with pytest.raises(DownloadError, match="Git LFS pointer"):
        download(f"{home}/p.jsonl", tmp_path / "p.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_part_of_an_older_version_is_replaced(home: str, tmp_path: Path) -> None:
    (tmp_path / "data.bin.part").write_bytes(b"old" * 100)
    download(f"{home}/data.bin", tmp_path / "data.bin", SHA)
    assert (tmp_path / "data.bin").read_bytes() == DATA
    (tmp_path / "other.part").write_bytes(DATA + b"longer than the file is now")
    download(f"{home}/data.bin", tmp_path / "other", SHA)
    assert (tmp_path / "other").read_bytes() == DATA


def test_a_missing_file_is_not_asked_for_again_and_a_busy_home_is(home: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="HTTP 404") as gone:
        download(f"{home}/absent", tmp_path / "x")
    assert not isinstance(gone.value, Transient), "it will be absent tomorrow too"
    assert len(Home.asked) == 1
    Home.status = 503
    with pytest.raises(Transient, match="HTTP 503"):
        download(f"{home}/data.bin", tmp_path / "x")
    assert len(Home.asked) == 1 + module.TRIES
    with pytest.raises(Transient, match="refused"):
        download("http://127.0.0.1:9/data.bin", tmp_path / "x")


def test_files_already_there_are_checked_and_manual_ones_named(home: str, tmp_path: Path) -> None:
    blob = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()
    sources = (
        Source("data.bin", f"{home}/data.bin", f"git:{blob[:7]}", "CC BY 4.0"),
        Source("gone.bin", f"{home}/gone.bin"),
        Manual("image", "the images", "https://example.org/images", "They need a browser."),
    )
    first = fetch(sources, tmp_path)
    assert [found.state for found in first] == ["fetched", "failed", "by hand"]
    assert first[2].detail == (
        f"They need a browser. Get the images from https://example.org/images and put it at {tmp_path / 'image'}"
    )
    assert json.loads((tmp_path / "fetched.json").read_text())["data.bin"]["sha256"] == SHA[7:]
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "1.jpg").touch()
    (tmp_path / "gone.bin").touch()
    asked = len(Home.asked)
    assert [found.state for found in fetch(sources, tmp_path)] == ["there"] * 3
    assert len(Home.asked) == asked
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert fetch(sources, tmp_path)[0].state == "other"
    assert (tmp_path / "data.bin").read_bytes() == b"mine"


def test_an_archive_is_taken_apart_and_a_broken_one_is_said_to_be(home: str, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        zipped.writestr("annotations/captions_val2014.json", "{}")
        zipped.writestr("../../evil.json", "{}")
        zipped.writestr("readme.txt", "no")
    Home.files |= {"a.zip": packed.getvalue(), "b.zip": b"PK no zip"}
    source = Source(
        "a.zip", f"{home}/a.zip", unpack=(("*.json", "annotations"),), gives=("annotations/captions_val2014.json",)
    )
    assert fetch([source], tmp_path / "d")[0].state == "fetched"
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"d/annotations/captions_val2014.json", "d/annotations/evil.json", "d/fetched.json"}
    assert fetch([source], tmp_path / "d")[0].state == "there"
    broken = fetch([Source("b.zip", f"{home}/b.zip", unpack=(("*", "."),), gives=("x",))], tmp_path / "d")[0]
    assert broken.state == "failed" and "cannot be unpacked" in broken.detail
    assert not (tmp_path / "d" / "b.zip").exists()


def test_what_a_killed_fetch_left_is_removed_or_completed_by_the_next(home: str, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for number in range(3):
            zipped.writestr(f"{number}.jpg", f"picture {number}")
    Home.files |= {"a.zip": packed.getvalue()}
    sources = (
        Source("data.bin", f"{home}/data.bin", SHA),
        Source("a.zip", f"{home}/a.zip", unpack=(("*.jpg", "images"),), gives=("images",)),
    )
    fetch(sources, tmp_path)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*.[jb]*") if path.name != "fetched.json"}
    (tmp_path / "images" / "2.jpg").unlink()  # killed while it took the archive apart
    (tmp_path / "a.zip").write_bytes(packed.getvalue())
    (tmp_path / "data.bin.part.of").write_text(f"{home}/data.bin\n")
    (tmp_path / ".fetched.json.a1b2c3d4.part").touch()
    asked = len(Home.asked)
    files.sweep.cache_clear()  # as in another process
    assert [found.state for found in fetch(sources, tmp_path)] == ["there", "fetched"]
    assert len(Home.asked) == asked, "the archive was there"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.[jb]*") if path.name != "fetched.json"} == whole
    assert {path.name for path in tmp_path.iterdir()} == {"data.bin", "images", "fetched.json"}
