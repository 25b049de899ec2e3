"""The commands that are disturbed, each on something small."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.faults.lane import CONCURRENCY, DB, Lane, Scenario

SAMPLES = 12
FIELDS = {"question_topic": "x", "image_src": "", "image_content": ["Dog"], "gt_answer": "A dog.", "model_answer": ""}
KINDS = ("attribute", "relation")


def mmhal_data(lane: Lane) -> None:
    """MMHal's questions and answers to them."""
    rows = [
        {**FIELDS, "question_type": KINDS[i % 2], "image_id": str(i), "question": f"Question {i}?"}
        for i in range(SAMPLES)
    ]
    (lane.folder / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    for name in ("answers", "others"):
        lines = [json.dumps({"id": i, "response": f"It is {name} {i}."}) + "\n" for i in range(SAMPLES)]
        (lane.folder / f"{name}.jsonl").write_text("".join(lines))


def score(lane: Lane, answers: str = "answers") -> Sequence[str]:
    """Score ``answers`` with the lane's judge."""
    settings = {"concurrency": CONCURRENCY, "first_wait": 0.01, "tries": 3}
    return [
        *("score", "--benchmark", "mmhal", "--responses", f"{answers}.jsonl", "--data-dir", ".", "--db", DB, "--json"),
        *("--judge", f"openai:judge@{lane.server.url}"),
        *(word for name, value in settings.items() for word in ("--set", f"judge.{name}={value}")),
    ]


def scored(lane: Lane) -> None:
    """A results file with one evaluation."""
    mmhal_data(lane)
    done(lane, score(lane, "others"), {0, 3})


def done(lane: Lane, words: Sequence[str], codes: set[int] | None = None) -> None:
    """Run a command that must work."""
    code, run = lane.run(words)
    if code not in (codes or {0}):
        raise RuntimeError(f"{' '.join(words)} does not work undisturbed ({code}): {run.stderr[-2000:]}")


PAGE = ["leaderboard", "--db", DB, "--out", "page.html", "--format", "html"]
SCENARIOS = {
    each.name: each
    for each in (
        Scenario("score on a new file", score, mmhal_data, codes=frozenset({0, 3})),
        Scenario("score", score, scored, codes=frozenset({0, 3})),
        Scenario("db info", lambda lane: ["db", "info", "--db", DB, "--json"], scored),
        Scenario("leaderboard --out", lambda lane: PAGE, scored, exact=("page.html",)),
        Scenario("export", lambda lane: ["export", "--db", DB, "--out", "tables"], scored),
    )
}
