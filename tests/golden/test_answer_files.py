"""`score` on the golden answers in the layouts of the official scripts: every figure is that of the harness's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.evaluation.resolve import load, make_benchmark
from tests.golden.test_golden import HERE

ALL = {"amber", "llava_bench", "mmhal", "object_halbench", "pope", "mm_vet", "hallusion_bench", "chair_coco"}
MORE = {
    "amber": ["--set", "similarity=exact", "--set", "tagger=lexicon"],
    "chair_coco": ["--set", "images=8", "--set", "tagger=lexicon"],
}


def official(benchmark: str, answers: dict[str, str]) -> tuple[str, str]:
    """(name, content) of the official file: AMBER's, LLaVA's, RLAIF-V's, MMHal-Bench's template, HallusionBench's file
    with the predictions (here in another order), CHAIR's captions, MM-Vet's object."""
    settings = {"images": 8} if benchmark == "chair_coco" else {}
    samples = load(make_benchmark(benchmark, settings), HERE / benchmark / "data").samples
    rows: list[dict[str, Any]]
    if benchmark == "mm_vet":
        return "mm_vet.json", json.dumps(answers, indent=4)
    if benchmark == "chair_coco":
        return "captions.json", json.dumps([{"image_id": int(i), "caption": text} for i, text in answers.items()])
    if benchmark == "hallusion_bench":
        rows = json.loads((HERE / benchmark / "data/HallusionBench.json").read_text())
        rows = [{**row, "model_prediction": answers[s.id]} for row, s in zip(rows, samples, strict=True)]
        return "HallusionBench_result.json", json.dumps(rows[::-1])
    if benchmark == "amber":
        return "amber.json", json.dumps([{"id": int(i), "response": text} for i, text in answers.items()])
    if benchmark == "mmhal":
        template = json.loads((HERE / "mmhal/data/response_template.json").read_text())
        return "mmhal.json", json.dumps([{**r, "model_answer": answers[str(i)]} for i, r in enumerate(template)])
    if benchmark == "pope":  # LLaVA's, which numbers the questions of all splits
        rows = [{"question_id": n, "prompt": s.prompt, "text": answers[s.id]} for n, s in enumerate(samples)]
    elif benchmark == "llava_bench":
        rows = [{"question_id": int(s.id), "prompt": s.prompt, "text": answers[s.id]} for s in samples]
    else:
        rows = [{"question": s.prompt, "answer": answers[s.id], "image_id": s.data["image_id"]} for s in samples]
    return "answers.jsonl", "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize("benchmark", sorted(ALL))
def test_official_answer_files_give_the_same_figures(benchmark: str, tmp_path: Path) -> None:
    lines = (HERE / benchmark / "answers.jsonl").read_text().splitlines()
    name, content = official(benchmark, {str(row["id"]): row["response"] for row in map(json.loads, lines)})
    (tmp_path / name).write_text(content)
    results = []
    for responses in (HERE / benchmark / "answers.jsonl", tmp_path / name):
        words = ["score", "--benchmark", benchmark, "--responses", str(responses), "--json"]
        words += ["--data-dir", str(HERE / benchmark / "data"), "--db", str(tmp_path / "r.sqlite")]
        replies = HERE / benchmark / "replies.jsonl"
        words += ["--replies", str(replies)] if replies.exists() else []
        outcome = CliRunner().invoke(cli, [*words, *MORE.get(benchmark, [])])
        assert outcome.exit_code in (0, 3), outcome.output
        result = json.loads(outcome.stdout)
        results.append(
            {name: figure["value"] for name, figure in result["metrics"].items()} | {"n": result["n_scored"]}
        )
    assert results[0] == results[1] and results[0]["n"] > 0
