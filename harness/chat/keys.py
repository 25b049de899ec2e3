"""Whose key goes to which endpoint, and through which proxy: what can be known before the first call."""

from __future__ import annotations

import importlib.util
import os
import urllib.request
from urllib.parse import urlsplit

from harness.chat.endpoint import default_url, is_loopback, is_private, origin
from harness.chat.request import Caller
from harness.errors import UsageError

KEY = "OPENAI_API_KEY"
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
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UsageError(
            f"{caller.option}: the key in {variable} holds a space, a control character or one beyond ASCII (a curly "
            "quotation mark copied along?), which no key has; set it again."
        )
    return key


def check_proxy(url: str, caller: Caller) -> None:
    """Raise UsageError where the environment names a proxy for ``url`` that cannot be used here."""
    split = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(split.hostname or ""):
        return
    proxies = urllib.request.getproxies()
    proxy = proxies.get(split.scheme) or proxies.get("all") or ""
    kind = proxy.partition("://")[0].lower() if "://" in proxy else "http"
    if kind not in ("http", "https", "socks5", "socks5h"):
        raise UsageError(
            f"{caller.option}: the environment names a {kind}:// proxy (ALL_PROXY, HTTPS_PROXY); expected http://, "
            "https://, socks5:// or socks5h://."
        )
    if kind.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise UsageError(
            f"{caller.option}: the environment names a SOCKS proxy (ALL_PROXY, HTTPS_PROXY), which needs a package: "
            f".venv/bin/python -m pip install socksio. Or unset it, or put {split.hostname} into NO_PROXY."
        )
