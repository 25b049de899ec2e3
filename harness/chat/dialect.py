"""What an endpoint does not take as it is asked, learned from its refusals once and kept to from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

UNSUPPORTED = re.compile(r"unsupported|not support|only the default|deprecated|cannot both be specified", re.IGNORECASE)
"""How endpoints refuse a parameter or its value. One that calls a value too large, or a prompt too long, does not."""
RENAMED = {"max_tokens": "max_completion_tokens"}
"""Parameters with a younger name: OpenAI's reasoning models take no other."""
LEFT_OUT = ("temperature", "top_p")
"""Parameters that an endpoint may insist to choose itself."""


def refused_parameter(status: int, message: str, parameter: object) -> str:
    """The parameter that an HTTP error of ``message`` is about, "" if it is none that can be sent another way.

    ``parameter`` is what the error itself names, if it does: of OpenAI's error objects the ``param``.
    """
    if status not in (400, 422) or not UNSUPPORTED.search(message):
        return ""
    known = [*(old for old, new in RENAMED.items() if new in message), *LEFT_OUT]
    if isinstance(parameter, str) and parameter in known:
        return parameter
    return next((name for name in known if re.search(rf"\b{name}\b", message)), "")


class Dialect:
    """How one endpoint is spoken to: what it refused is sent by its younger name, or not at all."""

    def __init__(self) -> None:
        self._refused: dict[str, Any] = {}

    def learn(self, parameter: str, sent: Mapping[str, Any]) -> bool:
        """Note that ``parameter`` was refused; whether it stood in what was ``sent``, so that leaving it may help."""
        if parameter not in sent:
            return False
        self._refused.setdefault(parameter, sent[parameter])
        return True

    def spoken(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """``arguments`` as the endpoint takes them."""
        kept = {name: value for name, value in arguments.items() if name not in self._refused}
        for old, new in RENAMED.items():
            if old in self._refused and old in arguments:
                kept.setdefault(new, arguments[old])
        return kept

    @property
    def notes(self) -> list[str]:
        """What is not sent as asked, in words."""
        renamed = [f"{old} is sent as {new}" for old, new in RENAMED.items() if old in self._refused]
        left = [f"{n} is left to the endpoint, which refuses {v:g}" for n, v in self._refused.items() if n in LEFT_OUT]
        return [*renamed, *left]
