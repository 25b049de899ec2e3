"""An endpoint by name: ``NAME[@BASE_URL]``, and whether it is on this machine."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from harness.errors import UsageError

OPENAI_URL = "https://api.openai.com/v1"


def default_url() -> str:
    """Where an endpoint without an address is: ``$OPENAI_BASE_URL``, else OpenAI's own."""
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def parse_endpoint(argument: str, option: str) -> tuple[str, str]:
    """(model name, base URL) of ``NAME[@BASE_URL]``; the name itself may hold an @, as in ``model@20250101``.

    ``option`` is what the user typed before it, for the message: "--judge". Raises UsageError.
    """
    split = re.fullmatch(r"(.*?)@(https?://.*)", argument)
    name, url = split.groups() if split else (argument, default_url())
    forgotten_scheme = re.search(r".@.*[:/.]", name)  # m@localhost:8000
    if not name or not is_base_url(url) or forgotten_scheme:
        raise UsageError(
            f"{option} openai:{argument}: expected openai:NAME or openai:NAME@BASE_URL with a base URL like "
            f"http://127.0.0.1:8000/v1, found the name {name!r} and the URL {url!r}."
        )
    return name, url.rstrip("/")


def is_base_url(url: str) -> bool:
    """Whether ``url`` can be an endpoint's address: http or https, with a host and a port that is a number."""
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # a port that is no number
        return False


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine by its loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
