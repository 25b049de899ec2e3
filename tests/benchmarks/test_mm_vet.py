"""MM-Vet against the official evaluator on scripted replies and on real GPT-4 grades, and cases worked out by hand."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import mm_vet
from benchmarks.mm_vet import TEMPERATURES, MMVet, read_grade, read_grade_officially
from cli import cli
from harness.errors import DataError
from harness.protocols.official import differing
from tests.benchmarks.conftest import figures, judged, write_json, write_jsonl
from tests.shared import shared

SCRIPT = '''
prompt = """A table to go on with:"""

def ask(question):
    return question + "\\nSay a digit: "
'''


def row(*capability: str, **more: Any) -> dict[str, Any]:
    return {"imagename": "a.png", "question": "What?", "answer": "x<AND>y", "capability": list(capability), **more}


def scored(folder: Path, code: int = 0) -> dict[str, Any]:
    words = ["score", "--benchmark", "mm_vet", "--data-dir", str(folder), "--json"]
    words += ["--responses", str(folder / "answers.jsonl"), "--replies", str(folder / "replies.jsonl")]
    result = CliRunner().invoke(cli, [*words, "--db", str(folder / "results.sqlite")])
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check_cells(metrics: dict[str, Any], expected: dict[str, dict[str, float]], prefix: str) -> None:
    """Every cell of the official tables, to the decimal printed."""
    for name, value in expected["cap_score"].items():
        if name != "runs":
            ours = {"std": "total_std"}.get(name, name)
            assert round(metrics[f"{prefix}{ours}"]["value"], 1) == value, name
    for name, value in expected["cap_int_score"].items():
        if name not in ("total", "std", "runs"):
            assert round(metrics[f"{prefix}set_{name}"]["value"], 1) == value, name


@pytest.mark.needs("reference")
@pytest.mark.parametrize("runs", [1, 3])
def test_every_cell_of_the_real_grades_through_the_command_line(tmp_path: Path, runs: int) -> None:
    root = shared("data/mm_vet")
    expected = json.loads((shared("golden/mm_vet") / "expected.json").read_text())["real_llava_1.5_grades"]
    capabilities = json.loads((root / "capabilities.json").read_text())
    write_json(tmp_path / "mm-vet.json", {id_: row(*of) for id_, of in capabilities.items()})
    answers = json.loads((root / "llava-v1.5-7b.json").read_text())
    write_jsonl(tmp_path / "answers.jsonl", [{"id": id_, "response": text} for id_, text in answers.items()])
    grades = json.loads((root / f"llava-v1.5-7b_gpt-4-grade-{runs}runs.json").read_text())
    replies = [
        {"id": id_, "run": run, "reply": reply}
        for id_, graded in grades.items()
        for run, reply in enumerate(graded["content"])
    ]
    write_jsonl(tmp_path / "replies.jsonl", replies)
    found = scored(tmp_path)
    assert (found["n"], found["n_scored"], found["n_failed"]) == (218, 218, 0)
    for prefix in ("", "official_"):
        check_cells(found["metrics"], expected[f"7b-{runs}runs"], prefix)
    with (root / f"llava-v1.5-7b_gpt-4-cap-score-{runs}runs.csv").open() as file:
        shipped = next(line for line in csv.DictReader(file) if line[""] == "llava-v1.5-7b")
    assert round(found["metrics"]["total"]["value"], 1) == float(shipped["total"])


@pytest.mark.needs("reference")
def test_scripted_replies_end_to_end_with_retries(tmp_path: Path) -> None:
    """Unparsable, out of range, rate limited, a leading blank, never parsable: the official tables, every cell."""
    folder = shared("golden/mm_vet")
    inputs, expected = (json.loads((folder / f"{name}.json").read_text()) for name in ("inputs", "expected"))
    write_json(tmp_path / "mm-vet.json", inputs["metadata(mm-vet.json layout, synthetic answers/capabilities)"])
    answers = [{"id": id_, "response": text} for id_, text in inputs["predictions"].items()]
    write_jsonl(tmp_path / "answers.jsonl", answers)
    replies = []
    for key, said in inputs["judge_replies"].items():
        id_, _, run = key.partition("|run")
        replies += [{"id": id_, "run": int(run), "reply": reply} for reply in said]
    write_jsonl(tmp_path / "replies.jsonl", replies)
    found = scored(tmp_path, code=3)
    assert found["n_failed"] == 1  # v1_45 never gets a grade: 0 officially, left out plainly
    check_cells(found["metrics"], expected, "official_")
    graded = expected["grade_results"]
    plain = [100 * sum(g["score"][run] for id_, g in graded.items() if id_ != "v1_45") / 23 for run in range(5)]
    assert found["metrics"]["total"]["value"] == pytest.approx(sum(plain) / 5)


def test_replies_from_a_grade_file_hold_only_the_last_of_five(tmp_path: Path) -> None:
    """A grade file keeps one reply an answer; where that cannot be read it is 0 officially and an error plainly."""
    write_json(tmp_path / "mm-vet.json", {"v1_0": row("ocr"), "v1_1": row("ocr")})
    write_jsonl(tmp_path / "answers.jsonl", [{"id": f"v1_{i}", "response": "x"} for i in range(2)])
    write_jsonl(tmp_path / "replies.jsonl", [{"id": "v1_0", "reply": "no"}, {"id": "v1_1", "reply": "0.5"}])
    found = scored(tmp_path, code=3)
    assert (found["metrics"]["total"]["value"], found["metrics"]["official_total"]["value"]) == (50, 25)


@pytest.mark.needs("reference")
def test_the_temperatures_are_those_of_the_recorded_calls() -> None:
    expected = json.loads((shared("golden/mm_vet") / "expected.json").read_text())
    never = [call["temperature"] for call in expected["calls"] if (call["id"], call["run"]) == ("v1_45", 0)]
    assert list(TEMPERATURES) == never


def test_the_temperature_rises_by_a_half_after_each_retry(tmp_path: Path) -> None:
    """The first retry is again at 0: officially the temperature is raised after the call, up to five retries."""
    write_json(tmp_path / "mm-vet.json", {"v1_0": row("ocr")})
    benchmark = MMVet()
    (sample,) = benchmark.load(tmp_path).samples
    asked = [benchmark.judge_prompt(sample, "an {answer}", attempt) for attempt in range(benchmark.attempts)]
    assert [q.temperature for q in asked if q] == [0.0, 0.0, 0.5, 1.0, 1.5, 2.0]
    assert asked[0] is not None and "x <AND> y" in asked[0].prompt and "an {answer}" in asked[0].prompt


def test_the_official_script_gives_the_prompt_and_what_is_added_when_asking_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The official prompt goes before the table's next row, and its digest decides whether a script is official."""
    write_json(tmp_path / "mm-vet.json", {"v1_0": row("ocr")})
    (tmp_path / "mm-vet_evaluator.py").write_text(SCRIPT)
    benchmark = MMVet()
    data = benchmark.load(tmp_path)
    assert "own-grade-1" in data.version and "not the official prompt" in " ".join(data.notes)
    digest = hashlib.sha256(b"A table to go on with:").hexdigest()
    monkeypatch.setattr(mm_vet, "OFFICIAL_PROMPT", dataclasses.replace(mm_vet.OFFICIAL_PROMPT, sha256=digest))
    data = benchmark.load(tmp_path)
    first, again = (benchmark.judge_prompt(data.samples[0], "an answer", attempt) for attempt in (0, 1))
    assert first is not None and again is not None
    assert first.prompt == "A table to go on with:\nWhat? | x <AND> y | an answer | "
    assert again.prompt == first.prompt + "\nSay a digit: " and first.max_tokens == 3
    assert f"prompt=official-{digest[:8]}" in data.version
    (said,) = differing(data.info)  # what it adds is not what the official script does
    assert said.startswith("the judge's second prompt: sha256 ")
    digest = hashlib.sha256(b"\nSay a digit: ").hexdigest()
    monkeypatch.setattr(mm_vet, "OFFICIAL_AGAIN", digest)
    assert differing(benchmark.load(tmp_path).info) == []


