"""The exported benchmarks are read by the official formats' own readers."""

from __future__ import annotations

import json

import pytest

from harness.protocols.benchmark import BENCHMARKS
from harness.protocols.judge import JudgeRequest
from tinyworld.build import World
from tinyworld.judge import RuleJudge
from tinyworld.language import MMHAL_TYPES


@pytest.mark.parametrize("name", ["object_halbench", "amber", "mmhal"])
def test_every_sample_has_an_image_and_a_truth(world: World, name: str) -> None:
    folder = world.bench_dir / name
    samples = BENCHMARKS.get(name)().load(folder).samples
    truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    assert [sample.id for sample in samples] == [row["id"] for row in truth]
    assert all(row["benchmark"] == name for row in truth)
    assert all(sample.image is not None and sample.image.read()[:4] == b"\x89PNG" for sample in samples)


def test_object_halbench_knows_what_the_scene_shows(world: World) -> None:
    folder = world.bench_dir / "object_halbench"
    samples = BENCHMARKS.get("object_halbench")().load(folder).samples
    for line, sample in zip((folder / "truth.jsonl").read_text().splitlines(), samples, strict=True):
        assert set(sample.data["truth"]) == set(json.loads(line)["objects"])


def test_amber_asks_in_official_types_and_balances_answers(world: World) -> None:
    annotations = json.loads((world.bench_dir / "amber/annotations.json").read_text())
    assert [row["id"] for row in annotations] == list(range(1, len(annotations) + 1))
    by_type: dict[str, list[str]] = {}
    for row in annotations:
        by_type.setdefault(row["type"], []).append(row["truth"])
    assert set(by_type) == {"generative", "discriminative-hallucination", "discriminative-attribute-number"}
    for kind in ("hallucination", "attribute-number"):
        answers = by_type[f"discriminative-{kind}"]
        assert answers.count("yes") == answers.count("no") > 0, kind
    assert len(by_type["discriminative-hallucination"]) > 10  # of 5 scenes, two or four each


def test_mmhal_keeps_the_official_order_of_types(world: World) -> None:
    rows = json.loads((world.bench_dir / "mmhal/mmhal-bench_answer_template.json").read_text())
    assert [row["question_type"] for row in rows] == [MMHAL_TYPES[i % 8] for i in range(16)]


def test_true_answers_score_perfectly(world: World) -> None:
    mmhal, folder = BENCHMARKS.get("mmhal")(), world.bench_dir / "mmhal"
    judge = RuleJudge("", folder)
    for sample in mmhal.load(folder).samples:
        answer = sample.data["reference"]
        question = mmhal.judge_prompt(sample, answer, 0)
        assert question is not None
        ((_, reply),) = judge.ask([JudgeRequest(sample.id, question, answer)])
        assert reply.text is not None
        assert mmhal.verdict(sample, answer, [reply.text]).counts["rating"] >= 5, (sample.prompt, answer, reply.text)
