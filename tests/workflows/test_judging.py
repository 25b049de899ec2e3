"""A judge that cannot be asked is refused before a model is loaded, a world is built or anything is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from harness.errors import UsageError
from harness.evaluation.resolve import make_benchmark
from tests.cases.running import mmhal, run, said
from tests.tiny import tiny_llava
from workflows.ablate import ablate
from workflows.ablation import read_ablation
from workflows.ablation_plan import plan
from workflows.judging import Judges

CANNOT = {
    "openai:judge": "set OPENAI_API_KEY to the key for",
    "openai:@http://127.0.0.1:1/v1": "expected openai:NAME",
    "openai:judge@https://far.example/v1": "no key for https://far.example/v1",
    "replay:nowhere.jsonl": "there is no such file",
    "hf:nowhere": "no such directory",
    "hf:nobody/nothing": "--judge hf:nobody/nothing: transformers cannot load nobody/nothing",
    "nonsense:x": "Unknown judge 'nonsense'",
}
"""Judges that no command could ask, and what is said of each."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("judging") / "model")


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model under test is not to be loaded."""
    monkeypatch.setattr("workflows.bench_models.load_model", lambda *_, **__: pytest.fail("the model was loaded"))


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize(("judge", "why"), [*CANNOT.items(), ("", "name one with --judge"), ("rule", "truth.jsonl")])
def test_it_is_refused_before_the_model_is_loaded(judge: str, why: str, model: Path, tmp_path: Path) -> None:
    words = ["--benchmark", "mmhal", "--model", model, "--data-dir", mmhal(tmp_path / "data"), "--db", "r.sqlite"]
    assert why in said(run("bench", *words, *(["--judge", judge] if judge else []), code=2))
    assert not (tmp_path / "r.sqlite").exists(), "no command is stored that could only fail again"


@pytest.mark.usefixtures("unloaded")
def test_a_judge_whose_weights_are_broken_is_refused_before_the_model_is_loaded(model: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(model, tmp_path / "judge"))
    weights = load_file(broken / "model.safetensors")
    save_file({n: t for n, t in weights.items() if "lm_head" not in n}, broken / "model.safetensors", {"format": "pt"})
    words = ["--benchmark", "mmhal", "--model", model, "--data-dir", mmhal(tmp_path / "data"), "--db", "r.sqlite"]
    assert "1 weight (lm_head.weight) missing" in said(run("bench", *words, "--judge", f"hf:{broken}", code=2))


@pytest.mark.parametrize(("judge", "why"), CANNOT.items())
def test_it_is_refused_before_the_embedded_world_is_built(judge: str, why: str, home: Path, tmp_path: Path) -> None:
    assert why in said(run("bench", "--judge", judge, "--db", "r.sqlite", code=2))
    recipe = read_ablation({"methods": [{"method": "dpo"}], "seeds": [0], "judge": judge})
    with pytest.raises(UsageError, match=r".") as refused:
        ablate(recipe, "r.sqlite", device="cpu", log=print, progress=lambda *_: None)
    assert why in str(refused.value)
    assert not (home / "tinyworld").exists()


@pytest.mark.parametrize(("judge", "why"), [*CANNOT.items(), ("", "name one with --judge"), ("rule", "truth.jsonl")])
def test_it_is_refused_before_answers_are_scored(judge: str, why: str, tmp_path: Path) -> None:
    data = mmhal(tmp_path / "data")
    words = ["--benchmark", "mmhal", "--responses", data / "answers.jsonl", "--data-dir", data, "--db", "r.sqlite"]
    assert why in said(run("score", *words, *(["--judge", judge] if judge else []), code=2))
    assert not (tmp_path / "r.sqlite").exists()


def test_a_dry_run_and_a_shard_need_no_key(model: Path, tmp_path: Path) -> None:
    data = mmhal(tmp_path / "data")
    words = ["--benchmark", "mmhal", "--model", model, "--data-dir", data, "--db", "r.sqlite", "--no-probe"]
    run("bench", *words, "--judge", "openai:judge", "--dry-run")
    recipe = {"methods": [{"method": "dpo"}], "seeds": [0], "judge": "openai:judge", "benchmarks": ["mmhal"]}
    assert plan(read_ablation(recipe), "r.sqlite", device="cpu")["total"]["runs"] == 2
    short = ["--set", "decoding.max_new_tokens=2", "--json"]
    rows = json.loads(run("bench", *words, *short, "--shard", "1/2").stdout)
    assert rows[0]["n"] == 3


def test_a_judge_that_reads_no_data_is_loaded_once_for_all_benchmarks(model: Path, tmp_path: Path) -> None:
    first = mmhal(tmp_path / "one/mmhal")
    other = shutil.copytree(first, tmp_path / "two/mmhal")
    judges, benchmark = Judges.of(f"hf:{model}", {}), make_benchmark("mmhal")
    assert judges.opened(benchmark, first) is judges.opened(benchmark, other)
    (first / "truth.jsonl").touch()
    (other / "truth.jsonl").touch()
    rule = Judges.of("rule", {})
    assert rule.opened(benchmark, first) is not rule.opened(benchmark, other)
