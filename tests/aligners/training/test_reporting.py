"""Trackers get the metrics of every step, under the run's name, from the first process alone."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aligners.dpo import Dpo
from aligners.pairs.data import load_pairs
from aligners.training.config import AlignConfig
from aligners.training.pipeline import align
from aligners.training.reporting import tracker_names
from harness.errors import UsageError
from tests.aligners.training.runs import Bench, Notes
from tests.tiny import tiny_pairs

# What transformers' callbacks call of each package, and its own checks: a run opened twice is an error.
FAKES = {
    "wandb": """
        run, config, said = None, dict(), []
        class Run:
            def __init__(self, name): self.name, self.id, self.summary, self.url = name, name, {}, ""
            def _label(self, **_): pass
        class Settings: mode = "offline"
        class Setup: settings = Settings()
        def setup(): return Setup()
        def init(project, name):
            global run
            assert run is None
            run = Run(name)
        def log(values): said.append((run.name, values["train/global_step"], values))
        def finish(exit_code):
            global run
            run = None
            said.append(("finished", exit_code, {}))
    """,
    "swanlab": """
        config, said, current = dict(), [], None
        def get_run(): return current
        def init(experiment_name, project):
            global current
            assert current is None
            current = experiment_name
        def log(values, step): said.append((current, step, values))
        def finish():
            global current
            current = None
            said.append(("finished", 0, {}))
    """,
}


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Packages that hold transformers' callbacks to what the real ones take."""
    for name, text in FAKES.items():
        folder = tmp_path / "packages" / name
        lib = folder / "sdk" / "lib"
        lib.mkdir(parents=True)
        body = "\n".join(line.removeprefix(" " * 8) for line in text.splitlines())
        (folder / "__init__.py").write_text(body)
        for package in (folder / "sdk", lib):
            (package / "__init__.py").write_text("")
        (lib / "config_util.py").write_text("class ConfigError(Exception): pass")
    real = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in FAKES}
    for name in real:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in FAKES]:
        del sys.modules[name]
    sys.modules.update(real)


def run(bench: Bench, name: str, notes: Notes, report_to: str, folder: Path, **changes: Any) -> None:
    config = dataclasses.replace(bench.base, micro_batch=8, report_to=report_to, **changes)
    heldout = load_pairs(tiny_pairs(folder / "heldout", count=3, seed=9))
    align(config, Dpo(), notes, folder / name, hardness=None, heldout=heldout, name=name, resume=True)


def test_every_metric_of_every_step_and_the_heldout_pairs_arrive_under_the_runs_name(
    bench: Bench, tmp_path: Path, fakes: None
) -> None:
    notes, second = Notes(), Notes(stop_at=2)
    run(bench, "mine", notes, "wandb,swanlab", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(bench, "other", second, "wandb, swanlab", tmp_path)
    for tracker, failed in (("wandb", 1), ("swanlab", 0)):
        said = importlib.import_module(tracker).said
        steps = {step: values for name, step, values in said if name == "mine" and "train/loss" in values}
        assert sorted(steps) == sorted(notes.steps) and len(steps) == 4
        for step, metrics in notes.steps.items():
            assert {f"train/{name}": value for name, value in metrics.items()}.items() <= steps[step].items()
        gaps = [gap for _, gap in notes.gaps[4, "heldout"]]
        measured = [values for name, step, values in said if (name, step) == ("mine", 4) and "eval/gap" in values]
        assert measured[-1]["eval/gap"] == pytest.approx(sum(gaps) / 3)
        assert measured[-1]["eval/accuracy"] == pytest.approx(sum(gap > 0 for gap in gaps) / 3)
        names = [name for name, _, _ in said]
        assert list(dict.fromkeys(names)) == ["mine", "finished", "other"], "each run is closed before the next opens"
        assert said[-1][:2] == ("finished", failed)


@pytest.mark.needs("tensorboard")
def test_tensorboard_has_the_run_under_its_name(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "logs"))
    for _ in range(2):  # a run that starts over replaces the curves of the one before
        notes = Notes()
        bench.run(Dpo(), "mine", notes, report_to="tensorboard", micro_batch=8)
    events = EventAccumulator(str(tmp_path / "logs" / "mine"))
    events.Reload()
    for name in ("loss", "margin", "accuracy", "lr"):
        found = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert found == [(step, pytest.approx(metrics[name], rel=1e-6)) for step, metrics in notes.steps.items()]


@pytest.mark.parametrize("name", ["mlflow", "trackio", "swanlab", "tensorboard"])
def test_a_tracker_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"report_to={name}: {name} is not installed\. pip install {name}"):
        AlignConfig(model="m", data="d", report_to=name)


def test_trackers_are_known_by_name() -> None:
    assert tracker_names("none") == []
    with pytest.raises(
        UsageError, match=r"report_to=tensorbord: expected none, or one or several .* tensorboard, wandb"
    ):
        tracker_names("tensorbord")
    with pytest.raises(UsageError, match="report_to=none: expected"):
        tracker_names("none,wandb")
