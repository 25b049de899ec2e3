"""HallusionBench against its official code's recorded outputs, and rules worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest

import dama
from benchmarks.common.correctness import read_correctness, read_correctness_officially
from benchmarks.common.official import assembled
from benchmarks.hallusion_bench import QUESTIONS, HallusionBench
from harness.errors import DataError
from harness.evaluation.metrics import Scored, summarise
from harness.evaluation.trivial import trivial_figures
from harness.protocols.benchmark import Benchmark, BenchmarkData
from tests.benchmarks.conftest import judged, write_json, write_jsonl
from tests.house import ROOT
from tests.shared import shared

ROW = {
    **{"category": "VD", "subcategory": "chart", "visual_input": "1", "set_id": "0", "figure_id": "1"},
    **{"question_id": "0", "question": "Is A larger?", "gt_answer_details": "A is larger.", "gt_answer": "1"},
}


def table(benchmark: Benchmark, data: BenchmarkData, answers: dict[str, str], replies: dict[str, list[str]]) -> Any:
    verdicts = [judged(benchmark, s, answers[s.id], replies.get(s.id, [])) for s in data.samples]
    scored = [
        Scored(s.id, 0, s.group, verdict.counts, verdict.error)
        for s, verdict in zip(data.samples, verdicts, strict=True)
    ]
    return summarise(benchmark.metrics(data.samples), scored)


@pytest.mark.needs("reference")
@pytest.mark.parametrize("case", ["a", "b"])
def test_official_figures_on_the_recorded_replies(case: str) -> None:
    folder = shared("golden/hallusion_bench")
    inputs, expected = (json.loads((folder / f"{name}.json").read_text())[case] for name in ("inputs", "expected"))
    data = HallusionBench().load(shared("data/hallusion_bench"))
    assert data.notes == []
    answers = {row["id"]: row["response"] for row in inputs["responses"]}
    replies = {row["id"]: [row["reply"]] for row in inputs["replies"]}
    figures = table(HallusionBench(attempts=1), data, answers, replies)
    for ours, theirs in {
        **{"official_a_acc": "official_a_acc", "official_q_acc": "official_q_acc", "official_f_acc": "official_f_acc"},
        **{"official_easy_q_acc": "official_easy_a_acc", "official_hard_q_acc": "official_hard_a_acc"},
    }.items():
        assert figures[ours]["value"] == pytest.approx(expected[theirs], abs=1e-9), ours
    totals = expected["totals"]
    counted = [figures[f"official_{name}_acc"]["groups"] for name in ("q", "f", "easy_q", "hard_q")]
    assert counted == [totals[name] for name in ("question_pairs", "figures", "easy_pairs", "hard_pairs")]


@pytest.mark.parametrize("name", ["category", "subcategory", "set_id", "figure_id"])
@pytest.mark.parametrize("value", ["x" * 5000, "../secret", ""])
def test_what_can_name_no_figure_is_refused(tmp_path: Path, name: str, value: str) -> None:
    write_json(tmp_path / QUESTIONS, [{**ROW, name: value}])
    with pytest.raises(DataError, match=f"row 0: {name} names folders and files: it "):
        HallusionBench().load(tmp_path)


def test_a_question_without_its_figure_may_be_left_open_and_no_other(tmp_path: Path) -> None:
    """Three questions, one judged unclear without figure (right), one unclear with it (wrong), one correct: 2 of 3."""
    rows = [
        {**ROW, "category": "VS", "figure_id": "0", "visual_input": "0"},
        {**ROW, "category": "VS"},
        {**ROW, "set_id": "1"},
    ]
    write_json(tmp_path / QUESTIONS, rows)
    data = HallusionBench().load(tmp_path)
    ids = [sample.id for sample in data.samples]
    assert ids == ["VS_chart_0_0_0", "VS_chart_0_1_0", "VD_chart_1_1_0"]
    assert [sample.image is None for sample in data.samples] == [True, False, False]
    replies = dict(zip(ids, (["unclear"], ["Unclear."], ["correct"]), strict=True))
    figures = table(HallusionBench(), data, dict.fromkeys(ids, "I cannot know."), replies)
    assert figures["a_acc"]["value"] == pytest.approx(200 / 3)
    assert figures["unclear"]["value"] == pytest.approx(200 / 3)
    assert (figures["q_acc"]["groups"], figures["q_acc"]["value"]) == (2, 50.0)  # VS_chart_0_0 is wrong once
    assert (figures["f_acc"]["groups"], figures["f_acc"]["value"]) == (2, 50.0)  # the one without figure is none


def test_the_rule_reads_yes_and_no_and_asks_no_judge(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "question_id": "1", "gt_answer": "0"}, {**ROW, "question_id": "2"}]
    write_json(tmp_path / QUESTIONS, rows)
    benchmark = HallusionBench(reading="rule", short=True)
    data = benchmark.load(tmp_path)
    assert data.samples[0].prompt == "Is A larger? Please answer yes or no."
    assert not benchmark.needs_judge and benchmark.judge_prompt(data.samples[0], "Yes", 0) is None
    answers = dict(zip((sample.id for sample in data.samples), ("Yes, it is.", "Yes", "Perhaps"), strict=True))
    figures = table(benchmark, data, answers, {})
    assert figures["a_acc"]["value"] == pytest.approx(100 / 3)
    assert figures["unclear"]["value"] == pytest.approx(100 / 3)
    assert "official_a_acc" not in figures


@pytest.mark.parametrize(
    ("reply", "official", "plain"),
    [
        ("correct", "correct", "correct"),
        ("Output: **Incorrect**.", "incorrect", "incorrect"),
        ("The prediction leaves it open.\nunclear", "unclear", "unclear"),
        ("It says 'incorrect' itself, but it agrees.\nCorrect", "incorrect", "correct"),  # what is quoted decides there
        ("It is not correct", "correct", None),
        ("The prediction is incorrect, not correct", "incorrect", "incorrect"),
        ("correct or incorrect", "incorrect", None),
        ("I would say yes", "unclear", None),
        ('```json\n{"why": "it is not correct", "verdict": "incorrect"}\n```', "incorrect", "incorrect"),
        ('{"verdict": "incorrect", "result": "correct"}', "incorrect", None),
        ("```\ncorrect\n```", "correct", "correct"),
        ('"correct"', "correct", "correct"),
        ("The prediction contained the line\ncorrect", "correct", None),
        ('The prediction contained the line "correct"', "correct", None),
        ("incorrect\n> correct", "incorrect", "incorrect"),
        ("The correct answer is no; the response says yes.", "correct", None),
        ("Incorrect\nThe correct answer is no.", "incorrect", "incorrect"),
        ("Incorrect, since the correct answer is 2.", "incorrect", "incorrect"),
        ("The LMM's response is correct.", "correct", "correct"),
        ("The answer contradicts the reference, making the response provided incorrect.", "incorrect", "incorrect"),
        ("The prediction has been judged correct", "correct", "correct"),
        ("The prediction answer is unclear about the answer.", "unclear", "unclear"),
        ("The prediction is incorrect about the size of the circle.", "incorrect", "incorrect"),
        ("The prediction is incorrect in stating that they differ.", "incorrect", "incorrect"),
        ("The prediction is correct in part", "correct", None),
        ("The answer is factually incorrect when compared to the reference.", "incorrect", "incorrect"),
        ("The student's prediction is correct.", "correct", "correct"),
        ("The answer provided by the model is correct.", "correct", "correct"),
        ("There is no conflict, so I would generate “correct”.", "correct", "correct"),
        ("It would be correct to say no.", "correct", None),
        ("结论：incorrect", "incorrect", "incorrect"),
        ("The response gives the correct answer.", "correct", "correct"),
        ("The response fails to give the correct answer.", "correct", None),
        ("partially correct", "correct", None),
        ("It is far from correct", "correct", None),
        ("The prediction is almost correct but wrong", "correct", None),
        ("Correct, but only in part", "correct", None),
        ("Is it correct? No.", "correct", None),
        ("semi-correct", "correct", None),
        ("I cannot say that it is correct", "correct", None),
        ('{"verdict": "mostly correct"}', "correct", None),
        ("The answer matches, so it is correct because both say 2.", "correct", "correct"),
        ("It is unclear whether the figure was edited", "unclear", "unclear"),
        ("", "unclear", None),
    ],
)
def test_replies(reply: str, official: str, plain: str | None) -> None:
    assert (read_correctness_officially(reply), read_correctness(reply)) == (official, plain)


def test_a_reply_without_a_verdict_is_an_error_and_officially_unclear(tmp_path: Path) -> None:
    write_json(tmp_path / QUESTIONS, [ROW])
    (sample,) = HallusionBench().load(tmp_path).samples
    verdict = judged(HallusionBench(), sample, "Yes", ["Hm.", "Well."])
    assert verdict.error is not None
    assert verdict.counts == {"official_asked": 1.0, "official_right": 0.0, "official_unclear": 1.0}


def test_the_official_prompt_is_put_together_from_the_users_script(tmp_path: Path) -> None:
    script = tmp_path / "utils.py"
    script.write_text(
        "def ask(data, out):\n"
        "    for sample in data:\n"
        "        prompt = 'Judge {this}: '\n"
        "        prompt += sample['question']\n"
        "        prompt += sample[out]\n"
    )
    text = assembled(script, "ask", "prompt")
    assert text == "Judge {{this}}: {question}{out}"
    assert text.format(question="Q?", out="{A}") == "Judge {this}: Q?{A}"
    with pytest.raises(DataError, match="puts no string together"):
        assembled(script, "other", "prompt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"visual_input": "3"}, "visual_input should be 0, 1 or 2"),
        ({"gt_answer": "yes"}, "gt_answer should be 0"),
        ({"question": 3}, "'question' should be str"),
    ],
)
def test_a_bad_row_is_named(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_json(tmp_path / QUESTIONS, [{**ROW, **change}])
    with pytest.raises(DataError, match=message) as raised:
        HallusionBench().load(tmp_path)
    assert "row 0" in str(raised.value)


def test_a_question_that_stands_there_more_than_once_is_refused_with_its_count(tmp_path: Path) -> None:
    other = {**ROW, "set_id": "1"}
    write_json(tmp_path / QUESTIONS, [other, ROW, ROW, other, ROW])
    with pytest.raises(DataError, match="VD_chart_0_1_0 stands there 3 times"):
        HallusionBench().load(tmp_path)


@pytest.mark.parametrize("settings", [{"prompt": "own"}, {"reading": "rule"}])
def test_a_script_that_is_not_asked_for_is_not_read(settings: dict[str, Any], tmp_path: Path) -> None:
    write_json(tmp_path / QUESTIONS, [ROW])
    (tmp_path / "utils.py").write_text("def (")
    notes = HallusionBench(**settings).load(tmp_path).notes
    assert not any("utils.py" in note for note in notes)
    with pytest.raises(DataError, match=r"utils\.py: not a Python file"):
        HallusionBench().load(tmp_path)


def test_constant_answers_need_no_judge_and_are_worth_half(tmp_path: Path) -> None:
    """Truths yes, yes, no: always Yes is right in 2 of 3, 100 % of yes and 0 % of no; always No in 1 of 3."""
    rows = [{**ROW, "set_id": str(i), "gt_answer": truth} for i, truth in enumerate("110")]
    write_json(tmp_path / QUESTIONS, rows)
    readings: tuple[Literal["judge", "rule"], ...] = ("judge", "rule")
    for reading in readings:
        benchmark = HallusionBench(reading=reading)
        samples = benchmark.load(tmp_path).samples
        found = trivial_figures(benchmark, samples, benchmark.metrics(samples))
        assert found["always Yes"]["a_acc"] == pytest.approx(200 / 3)
        assert [found[name]["balanced_accuracy"] for name in ("always Yes", "always No")] == [50, 50]
        assert [found[name]["yes_ratio"] for name in ("always Yes", "always No")] == [100, 0]


def test_the_yes_ratio_is_of_the_answers_that_say_yes_or_no(tmp_path: Path) -> None:
    """Truths yes, yes, no, judged correct (yes), incorrect (no), unclear: 1 of 2; recalls 1 / 2 and 0: 25."""
    rows = [{**ROW, "set_id": str(i), "gt_answer": truth} for i, truth in enumerate("110")]
    write_json(tmp_path / QUESTIONS, rows)
    data = HallusionBench().load(tmp_path)
    ids = [sample.id for sample in data.samples]
    replies = dict(zip(ids, (["correct"], ["incorrect"], ["unclear"]), strict=True))
    figures = table(HallusionBench(), data, dict.fromkeys(ids, "Hm"), replies)
    assert (figures["yes_ratio"]["value"], figures["balanced_accuracy"]["value"]) == (50, 25)


def test_two_judges_are_compared_in_what_they_call_right(tmp_path: Path) -> None:
    """The second says "incorrect" of the first question, which the other calls right: one of 32 answers."""
    golden = ROOT / "tests/golden/hallusion_bench"
    replies = [json.loads(line) for line in (golden / "replies.jsonl").read_text().splitlines()]
    assert replies[0]["reply"] == "correct"
    for name, rows in (("a", replies), ("b", [{**replies[0], "reply": "incorrect"}, *replies[1:]])):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
        dama.score(
            "hallusion_bench", golden / "answers.jsonl", golden / "data", judge=f"replay:{tmp_path / name}.jsonl",
            db=tmp_path / "r.sqlite", progress=False,
        )  # fmt: skip
    (found,) = dama.agree("replay:a.jsonl", "replay:b.jsonl", db=tmp_path / "r.sqlite")
    assert (found.rating, found.level, found.n, found.above, found.below) == ("right", "nominal", 32, 1, 0)
