"""Commands started in milliseconds: a process that has imported everything forks one for each.

``python -m tests.faults.warm`` is that process. It reads orders as JSON lines and answers with ``{"pid"}`` when a
command started and ``{"pid", "code"}`` when it ended (negative: the signal that ended it). ``Warm`` talks to it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import multiprocessing
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from harness.util import pool
from tests.faults.tear import Control, library
from tests.house import ROOT

LONGEST = 300.0
"""Seconds after which a command counts as stuck."""
STARTING = 900.0
"""Seconds that the warm process has for its imports, on a busy machine."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
FORKS = "FAULTS_FORKS"
"""Set for a command whose worker processes are forked from it, where all is imported: each that is spawned imports it
anew, which is most of the seconds of a command so small."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "DAMA_LOG": ""}
IMPORTED = (
    "harness",  # before torchvision
    "torch",
    "peft",
    "openai",
    "rich.progress",
    "dama",
    "workflows.align",
    "workflows.bench",
    "workflows.ablate",
    "workflows.score",
    "workflows.report",
    "workflows.export",
    "workflows.export_model",
    "workflows.import_model",
    "aligners.training.pipeline",
    "harness.models.loading",
    "harness.models.hf",
    "harness.judges.openai",
    "transformers.models.llava.modeling_llava",
    "transformers.models.llava.processing_llava",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.image_processing_clip",
    "transformers.models.llama.modeling_llama",
    "matplotlib.pyplot",
    "commands.evaluations",
)


class Running:
    """A command under way. ``pid`` leads its process group."""

    def __init__(self, pid: int, out: Path, err: Path) -> None:
        self.pid, self._out, self._err = pid, out, err
        self.ended: queue.Queue[int] = queue.Queue()

    def wait(self, timeout: float = LONGEST) -> int:
        """Its exit code; negative: the signal that ended it. One that is stuck is killed: TimeoutError."""
        try:
            return self.ended.get(timeout=timeout)
        except queue.Empty:
            self.signal(signal.SIGKILL)
            raise TimeoutError(f"still running after {timeout:.0f} s; stderr: {self.stderr[-300:]}") from None

    def signal(self, number: int) -> None:
        """Send a signal to it and its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    @property
    def stdout(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text(errors="replace")


class Warm:
    """A warm process as a context manager; ``folder`` is where commands leave their output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {**os.environ, **ONE_THREAD, **OFFLINE, "LD_PRELOAD": str(library())}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"],
            cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._running: dict[int, Running] = {}
        self._started: queue.Queue[Running] = queue.Queue()
        self._orders: queue.Queue[tuple[Path, Path]] = queue.Queue()
        self._count = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def start(
        self, words: Sequence[str], control: Control, *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> Running:
        """Start ``cli.py words`` in ``cwd`` with ``env`` added; faults as ``control`` says."""
        self._count += 1
        out, err = (self.folder / f"{self._count % 8}.{kind}" for kind in ("out", "err"))
        order = {
            "words": list(words), "cwd": str(cwd), "env": dict(env or {}), "control": str(control.path),
            "out": str(out), "err": str(err),
        }  # fmt: skip
        assert self._process.stdin is not None
        self._orders.put((out, err))
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._started.get(timeout=STARTING if self._count == 1 else LONGEST)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "code" in told:
                self._running.pop(told["pid"]).ended.put(told["code"])
            else:
                running = self._running[told["pid"]] = Running(told["pid"], *self._orders.get())
                self._started.put(running)

    def __enter__(self) -> Warm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def serve() -> dict[str, Any] | None:
    """Take orders until stdin ends. Returns in the forked process, with its order; None in the parent, at the end."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    ready = selectors.DefaultSelector()
    for source in (0, wake):
        ready.register(source, selectors.EVENT_READ)
    text = b""
    while True:
        for key, _ in ready.select():
            got = os.read(key.fd, 1 << 16)
            if key.fd == wake:
                _report_ended()
                continue
            if not got:
                return None
            *orders, text = (text + got).split(b"\n")
            for order in orders:
                pid = os.fork()
                if not pid:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    # Where the fault run itself was started by nohup or in the background, these are ignored.
                    signal.signal(signal.SIGHUP, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, signal.default_int_handler)
                    ready.close()
                    os.closerange(min(wake, woken), max(wake, woken) + 1)
                    told: dict[str, Any] = json.loads(order)
                    return told
                _say({"pid": pid})


def _report_ended() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _say({"pid": ended[0], "code": os.waitstatus_to_exitcode(ended[1])})


def _say(what: Mapping[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def become(order: Mapping[str, Any]) -> None:
    """Make this forked process what a freshly started command would be."""
    os.setsid()
    for stream, name in ((0, os.devnull), (1, order["out"]), (2, order["err"])):
        opened = os.open(name, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, stream)
        os.close(opened)
    os.chdir(order["cwd"])
    os.environ.update(order["env"], TEAR_CONTROL=order["control"])
    sys.argv = ["cli.py", *order["words"]]
    preloaded = ctypes.CDLL(str(library()))  # loaded before: the same library
    preloaded.tear_use(order["control"].encode())
    if order["env"].get(FORKS):
        vars(pool).update(get_context=lambda method: multiprocessing.get_context("fork"))


def main() -> None:
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    import cli
    from tests.faults import fetching

    fetching.register()
    gc.collect()
    gc.freeze()  # the forked processes share these pages
    assert threading.active_count() == 1, "a thread would be lost in the fork"
    order = serve()
    if order is not None:
        become(order)
        _leave(cli.main)


def _leave(command: Callable[[], None]) -> NoReturn:
    """Run ``command`` and end as Python ends, but for the seconds that it takes to tear down what was imported."""
    code: Any = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # joins the threads that Python would join
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
