"""`--dry-run`, `--budget`, `--prices` and the judge's settings, as a user gives them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.chat.prices import PRICES, Price
from harness.store import Store
from tests.harness.fault_server import FaultServer
from tests.shared import shared
from tests.tiny import picture
from workflows.cost import known_key
from workflows.eval_models import EvalModel

CAPTION = "A dog is lying on the grass in front of a house, and looks at the camera."
MMHAL = {"question_topic": "x", "image_src": "", "image_content": ["Dog"], "gt_answer": "A dog.", "model_answer": ""}


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def halbench(folder: Path, rows: int) -> Path:
    """An Object HalBench file of ``rows`` rows with images inside, and their ground truth."""
    folder.mkdir(parents=True)
    image = base64.b64encode(picture(1)).decode()
    questions = [{"question": f"Describe image {i}.", "image": image, "image_id": i} for i in range(rows)]
    truth = [{"image_id": i, "instances": ["dog"], "captions": ["A dog."]} for i in range(rows)]
    for name, lines in (("obj_halbench_300_with_image.jsonl", questions), ("ground_truth.jsonl", truth)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def mmhal(tmp_path: Path) -> Path:
    """MMHal data of 8 questions, and answers to them in answers.jsonl."""
    rows = [{**MMHAL, "question_type": "attribute", "image_id": str(i), "question": f"What is {i}?"} for i in range(8)]
    (tmp_path / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    lines = [json.dumps({"id": i, "response": f"It is dog {i}."}) + "\n" for i in range(8)]
    (tmp_path / "answers.jsonl").write_text("".join(lines))
    return tmp_path


def score(folder: Path, *more: object) -> list[object]:
    answers, db = folder / "answers.jsonl", folder / "r.sqlite"
    return ["score", "--benchmark", "mmhal", "--responses", answers, "--data-dir", folder, "--db", db, *more]


@pytest.mark.needs("reference")
def test_a_dry_run_counts_the_hallucination_suite_and_its_money(tmp_path: Path) -> None:
    """The whole suite on the real files: 300 + 96 judge calls; of AMBER's 15,220 questions ten stand there twice."""
    halbench(tmp_path / "data" / "object_halbench", 300)
    (tmp_path / "data" / "amber").symlink_to(shared("data/amber"))
    (tmp_path / "data" / "mmhal").symlink_to(shared("data/mmhal_bench"))
    where = ("--data-dir", tmp_path / "data", "--db", tmp_path / "r.sqlite")
    words = ("bench", "--suite", "hallucination", "--model", "hf:org/name", "--judge", "openai:gpt-4o", *where)
    plan = json.loads(run(*words, "--dry-run", "--json").stdout)
    rows = {row["benchmark"]: row for row in plan["benchmarks"]}
    assert {name: row["judge_calls"] for name, row in rows.items()} == {"object_halbench": 300, "amber": 0, "mmhal": 96}
    assert {n: row["generations"] for n, row in rows.items()} == {"object_halbench": 300, "amber": 15210, "mmhal": 96}
    assert (plan["total"]["judge_calls"], plan["total"]["generations"]) == (396, 300 + 96 + 15210)
    assert plan["total"]["judge_completion_tokens"] == 396 * 512
    assert 100_000 < plan["total"]["judge_prompt_tokens"] < 400_000
    price = PRICES["gpt-4o"]
    spent = price.input * plan["total"]["judge_prompt_tokens"] + price.output * 396 * 512
    assert plan["total"]["usd"] == pytest.approx(spent / 1e6)
    assert "396" in run(*words, "--dry-run").stdout


