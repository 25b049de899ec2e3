"""A task of lmms-eval on our backend, offline: a YAML file, a parquet file and a random LLaVA."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image as PilImage

from benchmarks import lmms
from benchmarks.common.lmms_tasks import names_under, task_names
from cli import cli
from harness.errors import UsageError
from harness.store import Store
from tests.house import ROOT
from tests.tiny_llava import save_tiny_llava

pytest.importorskip("lmms_eval", reason="the extra 'general' is not installed (make test installs it)")

TASK = """\
task: tiny_yes_no
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: {data}}}}}
output_type: generate_until
test_split: test
doc_to_visual: image
doc_to_text: question
doc_to_target: answer
generation_kwargs: {{max_new_tokens: 6, until: ["\\n"], temperature: 0, do_sample: false}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: [{{version: 1.5}}]
"""


def write_task(root: Path, rows: list[dict[str, Any]]) -> Path:
    import datasets

    root.mkdir(exist_ok=True)
    features = datasets.Features(
        {"image": datasets.Image(), "question": datasets.Value("string"), "answer": datasets.Value("string")}
    )
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(root / "data.parquet"))
    (root / "tiny.yaml").write_text(TASK.format(data=root / "data.parquet"))
    return root


def picture(shade: int) -> dict[str, bytes]:
    out = io.BytesIO()
    PilImage.new("RGB", (16, 16), (shade, 255 - shade, 7)).save(out, "PNG")
    return {"bytes": out.getvalue()}


def bench(root: Path, model: str, db: Path, *more: str) -> tuple[int, Any]:
    words = ["bench", "--benchmark", "lmms:tiny_yes_no", "--model", model, "--data-dir", str(root), "--db", str(db)]
    result = CliRunner().invoke(cli, [*words, "--device", "cpu", "--json", *more])
    return result.exit_code, json.loads(result.stdout) if result.exit_code in (0, 3) else result.output


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"hf:{save_tiny_llava(tmp_path_factory.mktemp('lmms') / 'tiny')}"


def test_a_task_runs_on_our_backend_and_is_stored_like_ours(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    rows = [{"image": picture(40 * i), "question": f"Is it {i}?", "answer": "yes"} for i in range(4)]
    root = write_task(tmp_path / "task", rows)
    code, (first,) = bench(root, model, tmp_path / "a.sqlite")
    assert (code, first["benchmark"], first["n"], first["n_scored"]) == (0, "lmms:tiny_yes_no", 4, 4)
    assert first["metrics"]["exact_match"]["value"] == 0
    store = Store(tmp_path / "a.sqlite")
    (evaluation,) = store.evaluations()
    said = {v.sample_id: v.answer for v in store.verdicts(evaluation.id)}
    assert sorted(said) == ["0", "1", "2", "3"] and evaluation.info["route"].endswith("image-prefix")

    # The model's own answers as targets: all right. The stored answers are used, whatever is made of the model.
    rows = [{**row, "answer": said[str(i)] or ""} for i, row in enumerate(rows)]
    rows[3]["answer"] = "something else"
    root = write_task(tmp_path / "again", rows)
    code, (second,) = bench(root, model, tmp_path / "a.sqlite")
    assert code == 0 and second["metrics"]["exact_match"]["value"] == 0.75
    values = [v.counts["exact_match"] for v in store.verdicts(store.evaluations()[-1].id)]
    assert values == [1, 1, 1, 0]


GAIN = """\
import math


def found(doc, results):
    return {"acc": float(results[0] == doc["answer"]), "root": {"score": float(results[0] == doc["answer"])}}


def root(found):
    return math.sqrt(sum(each["score"] for each in found) / len(found))
"""


def test_a_figure_that_is_no_mean_has_our_interval_and_stands_in_the_leaderboard(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 of 16 answers are right: the root of 0.75, of which lmms-eval knows no error; the jackknife's is about
    0.43 / (2 sqrt(0.75) sqrt(16)) = 0.06, so that the interval is some 0.25 wide."""
    from harness.models.hf import HfModel
    from harness.protocols.model import Answer

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    rows = [{"image": picture(i), "question": f"{i}?", "answer": "a" if i % 4 else "b"} for i in range(16)]
    root = write_task(tmp_path / "task", rows)
    task = (root / "tiny.yaml").read_text().partition("metric_list")[0]
    metrics = ("acc, aggregation: mean", "root, aggregation: !function utils.root")
    listed = "".join(f"  - {{metric: {metric}, higher_is_better: true}}\n" for metric in metrics)
    (root / "tiny.yaml").write_text(f"{task}process_results: !function utils.found\nmetric_list:\n{listed}")
    (root / "utils.py").write_text(GAIN)
    monkeypatch.setattr(HfModel, "generate", lambda self, samples, decoding: enumerate([Answer("a")] * len(samples)))
    code, output = bench(root, model, tmp_path / "c.sqlite", "--no-probe")
    assert code == 0, output
    figures = output[0]["metrics"]
    assert figures["acc"]["value"] == 0.75 and figures["root"]["value"] == pytest.approx(0.75**0.5)
    assert 0.15 < figures["root"]["high"] - figures["root"]["low"] < 0.35
    shown = json.loads(
        CliRunner().invoke(cli, ["leaderboard", "--db", str(tmp_path / "c.sqlite"), "--format", "json"]).stdout
    )
    (row,) = [row for row in shown if row["metric"] == "root"]
    assert row["value"] == pytest.approx(0.75**0.5) and 0.15 < row["high"] - row["low"] < 0.35


def test_a_document_without_an_answer_is_left_out_and_counted(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.models.hf import HfModel
    from harness.protocols.model import Answer

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    root = write_task(tmp_path / "task", [{"image": picture(i), "question": f"{i}?", "answer": "a"} for i in range(3)])

    def generate(self: HfModel, samples: Any, decoding: Any) -> Any:
        assert decoding.max_new_tokens == 6
        for i, sample in enumerate(samples):
            yield i, Answer(None, "no such image") if sample.id.endswith(":1") else Answer("a\nb")

    monkeypatch.setattr(HfModel, "generate", generate)
    code, (row,) = bench(root, model, tmp_path / "b.sqlite", "--no-probe")
    assert (code, row["n"], row["n_scored"], row["n_failed"]) == (3, 3, 2, 1)
    assert row["metrics"]["exact_match"]["value"] == 1, "cut at the stop string, and the failed one is no zero"


def test_an_unknown_task_gets_a_suggestion(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    root = write_task(tmp_path / "task", [{"image": picture(1), "question": "?", "answer": "a"}])
    with pytest.raises(UsageError, match="tiny_yes_no"):
        lmms.task_manager(["tiny_yes_not"], root)


def test_the_tasks_are_listed_as_lmms_eval_lists_them_without_importing_it() -> None:
    from lmms_eval.tasks import TaskManager

    assert set(task_names()) == set(TaskManager(verbosity="ERROR").all_tasks)
    code = "import sys, benchmarks.lmms as lmms; lmms.task_names(); sys.exit('lmms_eval' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_fields_of_a_task_are_its_own_over_those_it_includes(tmp_path: Path) -> None:
    (tmp_path / "base_yaml").write_text("group: family\ntag:\n  - shared\n  - both\n")
    (tmp_path / "one.yaml").write_text("include: base_yaml\ndoc_to_text: !function utils.text\n'task': 'one'\n")
    (tmp_path / "all.yaml").write_text(
        "\ufeffgroup: everything\ntask:\n- one\n- task: inner\n  text: !function a.b\n", encoding="utf-8"
    )
    (tmp_path / "own.yaml").write_text("include: [base_yaml]\ntask: own\ngroup: other\ntag: mine\n")
    assert sorted(names_under(tmp_path)) == sorted(
        ["one", "shared", "both", "family", "everything", "own", "mine", "other"]
    )
    (tmp_path / "half.yaml").write_text("task: [one\n")
    with pytest.raises(UsageError, match=r"half\.yaml"):
        list(names_under(tmp_path))


def test_without_the_extra_the_command_that_adds_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmms, "installed", lambda: False)
    result = CliRunner().invoke(cli, ["bench", "--benchmark", "lmms:mme", "--model", "hf:x", "--data-dir", "."])
    assert result.exit_code == 2 and "pip install" in result.output and "[general]" in result.output
    assert any(
        "general" in str(row) for row in json.loads(CliRunner().invoke(cli, ["list", "benchmarks", "--json"]).stdout)
    )


def test_a_document_whose_image_is_missing_is_not_asked(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    rows: list[dict[str, Any]] = [
        {"image": picture(1), "question": "a dog ?", "answer": "yes"},
        {"image": None, "question": "?", "answer": "no"},
    ]
    code, output = bench(write_task(tmp_path / "data", rows), model, tmp_path / "r.sqlite", "--no-probe")
    assert (code, output[0]["n"], output[0]["n_failed"]) == (3, 2, 1), output
    (failed,) = [v.error for v in Store(tmp_path / "r.sqlite").verdicts(1) if v.error]
    assert failed == "no answer: the data hold no image for this question"
