"""A judge of another package with a budget and a price: a package that the test makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.store import Store

ROOT = Path(__file__).parents[2]
PRICED = '''
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.chat.prices import cost, load_prices
from harness.protocols.judge import Judge, JudgeRequest, Reply


@dataclass(frozen=True)
class PricedSettings:
    budget: float | None = None
    prices: str = ""
    rating: int = 5


class Priced(Judge):
    """Rates everything alike, for ten tokens a question."""

    Settings = PricedSettings

    def __init__(self, argument: str, root: Path, settings: PricedSettings) -> None:
        self.name, self.endpoint, self.model = f"priced:{argument}", "here", argument
        self._settings, self._tokens = settings, 0
        self._prices = load_prices(Path(settings.prices))

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        for position, _ in enumerate(requests):
            next_one = self.cost({"prompt_tokens": 10})
            if self._settings.budget is not None and self.spent + next_one > self._settings.budget:
                yield position, Reply(None, self.model, error="the budget is spent")
                continue
            self._tokens += 10
            yield position, Reply(f"Rating: {self._settings.rating}", self.model, usage={"prompt_tokens": 10})

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        return cost(usage, self.model, self._prices)

    @property
    def spent(self) -> float | None:
        return self.cost({"prompt_tokens": self._tokens})
'''
ROW: dict[str, object] = {
    "question_type": "attribute",
    "question_topic": "x",
    "image_src": "",
    "image_content": ["Dog"],
}
ROW |= {"gt_answer": "A dog.", "model_answer": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The package, MMHal questions and answers to them, and the judge's price list."""
    (tmp_path / "priced_judge.py").write_text(PRICED)
    info = tmp_path / "priced_judge-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: priced-judge\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dama_harness.judges]\npriced = priced_judge:Priced\n")
    rows = [{**ROW, "image_id": str(i), "question": f"What is {i}?"} for i in range(8)]
    (tmp_path / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    lines = [json.dumps({"id": i, "response": f"It is dog {i}."}) + "\n" for i in range(8)]
    (tmp_path / "answers.jsonl").write_text("".join(lines))
    (tmp_path / "prices.yaml").write_text("large: {input: 10000, output: 0}\n")
    return tmp_path


def score(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    words = ["score", "--benchmark", "mmhal", "--responses", "answers.jsonl", "--data-dir", ".", "--db", "r.sqlite"]
    command = [sys.executable, str(ROOT / "cli.py"), *words, "--judge", "priced:large", "--json", *more]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_budget_prices_and_settings_reach_a_judge_that_has_them_and_its_cost_is_stored(folder: Path) -> None:
    prices = ("--prices", "prices.yaml")
    planned = score(folder, *prices, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)["total"]
    assert plan["judge_calls"] == 8 and plan["usd"] == pytest.approx(0.01 * plan["judge_prompt_tokens"])
    stopped = score(folder, *prices, "--budget", "0.35")
    assert (stopped.returncode, json.loads(stopped.stdout)["n_scored"]) == (3, 3), stopped.stderr
    assert "The judge cost $0.3000" in stopped.stderr
    done = score(folder, *prices, "--set", "judge.rating=2")
    assert (done.returncode, json.loads(done.stdout)["n_scored"]) == (0, 8), done.stderr
    assert "The judge cost $0.5000" in done.stderr
    (record,) = Store.existing(folder / "r.sqlite").evaluations()
    assert record.info["judging"]["usd"] == pytest.approx(0.8), "of all replies behind the figures"
    assert record.metrics["score"]["value"] == pytest.approx((3 * 5 + 5 * 2) / 8)


def test_a_setting_that_the_judge_does_not_have_is_named(folder: Path) -> None:
    wrong = score(folder, "--prices", "prices.yaml", "--set", "judge.ratin=2")
    assert wrong.returncode == 2 and "Unknown setting of --judge priced 'ratin'. Did you mean 'rating'?" in wrong.stderr
