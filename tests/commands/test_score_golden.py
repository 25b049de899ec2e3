"""`score` on the reference inputs: every figure that the official scorers printed, as a user gets it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.mmhal import TYPES
from cli import cli
from tests.benchmarks.conftest import nltk_data, write_jsonl  # noqa: F401
from tests.benchmarks.test_amber import BLOCKS, COUNTERS
from tests.benchmarks.test_object_halbench import OFFICIAL_NAMES, data_dir
from tests.shared import shared


def golden(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    folder = shared(f"golden/{name}")
    return json.loads((folder / "inputs.json").read_text()), json.loads((folder / "expected.json").read_text())


def score(tmp: Path, benchmark: str, data: Path, answers: Mapping[str, str], *more: str, code: int) -> dict[str, Any]:
    write_jsonl(tmp / "answers.jsonl", [{"id": i, "response": text} for i, text in answers.items()])
    files = ["--responses", str(tmp / "answers.jsonl"), "--data-dir", str(data), "--db", str(tmp / "r.sqlite")]
    result = CliRunner().invoke(cli, ["score", "--benchmark", benchmark, *files, *more, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def values(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figure["value"] for name, figure in found["metrics"].items()}


@pytest.mark.needs("reference")
@pytest.mark.parametrize("variant", ["exact", "table"])
@pytest.mark.usefixtures("nltk_data")
def test_amber_captions(variant: str, tmp_path: Path) -> None:
    """The pooled figures follow from the recorded counters and the 0.001 that each starts at."""
    inputs, expected = golden("amber")
    (tmp_path / "table.json").write_text(json.dumps(inputs["similarity_table"]))
    similarity = "exact" if variant == "exact" else f"table:{tmp_path / 'table.json'}"
    answers = {str(row["id"]): row["response"] for row in inputs["generative"]}
    settings = ("--set", f"similarity={similarity}", "--set", "tagger=nltk")
    found = score(tmp_path, "amber", shared("data/amber"), answers, *settings, code=3)
    assert (found["n"], found["n_scored"], found["n_failed"]) == (15220, 34, 0)
    rows = [row[variant] for row in expected["generative"]["per_sample_counters_without_0.001"]]
    total = {name: sum(row[name] for row in rows) for name in [*COUNTERS, "non_hallu_score"]}
    figures = values(found)
    for ours, above, below in (
        ("chair", "chair_score", "chair_num"),
        ("cover", "safe_cover_score", "safe_cover_num"),
        ("cog", "hallu_cover_score", "hallu_cover_num"),
    ):
        assert figures[f"official_{ours}"] == round(total[above] / (total[below] + 0.001) * 100, 1)
        assert figures[ours] == pytest.approx(total[above] / total[below] * 100)
    clean = total["non_hallu_score"] / (total["non_hallu_num"] + 0.001) * 100
    assert figures["official_hal"] == round(100 - clean, 1)


@pytest.mark.needs("reference")
@pytest.mark.parametrize("name", ["clean", "full14216_all_no", "full14216_all_yes", "edge"])
def test_amber_questions(name: str, tmp_path: Path) -> None:
    inputs, expected = golden("amber")
    questions = [row["id"] for row in json.loads((shared("data/amber") / "annotations.json").read_text())[1004:]]
    runs: list[tuple[dict[str, str], list[Mapping[str, Any]]]]
    if name == "edge":
        runs = [({str(row["id"]): row["response"]}, [row["printed"]]) for row in expected["edge_single_sample"]]
    elif name == "clean":
        keys = ("clean", "clean_de", "clean_da", "clean_dr")
        answers = {str(row["id"]): row["response"] for row in inputs["discriminative_clean"]}
        runs = [(answers, [expected["discriminative"][key]["printed"] for key in keys])]
    else:
        word = "No" if name.endswith("no") else "Yes"
        runs = [({str(i): word for i in questions}, [expected["discriminative"][name]["printed"]])]
    for answers, tables in runs:
        settings = ("--set", "similarity=exact", "--set", "tagger=lexicon")
        figures = values(score(tmp_path, "amber", shared("data/amber"), answers, *settings, code=3))
        for block, shown in [item for table in tables for item in table.items()]:
            if isinstance(shown, Mapping):
                ours = {figure: figures[f"official_{BLOCKS[block]}{figure.lower()}"] for figure in shown}
                assert ours == dict(shown), block


@pytest.mark.needs("reference")
def test_mmhal(tmp_path: Path) -> None:
    inputs, expected = golden("mmhal_bench")
    reviews: Sequence[str] = inputs["reviews"]
    write_jsonl(tmp_path / "replies.jsonl", [{"id": i, "reply": review} for i, review in enumerate(reviews)])
    answers = {str(i): f"Answer {i}." for i in range(96)}
    replies = ("--replies", str(tmp_path / "replies.jsonl"))
    found = score(tmp_path, "mmhal", shared("data/mmhal_bench"), answers, *replies, code=3)
    figures = values(found)
    scores = expected["per_review_score"]
    assert figures["official_score"] == pytest.approx(sum(scores) / 96)
    assert figures["official_hallucination_rate"] == pytest.approx(100 * sum(s < 3 for s in scores) / 96)
    printed = [float(n) for n in re.findall(r"\d+\.\d+", expected["rlaifv_eval_gpt_mmhal_stdout_tail"])]
    assert [round(figures[f"official_score_{kind}"], 2) for kind in TYPES] == printed[2:]
    line = expected["rlaifv_informativeness_line"][0]
    assert round(figures["official_informativeness"], 2) == float(line.split()[-1])
    assert found["n_scored"] + found["n_failed"] == 96 and 0 < found["n_failed"] < 14


@pytest.mark.needs("reference")
@pytest.mark.usefixtures("nltk_data")
@pytest.mark.parametrize("mode", ["judge", "text"])
def test_object_halbench(mode: str, tmp_path: Path) -> None:
    inputs, expected = golden("object_halbench")
    data = tmp_path / "data"
    data.mkdir()
    data_dir(data, inputs, single_file=False)
    answers = {str(i): row["text"] for i, row in enumerate(inputs["responses"])}
    given = {caption.replace("Assistant:", "").strip(): r for caption, r in inputs["gpt_replies_by_caption"].items()}
    rows = [
        {"id": i, "reply": reply}
        for i, text in answers.items()
        for reply in given.get(text.replace("Assistant:", "").strip(), [])
    ]
    write_jsonl(tmp_path / "replies.jsonl", rows)
    more = ("--replies", str(tmp_path / "replies.jsonl")) if mode == "judge" else ("--set", "extraction=text")
    figures = values(score(tmp_path, "object_halbench", data, answers, "--set", "tagger=nltk", *more, code=0))
    overall = expected["gpt_mode" if mode == "judge" else "text_mode_no_gpt"]["overall_metrics"]
    prefix = "official_" if mode == "judge" else ""
    for theirs, ours in OFFICIAL_NAMES.items():
        assert figures[prefix + ours] == pytest.approx(100 * overall[theirs], abs=1e-9)
    assert figures[f"{prefix}nonhal_response"] == pytest.approx(100 * overall["correct_rate"])
    assert figures[f"{prefix}nonhal_mention"] == pytest.approx(100 * overall["object_correct_rate"])