def test_a_dry_run_has_a_row_for_each_model_and_needs_neither_key_nor_price(
    mmhal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    words = ("bench", "--benchmark", "mmhal", "--data-dir", mmhal, "--db", mmhal / "r.sqlite", "--dry-run", "--json")
    models = ("--model", "hf:org/a", "--model", f"replay:{mmhal / 'answers.jsonl'}", "--judge", "openai:nameless")
    plan = json.loads(run(*words, *models).stdout)
    assert [(row["generations"], row["judge_calls"]) for row in plan["benchmarks"]] == [(8, 8), (0, 8)]
    assert plan["total"]["usd"] is None
    (mmhal / "prices.yaml").write_text("nameless: {input: 1, output: 2}")
    plan = json.loads(run(*words, *models, "--prices", mmhal / "prices.yaml").stdout)
    tokens = plan["total"]["judge_prompt_tokens"], plan["total"]["judge_completion_tokens"]
    assert plan["total"]["usd"] == pytest.approx((tokens[0] + 2 * tokens[1]) / 1e6)


def test_a_dry_run_of_score_counts_what_is_not_stored_yet(mmhal: Path) -> None:
    with FaultServer(lambda prompt, nth: "Rating: 5") as server:
        judge = ("--judge", f"openai:judge@{server.url}")
        plan = json.loads(run(*score(mmhal, *judge, "--dry-run", "--json")).stdout)
        assert (plan["total"]["judge_calls"], plan["total"]["stored_replies"], plan["total"]["usd"]) == (8, 0, 0.0)
        assert not server.calls
        run(*score(mmhal, *judge, "--json"))
        plan = json.loads(run(*score(mmhal, *judge, "--dry-run", "--json")).stdout)
        assert (plan["total"]["judge_calls"], plan["total"]["stored_replies"]) == (0, 8)


def test_a_dry_run_of_bench_counts_what_is_still_to_be_answered(tmp_path: Path) -> None:
    """Three of eight captions are stored, and what the judge said of them; of the other five nothing is."""
    halbench(tmp_path / "data", 8)
    with FaultServer(lambda prompt, nth: CAPTION) as model, FaultServer(lambda prompt, nth: '["dog"]') as judge:
        words = ["bench", "--benchmark", "object_halbench", "--model", f"openai:m@{model.url}", "--judge"]
        words += [f"openai:j@{judge.url}", "--set", "decoding.num_beams=1", "--no-probe", "--json"]
        where = ["--data-dir", tmp_path / "data", "--db", tmp_path / "r.sqlite"]
        run(*words, *where, "--limit", 3)

        def planned(*more: object) -> tuple[int, int, int, int]:
            row = json.loads(run(*words, *where, "--dry-run", *more).stdout)["total"]
            return row["generations"], row["stored_answers"], row["judge_calls"], row["stored_replies"]

        # Three questions about three pictures, so three questions to the judge.
        assert planned() == (5, 3, 5, 3)
        assert planned("--fresh") == (8, 0, 8, 0)
        assert planned("--set", "decoding.max_new_tokens=9") == (8, 0, 8, 0), "other answers"
        assert len(model.calls) == 3


def everything(folder: Path) -> list[str]:
    """All files and folders in ``folder``, by name."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_dry_run_leaves_nothing_behind(mmhal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No results file, no lock, no cache, no folder of artefacts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "artifacts"))
    before = everything(tmp_path)
    where = ("--data-dir", mmhal, "--db", tmp_path / "new" / "r.sqlite", "--dry-run", "--json")
    run(
        "bench",
        "--benchmark",
        "mmhal",
        "--model",
        f"replay:{mmhal / 'answers.jsonl'}",
        "--judge",
        "openai:gpt-4o",
        *where,
    )
    run("score", "--benchmark", "mmhal", "--responses", mmhal / "answers.jsonl", "--judge", "openai:gpt-4o", *where)
    assert everything(tmp_path) == before


def test_a_dry_run_builds_no_world_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "artifacts"))
    said = run("bench", "--dry-run", code=2)
    assert "a dry run builds nothing" in said.output
    assert everything(tmp_path) == []


def test_answers_of_files_that_changed_since_are_not_counted(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "r.sqlite"), tmp_path / "model"
    folder.mkdir()
    weights = folder / "model.safetensors"
    weights.write_text("old")
    eval_model = EvalModel("base", f"hf:{folder}")
    assert known_key(store, eval_model, {}) is None
    store.save_model(eval_model.spec, {"dtype": "bfloat16"}, "half")
    store.save_model(eval_model.spec, {}, "full")
    assert known_key(store, eval_model, {}) == "full"
    assert known_key(store, eval_model, {"dtype": "bfloat16"}) == "half"
    later = weights.stat().st_mtime + 60
    os.utime(weights, (later, later))
    assert known_key(store, eval_model, {}) is None


def test_a_budget_ends_the_judging_and_a_larger_one_asks_only_the_rest(mmhal: Path) -> None:
    (mmhal / "prices.yaml").write_text("judge: {input: 0, output: 1000}")  # $0.512 set aside a call, $0.005 spent
    with FaultServer(lambda prompt, nth: "Rating: 5") as server:
        one = ("--set", "judge.concurrency=1", "--prices", mmhal / "prices.yaml", "--json")
        judge = ("--judge", f"openai:judge@{server.url}", *one)
        stopped = run(*score(mmhal, *judge, "--budget", 0.525), code=3)
        assert "The judge cost $0.0150" in stopped.stderr
        assert json.loads(stopped.stdout)["n_scored"] == 3 == len(server.calls)
        found = json.loads(run(*score(mmhal, *judge, "--budget", 5)).stdout)
        assert (found["n_scored"], len(server.calls)) == (8, 8)
    assert "--budget: only a judge that costs money" in run(*score(mmhal, "--budget", 1), code=2).stderr


def test_settings_of_the_judge_reach_it_and_wrong_ones_are_named(mmhal: Path) -> None:
    with FaultServer(lambda prompt, nth: "Rating: 5", latency=0.01) as server:
        judge = ("--judge", f"openai:judge@{server.url}")
        run(*score(mmhal, *judge, "--set", "judge.concurrency=2", "--json"))
        assert server.most == 2
        result = run(*score(mmhal, *judge, "--set", "judge.concurency=2"), code=2)
    assert "Did you mean 'concurrency'" in result.stderr


def test_every_price_is_of_input_and_output() -> None:
    assert all(isinstance(price, Price) and 0 < price.input <= price.output for price in PRICES.values())


def test_a_dry_run_counts_equal_questions_once(tmp_path: Path) -> None:
    row = {"image": "0.png", "text": "Is there a dog?", "label": "yes"}
    for split in ("random", "popular"):
        lines = [{**row, "question_id": 1}, {**row, "question_id": 2, "text": f"Is there a cat on a {split} mat?"}]
        (tmp_path / f"coco_pope_{split}.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["bench", "--benchmark", "pope", "--data-dir", tmp_path, "--db", tmp_path / "r.sqlite"]
    with pytest.warns(UserWarning, match="4 of 4 samples have no image"):
        planned = json.loads(run(*words, "--model", "openai:m@http://127.0.0.1:9/v1", "--dry-run", "--json").stdout)
    assert planned["total"]["generations"] == 3
