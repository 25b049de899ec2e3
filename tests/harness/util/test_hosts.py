from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.util import hosts
from harness.util.download import DownloadError, Limits, download
from harness.util.hosts import Private, check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://2130706433/a.png",
        "http://0x7f.1/a.png",
        "http://0/a.png",
        "http://localhost/a.png",
        "http://10.1.2.3/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.1.1/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:127.0.0.1]/a.png",
        "http://[64:ff9b::7f00:1]/a.png",
        "http://[2002:7f00:1::]/a.png",
        "http://[fe80::1]/a.png",
        "http://224.0.0.1/a.png",
        "https://printer.local/a.png",
        "file:///proc/self/environ",
        "ftp://8.8.8.8/a.png",
        "http:///a.png",
    ],
)
def test_a_host_that_is_not_of_the_public_internet_is_not_asked_however_it_is_written(url: str) -> None:
    with pytest.raises(Private):
        check_url(url)


def test_a_public_address_is_asked() -> None:
    check_url("https://8.8.8.8/a.png")
    check_url("https://[2606:4700:4700::1111]/a.png")


class Home(BaseHTTPRequestHandler):
    """/to/URL redirects there; anything else is ``body``, with or without its length."""

    asked: ClassVar[list[str]] = []
    body: ClassVar[bytes] = b"x" * 5000

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    Home.asked.clear()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Home) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def public(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """These addresses count as public."""
    real = hosts.is_public
    monkeypatch.setattr(hosts, "is_public", lambda address: str(address) in addresses or real(address))


LIMITS = Limits(size=10_000, seconds=5)


@pytest.mark.parametrize(
    "to", ["http://127.0.0.2:{port}/secret", "http://[::ffff:127.0.0.2]:{port}/x", "file:///etc/hosts"]
)
def test_a_redirect_to_a_private_host_or_a_file_is_not_followed(
    home: int, to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public(monkeypatch, "127.0.0.1")
    url = f"http://127.0.0.1:{home}/to/{to.format(port=home)}"
    with pytest.raises(DownloadError, match=r"not of the public internet|is not allowed"):
        download(url, tmp_path / "a.png", limits=LIMITS)
    with pytest.raises(DownloadError, match=r"not of the public internet|is not allowed"):
        download(url, tmp_path / "a.png")
    assert len(Home.asked) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_stands_for_a_private_address_when_it_is_connected_to_is_not_asked(
    home: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.util.download.check_url", lambda url: None)  # it stood for a public one just before
    with pytest.raises(DownloadError, match=r"localhost is 127\.0\.0\.1"):
        download(f"http://localhost:{home}/a.png", tmp_path / "a.png", limits=LIMITS)
    assert Home.asked == []


def test_a_file_larger_than_allowed_is_not_kept(home: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public(monkeypatch, "127.0.0.1")
    with pytest.raises(DownloadError, match="it has more than 4,000 bytes"):
        download(f"http://127.0.0.1:{home}/a.png", tmp_path / "a.png", limits=Limits(size=4000, seconds=5))
    assert list(tmp_path.iterdir()) == []
    download(f"http://127.0.0.1:{home}/a.png", tmp_path / "a.png", limits=LIMITS)
    assert (tmp_path / "a.png").read_bytes() == Home.body
