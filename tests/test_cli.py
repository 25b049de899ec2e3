"""The commands as a user runs them, on a model, a CLIP, pairs and benchmark data that the test makes itself."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli import cli
from commands.screen import show_warning
from harness.store import Store
from harness.util.environment import environment
from harness.util.log import Verbosity, verbosity
from leaderboards.provenance import provenance
from tests.house import ROOT
from tests.tiny import tiny_amber, tiny_llava, tiny_pairs
from workflows.ablation import Ablation, Method
from workflows.benched import is_benched
from workflows.eval_models import EvalModel

Run = Callable[..., Result]
CAPTIONS = {"1": "A dog on the grass.", "2": "A cat and a car."}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, 32 pairs, and AMBER data of two images."""
    root = tmp_path_factory.mktemp("user")
    tiny_llava(root / "model")
    tiny_pairs(root, count=32)
    tiny_amber(root / "amber")
    return root


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))

    def invoke(*words: str | Path, code: int = 0) -> Result:
        args = [str(word) for word in words]
        if words[0] not in ("objective", "doctor") and "--db" not in words:
            args += ["--db", str(tmp_path / "r.sqlite")]
        result = CliRunner().invoke(cli, args)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    return invoke


def align(run: Run, world: Path, method: str, *more: str, code: int = 0) -> Result:
    data = next(world.glob("*.jsonl"))
    settings = ["--set", "lr=1e-3", "--set", "batch_size=8", "--set", "micro_batch=4", "--limit", "16"]
    return run("align", "--method", method, "--model", world / "model", "--data", data, *settings, *more, code=code)


def test_align_bench_and_leaderboard_on_a_users_own_model_and_pairs(run: Run, world: Path, tmp_path: Path) -> None:
    made = json.loads(align(run, world, "gap", "--json").stdout)
    assert made["step"] == 2 and Path(made["model_dir"], "config.json").exists()
    again = json.loads(align(run, world, "gap", "--json").stdout)
    assert again["seconds"] == made["seconds"], "a finished run is not trained again"

    models = ("--model", f"hf:{world / 'model'}", "--model", "run:gap-s0")
    found = json.loads(run("bench", "--benchmark", "amber", *models, "--data-dir", world, "--json").stdout)
    assert [r["run"] for r in found] == ["base", "gap-s0"], "what was aligned is called base"
    assert all(r["n"] == r["n_scored"] == 4 for r in found)

    few = tmp_path / "few.sqlite"
    base = EvalModel("base", f"hf:{world / 'model'}")
    ablation = Ablation(methods=(Method(method="dpo"),), benchmarks=("amber",), data_dir=str(world))
    assert is_benched(Store(tmp_path / "r.sqlite"), base, ablation)
    assert not is_benched(Store(tmp_path / "r.sqlite"), EvalModel("other", base.spec), ablation)
    run("bench", "--benchmark", "amber", *models[:2], "--data-dir", world, "--limit", "2", "--db", few)
    few_runs = EvalModel(Store(few).evaluations()[0].run, base.spec)
    assert not is_benched(Store(few), few_runs, ablation), "two of the four samples are not the benchmark"

    text = run("leaderboard", "--format", "markdown").stdout
    assert "| gap |" in text and "AMBER" in text
    assert json.loads(run("compare", "base", "gap-s0", "--json").stdout)
    assert {r["name"] for r in json.loads(run("list", "runs", "--json").stdout)} == {"gap-s0", "base"}
    shown = json.loads(run("show", "gap-s0", "--json").stdout)["alignment"]
    assert shown["method"] == "gap" and shown["info"]["software"] == environment()
    facts = " ".join(run("show", "gap-s0").stdout.split())
    assert "route shared prefix (sdpa attention; a pair" in facts and "dtype float32" in facts
    for command in {row["command"] for row in provenance(Store(tmp_path / "r.sqlite").evaluations())}:
        again = json.loads(run(*shlex.split(command)[2:], "--json").stdout)
        assert again == found, "the command on the page repeats the evaluations"

    page = world / "page.html"
    run("leaderboard", "--format", "html", "--out", page)
    assert page.read_text().count(f"torch {environment()['torch']}") == 3, "in the table and before both commands"