@pytest.mark.parametrize(
    ("reply", "plain", "official"),
    [
        ("0.7", 0.7, 0.7),
        ("1", 1.0, 1.0),
        (".5", 0.5, 0.5),
        ("0.5\n", 0.5, 0.5),
        (" 0.6", 0.6, None),
        ("**0.8**", 0.8, None),
        ("0.8.", 0.8, None),
        ("Correctness: 0.4", 0.4, None),
        ("0.5/1.0", 0.5, None),
        ("0.5 out of 1", 0.5, 0.5),
        ("1e-1", None, 0.1),
        ("0.7 or 0.8", None, 0.7),
        ("0.7-0.8", None, None),
        ("not 0.7", None, None),
        ("They say 0.7", None, None),
        (">0.7", None, None),
        ("0.7+", None, None),
        ("0.7 if generous", None, 0.7),
        ("0.", None, 0.0),
        ("٣", None, None),
        ("The score is 0.7 because it names the dog", 0.7, None),
        ("7/10", None, None),
        ("0.7/10", None, None),
        ("70%", None, None),
        ("0,7", None, None),
        ("1.5", None, None),
        ('{"grade": 0.5}', 0.5, None),
        ('```json\n{"reason": "1 of 2 dogs", "grade": 0.5}\n```', 0.5, None),
        ('{"score": "0.5"}', 0.5, None),
        ('{"grade": 0.5, "score": 1.0}', None, None),
        ('{"grade": 5}', None, None),
        ('{"confidence": 0.5}', None, None),
        ("```\n0.5\n```", 0.5, None),
        ("\\boxed{0.5}", 0.5, None),
        ("The answer contained the line\n1.0", None, None),
        ('The answer says "1.0"', None, None),
        ("> 1.0", None, None),
        ("-0.5", None, None),
        ("The score", None, None),
        ("inf", None, None),
        ("", None, None),
    ],
)
def test_one_grade_on_the_scale_is_read_and_nothing_else(
    reply: str, plain: float | None, official: float | None
) -> None:
    assert (read_grade(reply), read_grade_officially(reply)) == (plain, official)


