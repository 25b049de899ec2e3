"""An endpoint by name: ``NAME[@BASE_URL]``, and whether it is on this machine or network."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.util.hosts import LOCAL_NAMES

OPENAI_URL = "https://api.openai.com/v1"
SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Addresses behind a carrier's or a VPN's translation (RFC 6598)."""


AZURE = re.compile(r"https?://[^?#]*/openai/deployments/(?P<deployment>[^/?#]+)/?\?api-version=(?P<version>[\w.-]+)")
"""A deployment of Azure OpenAI: the one URL that may have a query."""
AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


def api_version(url: str) -> str:
    """The ``api-version`` of an Azure deployment's URL, which also takes its key in a header of its own; else ""."""
    match = AZURE.fullmatch(url)
    return match["version"] if match else ""


def names_deployment(model: str, url: str) -> bool:
    """Whether ``model`` is a deployment of Azure OpenAI, whose name says nothing of the model behind it."""
    match = AZURE.fullmatch(url)
    return match["deployment"] == model if match else (urlsplit(url).hostname or "").endswith(AZURE_HOSTS)


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
    fault = url_fault(url) or ("it has a blank" if re.search(r"\s", url) else "")
    if name != name.strip():
        fault = fault or "the name has a blank beside it"
    if not name or forgotten_scheme or fault:
        shown, at = without_secrets(name), without_secrets(url)
        source = "" if split or not os.environ.get("OPENAI_BASE_URL") else " of OPENAI_BASE_URL"
        raise UsageError(
            f"{option} openai:{without_secrets(argument)}: expected openai:NAME or openai:NAME@BASE_URL with a base "
            f"URL like http://127.0.0.1:8000/v1, found the name {shown!r} and the URL {at!r}{source}"
            f"{f': {fault}' if fault else ''}."
        )
    return name, url.rstrip("/")


def url_fault(url: str) -> str:
    """Why ``url`` cannot be an endpoint's base URL; "" if it can: http or https, a host, a port that is a number."""
    try:
        split = urlsplit(url)
        if split.scheme not in ("http", "https") or not split.hostname or split.port == 0:
            return "it has no host"
    except ValueError:  # a port that is no number
        return "its port is no number"
    if "@" in split.netloc:
        return "a key or password does not belong into a URL, which is stored; name a variable with api_key_env"
    if (split.query or split.fragment) and not api_version(url):
        return (
            "it has a query, to which no path can be added; Azure's forms are "
            "https://RESOURCE.openai.azure.com/openai/v1, the name being the deployment's, and "
            ".../openai/deployments/NAME?api-version=VERSION"
        )
    if split.path.rstrip("/").endswith("/chat/completions"):
        return "/chat/completions is added to it; leave that out"
    return ""


def without_secrets(url: str) -> str:
    """``url`` without what stands before its host, in its query or its fragment: each may hold a password or key."""
    return re.sub(r"[?#].*", "", re.sub(r"(//)[^/]*@", r"\1...@", url), flags=re.DOTALL)


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a key belongs to."""
    split = urlsplit(url)
    return split.scheme, split.hostname or "", split.port or {"http": 80, "https": 443}.get(split.scheme)


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine by its loopback address."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_private(url: str) -> bool:
    """Whether ``url`` names this machine or one of its own network, by its address or by a name of that network."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(LOCAL_NAMES)  # localhost, a service of docker, a node of a cluster
    return address.is_private or address.is_link_local or (address.version == 4 and address in SHARED)