def test_score_counts_what_is_missing_and_exits_with_3(run: Run, world: Path, tmp_path: Path) -> None:
    answers = tmp_path / "mine.jsonl"
    rows = {"1": "A dog on the grass.", "2": "A cat and a car.", "3": "No, there is none."}
    answers.write_text("".join(json.dumps({"id": i, "response": text}) + "\n" for i, text in rows.items()))
    words = ("score", "--benchmark", "amber", "--responses", answers, "--data-dir", world / "amber", "--json")
    found = json.loads(run(*words, code=3).stdout)
    assert (found["n"], found["n_scored"], found["n_failed"]) == (4, 3, 0)
    assert found["metrics"]["chair"]["value"] == pytest.approx(100 * 1 / 4)
    assert found["metrics"]["hal"]["value"] == pytest.approx(50)
    assert found["metrics"]["accuracy"]["value"] == pytest.approx(100)


def test_a_file_without_answers_is_said_to_be_empty(run: Run, world: Path, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").write_text("")
    words = ("score", "--benchmark", "amber", "--responses", tmp_path / "none.jsonl", "--data-dir", world / "amber")
    assert "there are no answers in it; all 4 samples" in run(*words, code=3).stderr.replace("\n", " ")


def test_ids_that_are_not_the_benchmarks_are_refused(run: Run, world: Path, tmp_path: Path) -> None:
    answers = tmp_path / "mine.jsonl"
    answers.write_text('{"id": 77, "response": "Yes"}\n')
    result = run("score", "--benchmark", "amber", "--responses", answers, "--data-dir", world / "amber", code=2)
    assert "'77'" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("align", "--method", "dmaa"), "Did you mean 'dama'"),
        (("align", "--method", "dpo", "--model", "nowhere", "--data", "x.jsonl"), "hf:nowhere: no such directory"),
        (("align", "--method", "dpo", "--model", "a/m", "--data", "d", "--set", "btea=1"), "Did you mean 'beta'"),
        (("align", "--method", "dpo", "--model", "a/m"), "both --model and --data"),
        (("align", "--method", "dpo", "--model", "a/m", "--data", "d", "--set", "device=gpu"), "device=gpu: expected"),
        (("align", "--model", "a/m", "--data", "d", "--set", "weight_decay=.nan"), "weight_decay=nan: expected"),
        (("bench", "--model", "hf:a/b", "--set", "model.dtype=half"), "choose one of auto, float32"),
        (("bench", "--model", "hf:a/b", "--judge", "openai:m", "--set", "judge.tries=0"), "tries=0: expected"),
        (("bench", "--suite", "halucination", "--model", "m"), "Did you mean 'hallucination'"),
        (("bench", "--benchmark", "ambr", "--model", "m"), "Did you mean 'amber'"),
        (("show", "nothing"), "Unknown run"),
    ],
)
def test_a_wrong_word_is_one_message_and_exit_code_2(
    run: Run, words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    more = ("--data-dir", tmp_path) if words[0] == "bench" else ()
    Store(tmp_path / "r.sqlite").start_alignment("a", method="dpo", seed=0, panel="", key="k", config={})
    assert message in run(*words, *more, code=2).stderr.replace("\n", " ")


@pytest.mark.parametrize("words", [("--suite", "halucination"), ("--benchmark", "amber", "--set", "similarty=exact")])
def test_bench_checks_names_before_it_builds_the_embedded_world(
    run: Run, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    assert "Did you mean" in run("bench", *words, code=2).stderr
    assert not (tmp_path / "home" / "tinyworld").exists()


def test_a_dry_run_of_align_on_the_embedded_world_builds_nothing(run: Run, tmp_path: Path) -> None:
    plan = json.loads(run("align", "--dry-run", "--json").stdout)
    base = str(tmp_path / "home/tinyworld/base-")
    assert plan["model"].startswith(base) and plan["epochs"] == 2, "the embedded world's own recipe"
    assert "the embedded world is built first" in plan["estimate"]["notes"] and base in plan["estimate"]["notes"]
    assert list(tmp_path.rglob("*")) == []


def test_a_judge_is_never_assumed_for_real_data(run: Run, world: Path, tmp_path: Path) -> None:
    template = [{"question_type": "attribute", "question_topic": "x", "image_id": "i", "image_src": "", "question": "?",
                 "image_content": ["dog"], "gt_answer": "A dog.", "model_answer": ""}]  # fmt: skip
    (tmp_path / "mmhal").mkdir()
    (tmp_path / "mmhal" / "mmhal-bench_answer_template.json").write_text(json.dumps(template))
    answers = tmp_path / "mine.jsonl"
    answers.write_text('{"id": 0, "response": "A dog."}\n')
    words = ("score", "--benchmark", "mmhal", "--responses", answers, "--data-dir", tmp_path / "mmhal")
    assert "--judge" in run(*words, code=2).stderr
    replies = tmp_path / "replies.jsonl"
    replies.write_text('{"id": 0, "reply": "Good.\\nRating: 5"}\n')
    found = json.loads(run(*words, "--replies", replies, "--json").stdout)
    assert found["metrics"]["score"]["value"] == 5.0


def test_objective_prints_the_numbers_of_one_step(run: Run, tmp_path: Path) -> None:
    step = tmp_path / "step.json"
    step.write_text(json.dumps({
        "policy_chosen": [-10, -12, -9, -30], "policy_rejected": [-12, -11, -15, -28],
        "ref_chosen": [-11, -12, -10, -29], "ref_rejected": [-11, -12, -11, -29],
        "delta": [0.1, 0.2, 0.5, -0.1], "delta_mean": 0.05, "state": None, "seed": 0,
    }))  # fmt: skip
    found = json.loads(run("objective", "--method", "gap", "--input", step, "--json").stdout)
    assert found["kept"] == [True, True, False, True]  # gaps 2, -1, 5, -2: the three nearest to 0
    assert found["state"]["r_bar"] == pytest.approx(-1 / 30)
    assert found["beta"][0] == pytest.approx(0.1 * 2 / (1 + 2.718281828 ** (1 / 3)))


def test_list_and_help_teach(run: Run) -> None:
    rows = json.loads(run("list", "aligners", "--json").stdout)
    assert {"dpo", "hardness", "gap", "dama"} <= {row["name"] for row in rows}
    for name in cli.list_commands(click.Context(cli)):
        shown = CliRunner().invoke(cli, [name, "--help"])
        assert shown.exit_code == 0 and len(shown.output.splitlines()) > 5, name


def test_a_warning_of_the_project_is_one_line_and_another_packages_is_as_python_shows_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.warnoptions", [])
    show_warning("two runs are left out", UserWarning, str(ROOT / "workflows/eval_models.py"), 7)
    show_warning("soon gone", FutureWarning, "/x/site-packages/other/a.py", 2)  # no one's business but its authors'
    show_warning("too hot", UserWarning, "/x/site-packages/other/a.py", 3)
    ours, others = capsys.readouterr().err.split("\n", 1)
    assert ours == "Warning two runs are left out"
    assert others.startswith("/x/site-packages/other/a.py:3: UserWarning: too hot")


def test_a_command_that_is_not_there_is_answered_with_the_nearest_and_verbosity_may_stand_before_one(
    run: Run, tmp_path: Path
) -> None:
    assert "No such command 'benhc'. Did you mean 'bench'?" in run("benhc", code=2).output
    assert "Commands: demo, ablate" in run("zzz", code=2).output
    run("-q", "db", "info", "--db", tmp_path / "r.sqlite", code=2)
    assert verbosity() is Verbosity.QUIET
    run("db", "info", "-v", "--db", tmp_path / "r.sqlite", code=2)
    assert verbosity() is Verbosity.VERBOSE
    run("list", "suites")
    assert verbosity() is Verbosity.NORMAL, "of the next command of one program"