def test_not_a_number_is_a_grade_only_officially() -> None:
    assert read_grade("nan") is None and math.isnan(read_grade_officially("nan") or 0.0)


def test_the_sixth_reply_counts_plainly_and_is_never_read_officially(tmp_path: Path) -> None:
    write_json(tmp_path / "mm-vet.json", {"v1_0": row("ocr", "math"), "v1_1": row("math", "ocr")})
    benchmark = MMVet()
    samples = benchmark.load(tmp_path).samples
    assert benchmark.metrics(samples)[8].name == "set_math+ocr", "a set does not depend on the order it is written in"
    late, early = judged(benchmark, samples[0], "x", ["?"] * 5 + ["1.0"]), judged(benchmark, samples[1], "x", ["0.5"])
    values = figures(benchmark, samples, [late, early])
    assert (values["total"], values["official_total"]) == (75, 25)
    assert (values["math"], values["official_set_math+ocr"]) == (75, 25)


def test_errors_name_the_file_and_the_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mm-vet\.json"):
        MMVet().load(tmp_path)
    write_json(tmp_path / "mm-vet.json", {"v1_0": row()})
    with pytest.raises(DataError, match=r"mm-vet\.json v1_0: field 'capability' is empty"):
        MMVet().load(tmp_path)
    write_json(tmp_path / "mm-vet.json", [])
    with pytest.raises(DataError, match="expected an object of id -> question, found list"):
        MMVet().load(tmp_path)
