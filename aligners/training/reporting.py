"""Experiment trackers: a run's metrics sent to TensorBoard, Weights & Biases and others by transformers' callbacks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.util.paths import home

TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboardX"),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
    "mlflow": ("mlflow",),
    "swanlab": ("swanlab",),
}
"""By the name that ``report_to`` takes, the packages one of which it needs; the first is what pip is asked for."""
NONE = "none"
LEFT_OPEN = {"wandb": "run", "swanlab": "get_run"}
"""Trackers whose callback opens a run and leaves it open until the process ends, and what shows that one is open."""


def tracker_names(report_to: str) -> list[str]:
    """The trackers of a setting: ``wandb,tensorboard`` is two, ``none`` none.

    Raises UsageError for one that is unknown or not installed, with the command that installs it.
    """
    names = list(dict.fromkeys(name.strip() for name in report_to.split(",") if name.strip()))
    for name in [] if names == [NONE] else names:
        if name not in TRACKERS:
            known = ", ".join(TRACKERS)
            raise UsageError(f"align: report_to={name}: expected none, or one or several (with commas) of {known}.")
        if not any(importlib.util.find_spec(package) for package in TRACKERS[name]):
            raise UsageError(f"align: report_to={name}: {name} is not installed. pip install {TRACKERS[name][0]}")
    return [] if names == [NONE] else names


def tracker_callbacks(names: Sequence[str], run: str, *, resume: bool) -> list[Any]:
    """transformers' callbacks for the trackers ``names``.

    TensorBoard writes to ``tensorboard_dir``, where a run that starts over (not ``resume``) replaces what there is; the
    others have settings of their own. Raises UsageError where one cannot be used.
    """
    if not names:
        return []
    from transformers.integrations import integration_utils

    made = []
    for name in names:
        try:
            callback = integration_utils.INTEGRATION_TO_CALLBACK[name]()
            _require_login(name)
        except (RuntimeError, ImportError) as error:
            raise UsageError(f"align: report_to={name} cannot be used: {error}") from error
        if name == "tensorboard":
            folder = tensorboard_dir(run)
            for old in [] if resume else folder.glob("events.out.tfevents.*"):
                old.unlink()
            callback.logging_dir = str(folder)
        made.append(callback)
    return made


def tensorboard_dir(run: str) -> Path:
    """Where TensorBoard's events of a run are written: under its name in $TENSORBOARD_LOGGING_DIR, else $DAMA_HOME."""
    return Path(os.environ.get("TENSORBOARD_LOGGING_DIR") or home() / "tensorboard").expanduser() / run


def _require_login(name: str) -> None:
    """Raise UsageError where Weights & Biases would ask for a key that nobody is there to type, hours from now."""
    if name != "wandb" or sys.stdin.isatty():
        return
    wandb = importlib.import_module("wandb")
    if wandb.setup().settings.mode in ("online", "shared") and not wandb.api.api_key:
        raise UsageError("align: report_to=wandb: not logged in. Run `wandb login` first, or set WANDB_MODE=offline.")


@contextlib.contextmanager
def finished_trackers(names: Sequence[str]) -> Iterator[None]:
    """Close the runs that callbacks opened within it, so that the next alignment of this process opens its own."""
    ours = [name for name in names if name in LEFT_OPEN and not _is_open(name)]
    failed = True
    try:
        yield
        failed = False
    finally:
        for name in ours:
            if _is_open(name):
                how = {"exit_code": int(failed)} if name == "wandb" else {}
                importlib.import_module(name).finish(**how)


def _is_open(name: str) -> bool:
    run = getattr(importlib.import_module(name), LEFT_OPEN[name])
    return (run() if callable(run) else run) is not None
