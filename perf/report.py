"""The leaderboard of a big store: five runs on all of AMBER, as statistics, as a page, and in a real browser.

    python perf/report.py --data-dir AMBER_DIR

AMBER_DIR holds the official files (no images are needed); the answers are made up (perf/score.py). Prints:
- bootstrap: seconds for 10,000 resamples of all rows, ungrouped and grouped by image (wanted: < 2).
- page: seconds of `leaderboard --format html --out DIR`, and the size of the page.
- open, answers: seconds in headless Chromium until the page is loaded (wanted: < 3), and from a press on a figure
  until its first answers are there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from score import answer_of, command_seconds

from benchmarks.amber import Amber
from harness.stats import bootstrap_sums
from tests.leaderboards.browser import Browser
from tests.leaderboards.page.test_report_in_browser import CARDS

RUNS, RESAMPLES = 5, 10_000
PRESS = "[...document.querySelectorAll('tr[data-method] .figure')].find(f => f.offsetParent).click()"


def bootstrap_seconds(groups: list[str]) -> float:
    values = np.random.default_rng(0).random((len(groups), 2))
    began = time.perf_counter()
    bootstrap_sums(values, groups, resamples=RESAMPLES)
    return time.perf_counter() - began


def browser_seconds(page: Path, profile: Path) -> tuple[float, float]:
    """(until the page is loaded, from the press on a figure to the first answers)."""
    with Browser(profile) as browser:
        began = time.perf_counter()
        browser.open(page, 1360, 900)
        loaded = time.perf_counter()
        browser.run(PRESS)
        browser.wait(CARDS)
        return loaded - began, time.perf_counter() - loaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args()
    samples = Amber(similarity="exact").load(options.data_dir).samples
    for name, groups in (("ungrouped", [""] * len(samples)), ("by image", [sample.group for sample in samples])):
        print(f"bootstrap {bootstrap_seconds(groups):.2f} s, {name}, {len(groups)} rows, {RESAMPLES} resamples")
    with tempfile.TemporaryDirectory() as made:
        folder, db = Path(made), f"{made}/r.sqlite"
        for run in range(RUNS):
            answers = folder / f"run{run}.jsonl"
            rows = (json.dumps({"id": s.id, "response": answer_of(s, run)}) + "\n" for s in samples)
            answers.write_text("".join(rows))
            words = ["score", "--benchmark", "amber", "--responses", str(answers), "--set", "similarity=exact"]
            command_seconds([*words, "--data-dir", str(options.data_dir), "--db", db, "--json"])
        seconds = command_seconds(["leaderboard", "--format", "html", "--out", f"{made}/page", "--db", db])
        page = folder / "page/index.html"
        print(
            f"page      {seconds:.1f} s for {RUNS} runs of {len(samples)} samples, {page.stat().st_size / 1e3:.0f} kB"
        )
        opened, shown = browser_seconds(page, folder / "profile")
        print(f"open      {opened:.2f} s\nanswers   {shown:.2f} s")


if __name__ == "__main__":
    main()
