"""The Python library, its page and its notebook, on a model, pairs and benchmark data that the tests make."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dama
from tests.house import ROOT
from tests.tiny import tiny_amber, tiny_llava, tiny_pairs

QUICK = {"lr": 1e-3, "batch_size": 8, "micro_batch": 4}
ANSWERS = {"1": "A dog on the grass.", "2": "A cat and a car.", "3": "No, there is none."}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model/, pairs.jsonl, data/amber/ and answers.jsonl, as the page has them."""
    root = tmp_path_factory.mktemp("library")
    tiny_llava(root / "model")
    tiny_pairs(root, count=16).rename(root / "pairs.jsonl")
    tiny_amber(root / "data" / "amber")
    rows = [json.dumps({"id": i, "response": text}) for i, text in ANSWERS.items()]
    (root / "answers.jsonl").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def here(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``world`` as the current directory, results and artefacts apart."""
    monkeypatch.chdir(tmp_path)
    for name in ("model", "pairs.jsonl", "images", "data", "answers.jsonl"):
        (tmp_path / name).symlink_to(world / name)
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_align_bench_and_a_table_without_a_word_on_stdout(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = dama.align("gap", model="model", data="pairs.jsonl", settings=QUICK)
    again = dama.align("gap", model="model", data="pairs.jsonl", settings=QUICK)
    assert again == run and (run.done_before, again.done_before) == (False, True), "it comes from the store"
    assert (run.method, run.model, len(run)) == ("gap", "run:gap-s0", 2)
    figures = dama.bench(benchmark="amber", model=["hf:model", run], data_dir="data")
    assert [e.run for e in figures] == ["base", "gap-s0"] and figures.complete
    assert figures[0].n == figures[0].n_scored == 4
    board = dama.leaderboard()
    assert {row["method"] for row in board} == {"base", "gap"}
    assert board.render("markdown").count("AMBER")
    assert dama.leaderboard().write("page.html") == [Path("page.html")]
    compared = dama.compare(run, "base")
    assert {row.metric.name for row in compared} >= {"chair", "hal"}
    assert capfd.readouterr().out == ""


def test_a_model_may_be_a_directory_a_suite_a_path_and_a_bias_a_number(here: Path) -> None:
    (here / "suite.yaml").write_text("benchmarks: [amber]\nlimit: 2\n")
    curve = dama.bench(here / "suite.yaml", model=Path("model"), eos_bias=0.5, data_dir=here / "data", progress=False)
    assert [(e.n, e.record.decoding["eos_bias"]) for e in curve] == [(2, 0.0), (2, 0.5)]


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_no_limit_at_all_but_an_error(here: Path, limit: int) -> None:
    with pytest.raises(dama.UsageError, match=f"limit {limit}: expected a whole number of at least 1"):
        dama.bench(benchmark="amber", model="replay:answers.jsonl", data_dir="data", limit=limit, progress=False)
    with pytest.raises(dama.UsageError, match=f"limit={limit}: expected a whole number of at least 1"):
        dama.align("dpo", model="model", data="pairs.jsonl", limit=limit, progress=False)
    (here / "suite.yaml").write_text(f"benchmarks: [{{benchmark: amber, limit: {limit}}}]\n")
    with pytest.raises(dama.UsageError, match=f"limit={limit}"):
        dama.bench("suite.yaml", model="replay:answers.jsonl", data_dir="data", progress=False)


def test_results_are_frozen_short_and_data_frames(here: Path) -> None:
    scored = dama.score("amber", "answers.jsonl", "data/amber", progress=False)
    assert (scored.n, scored.n_scored, scored.missing, scored.complete) == (4, 3, ("4",), False)
    assert scored["hal"].value == 50.0 and scored["hal"].higher_is_better is False
    with pytest.raises(dama.UsageError, match=r"'hall'.*nearest are hal, recall"):
        scored["hall"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        scored.missing = ()  # type: ignore[misc]
    assert repr(scored) == "Evaluation('answers' on 'amber', 3/4 scored)"
    frame = scored.to_pandas()
    assert set(frame["metric"]) == set(scored) and (frame["run"] == "answers").all()
    with dama.open() as results:
        assert results.runs == ["answers"] and results.alignments == ()
        (stored,) = results.evaluations(benchmark="amber")
        assert stored.metrics == scored.metrics
        assert len(results.evaluations(run="answers")) == 1
        with pytest.raises(dama.UsageError, match=r"Unknown run 'answer'\. Did you mean 'answers'"):
            results.evaluations(run="answer")
        verdicts = results.verdicts(stored).to_pandas()
        assert list(verdicts["sample_id"]) == ["1", "2", "3"]
        assert results.show("answers")["evaluations"][0]["benchmark"] == "amber"
        assert repr(results) == "Results('results.sqlite', 1 runs)"


def test_errors_are_the_harness_and_a_file_is_not_made_by_reading(here: Path) -> None:
    with pytest.raises(dama.UsageError, match="Did you mean 'dama'"):
        dama.align("dmaa", model="model", data="pairs.jsonl")
    with pytest.raises(dama.UsageError, match=r"'btea'.*Did you mean 'beta' \(objective\)"):
        dama.align("dpo", model="model", data="pairs.jsonl", settings={"btea": 1})
    for read in (dama.open, lambda db: dama.leaderboard(db=db), lambda db: dama.compare("a", "b", db=db)):
        with pytest.raises(dama.UsageError, match="no such results file"):
            read("typo.sqlite")
    assert not Path("typo.sqlite").exists()
    with pytest.raises(dama.UsageError, match=r"data is a directory.*data/results.sqlite"):
        dama.open("data")


@pytest.mark.parametrize("words", [["lr=1"], "lr=1"])
def test_settings_that_are_no_mapping_are_an_error_that_says_what_is_expected(here: Path, words: Any) -> None:
    with pytest.raises(dama.UsageError, match=r'lr=1.*expected a mapping of names to values, for example {"lr": 5e-7}'):
        dama.align("dpo", model="model", data="pairs.jsonl", settings=words, progress=False)
    with pytest.raises(dama.UsageError, match="expected a mapping of names to values"):
        dama.bench(benchmark="amber", model="hf:model", data_dir="data", settings=words, progress=False)
    with pytest.raises(dama.UsageError, match="expected a mapping of names to values"):
        dama.score("amber", "answers.jsonl", "data/amber", settings=words, progress=False)


def test_a_file_is_written_as_it_ends(here: Path) -> None:
    dama.score("amber", "answers.jsonl", "data/amber", progress=False)
    board = dama.leaderboard()
    for name, format in (
        ("b.md", "markdown"),
        ("b.TEX", "latex"),
        ("b.csv", "csv"),
        ("b.json", "json"),
        ("b.txt", "table"),
    ):
        assert board.write(name) == [Path(name)]
        assert Path(name).read_text(encoding="utf-8") == board.render(format)
    with pytest.raises(dama.UsageError, match=r"b.pdf: name the format.*\.txt \.md \.html \.htm \.tex \.csv \.json"):
        board.write("b.pdf")


def test_progress_is_a_callers_own_or_none(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps: list[tuple[str, int, int]] = []
    dama.bench(
        benchmark="amber",
        model="hf:model",
        data_dir="data",
        progress=lambda step, done, total: steps.append((step, done, total)),
    )
    assert ("answers", 4, 4) in steps
    capfd.readouterr()
    dama.bench(benchmark="amber", model="hf:model", data_dir="data", progress=False, fresh=True)
    assert "answers" not in capfd.readouterr().err


def test_the_commands_and_the_library_are_one_road(here: Path) -> None:
    command = [sys.executable, str(ROOT / "cli.py"), "score", "--benchmark", "amber", "--responses", "answers.jsonl"]
    done = subprocess.run([*command, "--data-dir", "data/amber", "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    printed, (stored,) = json.loads(done.stdout), dama.open().evaluations()
    assert printed["metrics"] == {name: dataclasses.asdict(figure) for name, figure in stored.metrics.items()}


def test_everything_exported_is_there_and_documented() -> None:
    assert all(getattr(dama, name).__doc__ for name in dama.__all__)
    assert re.fullmatch(r"\d+\.\d+.*", dama.__version__)
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert all(f"`{name}" in page or f"dama.{name}" in page for name in ("align", "bench", "score", "compare", "open"))


def test_the_stub_names_what_the_library_exports() -> None:
    stub = (ROOT / "dama-stubs" / "__init__.pyi").read_text(encoding="utf-8")
    assert set(re.findall(r"import \w+ as (\w+)", stub)) == set(dama.__all__)


def test_every_block_of_the_page_runs(here: Path) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    namespace: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for number, block in enumerate(blocks):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), namespace)
    assert len(blocks) >= 5 and Path("leaderboard.html").exists()
    assert len(blocks[0].strip().splitlines()) <= 12, "align, bench and a table in twelve lines"


def test_the_notebook_runs(here: Path) -> None:
    cells = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))["cells"]
    given = {"model": "model", "data": "pairs.jsonl", "data_dir": "data", "judge": None, "db": "notebook.sqlite"}
    namespace: dict[str, Any] = {}
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), cell["id"], "exec"), namespace)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(given) <= set(namespace)
            namespace |= {**given, "methods": ("dpo", "gap"), "benchmark": "amber", "settings": QUICK}
    assert Path("leaderboard.html").exists() and len(dama.open("notebook.sqlite").alignments) == 2
