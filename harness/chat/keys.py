"""Whose key goes to which endpoint, and through which proxy: what can be known before the first call."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import ssl
import urllib.request
from urllib.parse import urlsplit

from harness.chat.endpoint import default_url, is_loopback, is_private, origin
from harness.chat.request import Caller
from harness.errors import UsageError
from harness.util.secrets import keep_headers, keep_secret

KEY = "OPENAI_API_KEY"
LINES = "OPENAI_CUSTOM_HEADERS"
"""A header a line, which the client takes apart and strips."""
HEADERS = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", LINES)
"""Variables that the client sends as headers."""
NOT_OF_A_KEY = frozenset(" \"'")
"""What stands around a key where it is copied from, or in a file of variables whose marks are kept (docker)."""
NO_KEY = "none"
"""What is sent to an endpoint that takes no key, and what says so as a name of a variable."""


def key_for(url: str, variable: str, caller: Caller) -> str:
    """The key for the endpoint at ``url``: of the environment variable ``variable`` ("none": there is no key).

    Without a name it is ``$OPENAI_API_KEY`` where that key belongs: to OpenAI, or to the host of ``$OPENAI_BASE_URL``.
    No other host is sent it; one on this machine or network does without. Raises UsageError where a key is missing or
    cannot be sent, and never shows one.
    """
    if variable == NO_KEY:
        return NO_KEY
    if variable:
        if not os.environ.get(variable, "").strip():
            raise UsageError(f"{caller.setting('api_key_env')}={variable}: there is no such environment variable.")
        return _sendable(variable, caller)
    home = default_url()
    if origin(url) == origin(home):
        if os.environ.get(KEY, "").strip():
            return _sendable(KEY, caller)
        if not is_private(url):
            raise UsageError(
                f"{caller.option}: set {KEY} to the key for {url}, or name the variable that holds it with "
                f"{caller.setting('api_key_env')}=NAME."
            )
    if is_private(url):
        return NO_KEY
    held = f" {KEY} is the key of {urlsplit(home).hostname} and is sent nowhere else." if os.environ.get(KEY) else ""
    raise UsageError(
        f"{caller.option}: no key for {url}.{held} Name the environment variable that holds this endpoint's key with "
        f"{caller.setting('api_key_env')}=NAME ({KEY} if it is that one, {NO_KEY} if the endpoint takes none)."
    )


def _sendable(variable: str, caller: Caller) -> str:
    """The variable's value without space around it; a header takes printable ASCII and nothing else."""
    key = os.environ[variable].strip()
    keep_secret(key)
    if not (key.isascii() and key.isprintable()) or set(key) & NOT_OF_A_KEY:
        raise UsageError(
            f"{caller.option}: the key in {variable} holds a space, a quotation mark, a control character or one "
            "beyond ASCII (copied along, or kept by an --env-file?), which no key has; set it again."
        )
    return key


def foreign_headers(url: str, variable: str) -> list[str]:
    """The headers of the environment (``HEADERS``) that are not for the endpoint at ``url``, by their names.

    They go where ``$OPENAI_API_KEY`` goes: to its own host, and to one that is given that key by name.
    """
    if variable == KEY or origin(url) == origin(default_url()):
        return []
    lines = os.environ.get(LINES, "").split("\n")
    custom = [name.strip() for name, colon, _ in (line.partition(":") for line in lines) if colon]
    return ["OpenAI-Organization", "OpenAI-Project", *custom]


def check_environment(url: str, caller: Caller) -> None:
    """Raise UsageError where what the environment says of headers, certificates or a proxy cannot be used."""
    keep_headers(os.environ.get(LINES, ""))
    for variable in HEADERS:
        value = os.environ.get(variable, "")
        if variable == LINES:
            value = value.replace("\n", "").replace("\r", "")
        if not (value.isascii() and value.isprintable()):
            raise UsageError(
                f"{caller.option}: {variable} holds a control character or one beyond ASCII (a curly quotation mark "
                "copied along?), which no header takes; set it again or unset it."
            )
    check_certificates(url, caller)
    check_proxy(url, caller)


def check_certificates(url: str, caller: Caller) -> None:
    """Raise UsageError where ``SSL_CERT_FILE`` names no file of certificates and ``url`` needs them."""
    file = os.environ.get("SSL_CERT_FILE")
    if file and url.startswith("https://") and not is_loopback(url):
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            raise UsageError(
                f"{caller.option}: SSL_CERT_FILE={file} cannot be read as certificates ({error}); expected a PEM file. "
                "Correct it or unset it."
            ) from error


def proxy_for(url: str) -> str:
    """The proxy that the environment names for ``url``, as a URL; "" for none.

    This machine's own loopback has none, nor has a host in ``NO_PROXY``.
    """
    split, proxies = urlsplit(url), urllib.request.getproxies()
    host, names = split.hostname or "", proxies.get("no", "").split(",")
    if is_loopback(url) or any(urllib.request.proxy_bypass(each) for each in (host, split.netloc)):
        return ""
    if any(_leaves_out(name.strip(), host) for name in names):
        return ""
    proxy = proxies.get(split.scheme) or proxies.get("all") or ""
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _leaves_out(name: str, host: str) -> bool:
    """Whether a name in ``NO_PROXY`` that urllib does not read is that of ``host``, as httpx2 reads it: a network
    (10.0.0.0/8), *.domain, or * beside other names."""
    if name == "*" or (name.startswith("*.") and host.endswith(name[1:].lower())):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def check_proxy(url: str, caller: Caller) -> None:
    """Raise UsageError where the environment names a proxy for ``url`` that cannot be used here."""
    proxy = proxy_for(url)
    try:
        _ = urlsplit(proxy).port
    except ValueError:
        raise UsageError(
            f"{caller.option}: the environment names a proxy whose port is no number from 0 to 65535 (ALL_PROXY, "
            "HTTPS_PROXY, HTTP_PROXY); expected http://HOST:PORT."
        ) from None
    kind = proxy.partition("://")[0].lower() or "http"
    if kind not in ("http", "https", "socks5", "socks5h"):
        raise UsageError(
            f"{caller.option}: the environment names a {kind}:// proxy (ALL_PROXY, HTTPS_PROXY); expected http://, "
            "https://, socks5:// or socks5h://."
        )
    if kind.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise UsageError(
            f"{caller.option}: the environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY), which needs a package: "
            f".venv/bin/python -m pip install socksio. Or unset it, or put {urlsplit(url).hostname} into NO_PROXY."
        )
