"""The command that runs, as it can be typed again."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from harness.util.secrets import hide

SCRIPTS = ("cli.py", "dama")


def command_line() -> str:
    """What was typed, without ``--fresh``, which would throw away what is kept, and without secrets.

    Of a program that uses the library it is "".
    """
    script = Path(sys.argv[0]).name if sys.argv else ""
    if script not in SCRIPTS:
        return ""
    words = [word for word in sys.argv if word != "--fresh"]
    return hide(("python " if script == "cli.py" else "") + shlex.join(words))
