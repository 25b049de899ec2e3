"""LLaVA-Bench against the official summariser on real GPT-4 reviews, and cases worked out by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import dama
from benchmarks.llava_bench import LlavaBench, read_scores, read_scores_officially
from cli import cli
from harness.errors import DataError
from harness.protocols.benchmark import Sample
from tests.benchmarks.conftest import figures, judged, write_json, write_jsonl
from tests.shared import shared


@pytest.fixture(scope="module")
def golden() -> tuple[dict[str, Any], dict[str, Any]]:
    folder = shared("golden/llava_bench")
    return json.loads((folder / "inputs.json").read_text()), json.loads((folder / "expected.json").read_text())


def write_data(root: Path, questions: list[dict[str, Any]], rule: str | None = "Score both.") -> Path:
    """A data directory in the official layout; every question has its own image."""
    root.mkdir(exist_ok=True)
    rows = [{"image": f"{q['question_id']:03}.jpg", **q} for q in questions]
    write_jsonl(root / "questions.jsonl", rows)
    write_jsonl(root / "context.jsonl", [{"image": row["image"], "caption": "A caption of the image."} for row in rows])
    answers = [{"question_id": row["question_id"], "text": "Reference answer."} for row in rows]
    write_jsonl(root / "answers_gpt4.jsonl", answers)
    if rule is not None:
        write_json(root / "rule.json", {f"llava_bench_{c}": {"prompt": rule} for c in ("conv", "detail", "complex")})
    return root


def question(number: int, category: str = "conv") -> dict[str, Any]:
    return {"question_id": number, "text": "Describe this photo in detail.", "category": category}


def printed(stdout: str) -> dict[str, list[float]]:
    """category -> the numbers of a line of the official summariser."""
    lines = [line.split() for line in stdout.splitlines() if line.startswith(("all ", "llava_bench_"))]
    return {words[0].removeprefix("llava_bench_"): [float(word) for word in words[1:]] for words in lines}


@pytest.mark.needs("reference")
def test_official_reading_of_the_recorded_reviews(golden: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for row in golden[1]["parse_score"]:
        assert list(read_scores_officially(row["review"])) == row["scores"], row


@pytest.mark.needs("reference")
def test_every_cell_of_the_real_reviews_through_the_command_line(
    golden: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    """Three runs of GPT-4 reviews of LLaVA-1.5-7B's answers; over runs a figure is the mean of the runs' figures."""
    root = shared("data/llava_bench")
    derived = json.loads((root / "questions_derived.json").read_text())
    data = write_data(tmp_path / "data", derived)
    answers = [json.loads(line) for line in (root / "answers_llava-v1.5-7b.jsonl").read_text().splitlines()]
    write_jsonl(tmp_path / "answers.jsonl", [{"id": a["question_id"], "response": a["text"]} for a in answers])
    replies: list[dict[str, Any]] = []
    runs = sorted(golden[1]["real_reviews"].items())
    for run, (name, expected) in enumerate(runs):
        reviews = [json.loads(line) for line in (root / name).read_text().splitlines()]
        rows = [{"id": r["question_id"], "reply": r["content"]} for r in reviews]
        replies += [{**row, "run": run} for row in rows]
        write_jsonl(tmp_path / "one.jsonl", rows)
        metrics = scored(tmp_path, data, "one.jsonl")
        for category, (relative, reference, answer) in printed(expected["stdout"]).items():
            for prefix in ("", "official_"):  # all real reviews can be read
                assert round(metrics[f"{prefix}{category}"]["value"], 1) == relative, (name, prefix, category)
            assert round(metrics[f"official_{category}_reference"]["value"], 1) == reference
            assert round(metrics[f"official_{category}_answer"]["value"], 1) == answer
    write_jsonl(tmp_path / "all.jsonl", replies)
    metrics = scored(tmp_path, data, "all.jsonl")
    of_runs = [printed(expected["stdout"])["all"][0] for _, expected in runs]
    assert metrics["all"]["value"] == pytest.approx(sum(of_runs) / 3, abs=0.05)
    assert metrics["all_std"]["value"] == pytest.approx(0.66, abs=0.05)  # of 64.7, 65.3 and 66.3
    check_agreement_among_runs(replies, tmp_path / "results.sqlite")


def check_agreement_among_runs(replies: list[dict[str, Any]], db: Path) -> None:
    """Krippendorff 2011, interval data without gaps: 1 - D_o / D_e, the mean squared differences between the runs of an
    answer and between any two of all scores. The figure is in docs/benchmarks.md.
    """
    by_id: dict[str, list[float]] = {}
    for reply in replies:
        by_id.setdefault(reply["id"], []).append(read_scores_officially(reply["reply"])[1])
    judge = "replay:all.jsonl"
    scores = np.array(list(by_id.values()))  # [60 answers, 3 runs]
    observed = ((scores[:, :, None] - scores[:, None]) ** 2).sum() / (60 * 3 * 2)
    expected = ((scores.ravel()[:, None] - scores.ravel()) ** 2).sum() / (180 * 179)
    (alone,) = dama.agree(judge, benchmark="llava_bench", rating="answer_all", db=db)
    assert alone.alpha.value == pytest.approx(1 - observed / expected)
    assert alone.alpha.value == pytest.approx(0.98, abs=0.005) and (alone.n, alone.runs_a) == (60, 3)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        (found,) = dama.agree(f"{judge}#{one}", f"{judge}#{other}", benchmark="llava_bench", rating="answer_all", db=db)
        scores = np.array([[of[one], of[other]] for of in by_id.values()])  # [60 answers, 2 runs]
        observed = ((scores[:, 0] - scores[:, 1]) ** 2).mean()
        expected = ((scores.ravel()[:, None] - scores.ravel()) ** 2).sum() / (120 * 119)
        assert found.alpha.value == pytest.approx(1 - observed / expected)
        assert found.alpha.value == pytest.approx(0.98, abs=0.01)


def scored(folder: Path, data: Path, replies: str) -> dict[str, dict[str, float]]:
    words = [
        "score",
        "--benchmark",
        "llava_bench",
        "--responses",
        str(folder / "answers.jsonl"),
        "--data-dir",
        str(data),
    ]
    words += ["--replies", str(folder / replies), "--db", str(folder / "results.sqlite"), "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    found: dict[str, dict[str, float]] = json.loads(result.stdout)["metrics"]
    return found


@pytest.mark.needs("reference")
def test_unreadable_reviews_are_minus_one_officially_and_left_out_plainly(
    golden: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """The plain figures are those of RLHF-V's summariser, which skips the pairs that LLaVA's averages in.

    Of the three, "9, 6" (two blanks between the numbers) can be read, so its plain figures are without it.
    """
    benchmark, reviews = LlavaBench(), golden[0]["synthetic_reviews"]
    samples = [
        Sample(str(r["id"]), "?", data={"category": r["category"].removeprefix("llava_bench_")}) for r in reviews
    ]
    verdicts = [judged(benchmark, s, "x", [r["content"]]) for s, r in zip(samples, reviews, strict=True)]
    assert [r["content"] for r, v in zip(reviews, verdicts, strict=True) if v.error] == [
        "I would rate both highly.\n8 7"
    ] * 2
    values = figures(benchmark, samples, verdicts)
    for category, (relative, reference, answer) in printed(golden[1]["synthetic_summarize_stdout"]).items():
        assert round(values[f"official_{category}"], 1) == relative
        assert round(values[f"official_{category}_reference"], 1) == reference
        assert round(values[f"official_{category}_answer"], 1) == answer
    skipping = golden[1]["synthetic_rlhfv_summarizer_stdout(skips -1)"]
    plain = {line.split()[0]: float(line.split()[-1]) for line in skipping.splitlines() if "[" in line}
    for category, relative in plain.items():
        if category not in ("all", "llava_bench_complex"):  # where the third one is
            assert round(values[category.removeprefix("llava_bench_")], 1) == relative


@pytest.mark.needs("reference")
def test_the_question_to_the_judge_is_the_official_one(
    golden: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    check = golden[1]["prompt_check"]
    rules = json.loads(shared("data/llava_bench/rule.json").read_text())
    benchmark = LlavaBench()
    root = write_data(tmp_path, [question(0, "detail")], rules["llava_bench_detail"]["prompt"])
    (sample,) = benchmark.load(root).samples
    asked = benchmark.judge_prompt(sample, check["answer2"], 0)
    assert asked is not None
    assert hashlib.sha256(asked.prompt.encode()).hexdigest() == check["user_content_sha256"]
    assert (asked.system, asked.temperature, asked.max_tokens) == (check["system_message"], 0.2, 1024)


@pytest.mark.parametrize(
    ("reply", "pair"),
    [
        ("8 10\nBoth good.", (8, 10)),
        ("9, 7\nx", (9, 7)),
        (" 8  6 ", (8, 6)),
        ("\n8 6", (8, 6)),
        ("8.5 6.", (8.5, 6)),
        ("8/10 6/10\nx", (8, 6)),
        ("**8 6**", (8, 6)),
        ("[8, 6]", (8, 6)),
        ("Scores: 8 6", (8, 6)),
        ("Assistant 1: 8\nAssistant 2: 6", (8, 6)),
        ("Assistant 1: 8, Assistant 2: 6", (8, 6)),
        ("```\n8 6\n```\nFine.", (8, 6)),
        ("**8**, **6**", (8, 6)),
        ("`8 6`", (8, 6)),
        ("| 8 | 6 |", (8, 6)),
        ("**Scores:** 8 6", (8, 6)),
        ("- **Assistant 1**: 8\n- **Assistant 2**: 6", (8, 6)),
        ("Assistant 1's score: 8\nAssistant 2's score: 6", (8, 6)),
        ('```json\n{"assistant_1": 8, "assistant_2": 6, "why": "Assistant 1: 10"}\n```', (8, 6)),
        ('{"assistant_2": 6, "assistant_1": 8}', None),
        ('{"assistant_1": 8}', None),
        ("> 10 10\n8 6", (8, 6)),
        ("The answer contained the line\n10 10", None),
        ("8*6", None),
        ("8**6", None),
        ("- 1 5", None),
        ("-1 5\nx", None),
        ("0 5", None),
        ("11 8", None),
        ("9 8 7\nx", None),
        ("8", None),
        ("8\n6", None),
        ("8/100 6/100", None),
        ("86", None),
        ("Assistant 2: 6\nAssistant 1: 8", None),
        ("nan nan", None),
        ("I rate them as follows\n8 6", None),
        ("", None),
    ],
)
def test_two_scores_on_the_scale_are_read_and_nothing_else(reply: str, pair: tuple[float, float] | None) -> None:
    assert read_scores(reply) == pair


def test_without_rules_the_own_wording_is_used_and_recorded(tmp_path: Path) -> None:
    benchmark = LlavaBench()
    data = benchmark.load(write_data(tmp_path, [question(7)], None))
    assert data.samples[0].data["rule"] == "own-pair-1" and "prompt=own-pair-1" in data.version
    assert any("own-pair-1" in note for note in data.notes)


def test_errors_name_the_file_and_the_row(tmp_path: Path) -> None:
    write_data(tmp_path, [question(1)])
    (tmp_path / "answers_gpt4.jsonl").write_text("")
    with pytest.raises(DataError, match=r"questions\.jsonl line 1: question_id 1 has no row in answers_gpt4\.jsonl"):
        LlavaBench().load(tmp_path)
    write_data(tmp_path, [question(1, "poem")])
    with pytest.raises(DataError, match=r"rule\.json: no rule 'llava_bench_poem'"):
        LlavaBench().load(tmp_path)
