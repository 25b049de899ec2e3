"""The faults that a trial plays on a process: tear.c compiled, and the small shared file that tells it what to do."""

from __future__ import annotations

import errno
import functools
import hashlib
import mmap
import os
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

SOURCE = Path(__file__).with_name("tear.c")
LAYOUT = struct.Struct("=6q1024s")
"""``struct control`` of tear.c."""


class Mode(IntEnum):
    """What happens at the chosen operation."""

    COUNT = 0
    KILL = 1
    TEAR = 2
    FAIL = 3
    JUMP = 4


@dataclass(frozen=True)
class Fault:
    """What to play at the file operation number ``at`` (from 1; 0: never).

    Args:
        error: of FAIL, the errno of it and of every later operation.
        group: of KILL and TEAR, whether the process's workers die with it.
        jump: of JUMP, the seconds that the clock is off by from then on.
    """

    mode: Mode = Mode.COUNT
    at: int = 0
    error: int = 0
    group: bool = True
    jump: int = 0

    @property
    def kills(self) -> bool:
        """Whether it ends the process."""
        return self.mode in (Mode.KILL, Mode.TEAR)

    def __str__(self) -> str:
        what = errno.errorcode[self.error] if self.mode is Mode.FAIL else self.mode.name.lower()
        return f"{what} at {self.at}" + (f" by {self.jump} s" if self.jump else "")


UNTOUCHED = Fault()


def compiler() -> str | None:
    """A C compiler, if there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@functools.cache
def library() -> Path:
    """The compiled tear.c, made once a version of it in the temporary folder, also where two lanes begin at once."""
    version = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    made = Path(tempfile.gettempdir()) / f"tear-{os.getuid()}-{version}.so"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=made.parent) as own:
            part = Path(own) / made.name
            compiled = [compiler() or "cc", "-shared", "-fPIC", "-O1", "-o", str(part), str(SOURCE), "-ldl"]
            subprocess.run(compiled, check=True, timeout=60)
            part.replace(made)
    return made


class Control:
    """The shared file at ``path``: arm it for a trial, and read how many operations there were."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(LAYOUT.size))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), LAYOUT.size)

    def arm(self, folder: Path, fault: Fault = UNTOUCHED) -> None:
        """Play ``fault`` on operations under ``folder``, counted anew."""
        values = (0, fault.at, fault.mode, fault.error, fault.group, fault.jump)
        self._shared[:] = LAYOUT.pack(*values, str(folder).encode())

    @property
    def counted(self) -> int:
        """Operations since it was armed."""
        return int(LAYOUT.unpack(self._shared[:])[0])
