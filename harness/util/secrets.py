"""Keys and passwords of this process, and texts without them: nothing that is printed, stored or rendered holds one."""

from __future__ import annotations

import re
import threading
import urllib.parse

HIDDEN = "***"
SHORTEST = 6
"""Shorter values are not searched for: they would be found in words that hold no secret."""
USERINFO = re.compile(r"(?<=://)[^\s/@\"'<>]+(?=@)")
"""``user:password`` of a URL, also a key that stands there alone."""
IN_QUERY = re.compile(
    r"(?i)(?<=[?&;])((?:[a-z0-9_.-]*(?:key|token|secret|password|passwd|signature)|sig|pwd|auth)=)[^&\s#\"'<>]+"
)
"""A secret in a URL's query: ``api_key=...``, ``X-Amz-Signature=...``, ``sig=...``."""
IN_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")

_known: set[str] = set()
_forms: tuple[str, ...] = ()
_lock = threading.Lock()


def keep_secret(value: str) -> None:
    """From now on ``hide`` takes ``value`` out of every text, also as it is written in URLs and escaped in JSON."""
    global _forms  # found by every caller of hide, which cannot be handed it: warnings, logs, tracebacks
    value = value.strip()
    if len(value) < SHORTEST:
        return
    with _lock:
        _known.add(value)
        forms = {f for v in _known for f in (v, urllib.parse.quote(v, safe=""), repr(v)[1:-1])}
        _forms = tuple(sorted(forms, key=len, reverse=True))


def hide(text: str) -> str:
    """``text`` with *** in place of every known secret and of what a URL or header shows as one."""
    for form in _forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    if "://" in text:
        text = USERINFO.sub(HIDDEN, text)
    if "=" in text:
        text = IN_QUERY.sub(rf"\1{HIDDEN}", text)
    return IN_HEADER.sub(rf"\1 {HIDDEN}", text)
