"""The embedded world's data in the formats of the general benchmarks, read by them and judged by the rule judge."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.llava_bench import LlavaBench
from benchmarks.mm_vet import MMVet
from benchmarks.pope import Pope
from cli import cli
from tinyworld.build import World
from tinyworld.export_general import export_pope
from tinyworld.judge import RuleJudge, grade
from tinyworld.scenes import draw_scenes


def test_pope_asks_about_as_many_absent_objects_and_harder_ones_adversarially(world: World) -> None:
    samples = Pope(short=False).load(world.bench_dir / "pope").samples
    labels = Counter((s.data["split"], s.data["label"]) for s in samples)
    assert len(set(labels.values())) == 1 and len(labels) == 6
    assert all(s.image is not None and s.image.read()[:4] == b"\x89PNG" for s in samples)
    asked = {split: {s.prompt for s in samples if s.data["split"] == split} for split in ("random", "adversarial")}
    assert asked["random"] != asked["adversarial"]


@pytest.mark.parametrize("seed", range(4))
def test_pope_of_one_scene_asks_as_many_absent_objects_though_no_other_scene_names_any(
    tmp_path: Path, seed: int
) -> None:
    """Three objects that are there and three that are not: six questions of each kind."""
    scene = next(scene for scene in draw_scenes(50, seed, 7) if len(scene.names) >= 3)
    export_pope(tmp_path / "pope", [scene], seed)
    labels = Counter((s.data["split"], s.data["label"]) for s in Pope(short=False).load(tmp_path / "pope").samples)
    assert set(labels.values()) == {3} and len(labels) == 6


def answer_truly(folder: Path, benchmark: str) -> dict[str, str]:
    """The reference answers as answers."""
    if benchmark == "mm_vet":
        return {s.id: s.data["reference"] for s in MMVet().load(folder).samples}
    return {s.id: s.data["reference"] for s in LlavaBench().load(folder).samples}


@pytest.mark.parametrize(("benchmark", "headline"), [("mm_vet", "total"), ("llava_bench", "all")])
def test_true_answers_get_everything_and_false_ones_little(
    world: World, tmp_path: Path, benchmark: str, headline: str
) -> None:
    folder = world.bench_dir / benchmark

    def figure(answers: dict[str, str]) -> float:
        file = tmp_path / "answers.jsonl"
        file.write_text("".join(json.dumps({"id": i, "response": a}) + "\n" for i, a in answers.items()))
        words = ["score", "--benchmark", benchmark, "--responses", str(file), "--data-dir", str(folder), "--json"]
        result = CliRunner().invoke(cli, [*words, "--judge", "rule", "--db", str(tmp_path / "r.sqlite")])
        assert result.exit_code == 0, result.output
        value: float = json.loads(result.stdout)["metrics"][headline]["value"]
        return value

    truth = answer_truly(folder, benchmark)
    assert figure(truth) == 100
    assert figure(dict.fromkeys(truth, "I do not know.")) <= 10


def test_a_description_with_something_absent_counts_half() -> None:
    truth = {"type": "holistic", "objects": ["dog", "car"], "expect": ["dog", "car"], "options": [], "question": "?"}
    assert [grade(truth, said) for said in ("A dog. A car.", "A dog.", "A dog. A car. A boat.", "")] == [1, 0.5, 0.5, 0]


def test_the_rule_judge_never_varies() -> None:
    assert RuleJudge.runs == 1


@pytest.mark.slow
def test_all_suites_run_on_the_embedded_world(
    world: World, world_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(world_root.parent))
    words = ["bench", "--suite", "all", "--model", f"hf:{world.model_dir}", "--data-dir", str(world.bench_dir)]
    options = ["--device", "cpu", "--db", str(tmp_path / "r.sqlite"), "--set", "decoding={max_new_tokens: 8}"]
    result = CliRunner().invoke(cli, [*words, *options, "--set", "short=false", "--json"])
    assert result.exit_code in (0, 3), (result.output, result.exception)  # a barely trained model may say neither
    found = {row["benchmark"]: row for row in json.loads(result.stdout)}
    assert list(found) == ["object_halbench", "amber", "mmhal", "mm_vet", "llava_bench", "pope"]
    assert all(row["n"] == row["n_scored"] for name, row in found.items() if name != "pope")
