"""A real browser for tests: Debian's chromium, headless, driven through chromedriver's own HTTP protocol (W3C)."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One headless window. ``run`` executes JavaScript and returns its value; promises are awaited."""

    def __init__(self, profile: Path) -> None:
        chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
        assert chromium and driver, "tests that drive a browser are marked needs(browser)"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._driver = subprocess.Popen(
            [driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}"
        flags = [
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-dev-shm-usage", f"--user-data-dir={profile}",
        ]  # fmt: skip
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": chromium, "args": flags},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._url += f"/session/{session['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=20)

    def open(self, page: Path, width: int, height: int, fragment: str = "") -> None:
        self._ask("POST", "/goog/cdp/execute", {
            "cmd": "Emulation.setDeviceMetricsOverride",
            "params": {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        })  # fmt: skip
        self._ask("POST", "/url", {"url": "about:blank"})
        self.console(), self.requests()  # what the new tab's own page did
        self._ask("POST", "/url", {"url": page.as_uri() + fragment})

    def run(self, script: str, *values: Any) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(values)})

    def wait(self, script: str, seconds: float = 15) -> Any:
        """The value of ``script`` once it is truthy."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            time.sleep(0.05)
        return value

    def press(self, selector: str, keys: str) -> None:
        """Type ``keys`` into the first element of ``selector``, as a keyboard would."""
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{found[ELEMENT]}/value", {"text": keys})

    def printed(self) -> int:
        """How many pages the page has on paper."""
        wanted = {"preferCSSPageSize": True, "printBackground": True}
        paper = self._ask("POST", "/goog/cdp/execute", {"cmd": "Page.printToPDF", "params": wanted})
        return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(paper["data"])))

    def console(self) -> list[str]:
        """Warnings and errors of the console since the last call."""
        found = self._ask("POST", "/se/log", {"type": "browser"})
        return [row["message"] for row in found if row["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call."""
        rows = [json.loads(row["message"])["message"] for row in self._ask("POST", "/se/log", {"type": "performance"})]
        return [row["params"]["request"]["url"] for row in rows if row["method"] == "Network.requestWillBeSent"]

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        for attempt in range(100):
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return json.load(reply)["value"]
            except urllib.error.HTTPError as error:
                raise AssertionError(json.load(error)["value"]["message"]) from error
            except urllib.error.URLError:
                if path != "/session" or attempt == 99:
                    raise
                time.sleep(0.1)  # chromedriver is still starting
        return None
