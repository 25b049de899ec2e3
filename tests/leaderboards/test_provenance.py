"""Where figures come from: commands that repeat them, and nothing of models that are no more."""

from __future__ import annotations

import itertools
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocols.benchmark import Metric, Verdict, ratio
from harness.protocols.model import Answer
from harness.store import NewEvaluation, Store
from harness.util.options import parse_assignments
from leaderboards.charts.plots import write_plots
from leaderboards.charts.tradeoffs import coverage_curves
from leaderboards.condition import Condition, condition_of
from leaderboards.provenance import bench_command, command_of, cost_rows
from leaderboards.rows import Row, Table, build_tables
from leaderboards.scored_metrics import ScoredMetrics
from leaderboards.scores import read_scores
from leaderboards.snapshot import Snapshot
from leaderboards.text import condition_text
from leaderboards.verdict_table import VerdictTable
from tests.leaderboards.fakes import METRICS, add, answers, example, snapshot


@pytest.mark.parametrize("text", ["dpo #2", "gap: paper", "0.30", "no", "a {b}", "null", " x"])
def test_the_command_says_what_yaml_would_read_otherwise(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path / "r.sqlite")
    store.start_alignment("a", method=text, seed=0, panel=text, key="k", config={"method": "dpo", "lr": 1e-7})
    words = shlex.split(command_of(store.alignments()[0]))
    given = [value for word, value in itertools.pairwise(words) if word == "--set"]
    assert parse_assignments(given) == {"panel": text, "label": text, "lr": 1e-7}


def test_a_judge_and_a_model_are_named_as_they_were_given(tmp_path: Path) -> None:
    store = example(tmp_path)
    judging = {"asked": "replay:replies.jsonl", "endpoint": "/data/replies.jsonl"}
    info = {"judging": judging, "loading": {"dtype": "bfloat16"}}
    add(store, "x", answers([1]), alignment=None, model="hf:org/x", info=info)
    command = bench_command([store.evaluations(run="x")[0]])
    assert "--judge replay:/data/replies.jsonl" in command and "--set model.dtype=bfloat16" in command


def test_charts_and_costs_are_of_the_models_that_the_tables_show(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    verdicts = {"0": Verdict({"hallucinated_mentions": 1.0})}

    def point(run: str, bias: float, key: str, alignment: str | None = None) -> None:
        value = 10.0 if key == "new" else 90.0
        metrics = {
            n: {"value": value, "low": 0.0, "high": 99.0, "unit": "%", "higher_is_better": n == "recall"}
            for n in ("recall", "chair_i")
        }
        store.save_evaluation(
            NewEvaluation(
                key=f"{run}{bias}{key}", run=run, model=run, model_key=key, alignment=alignment,
                benchmark="object_halbench", settings={}, version="1", mode="m", judge="rule", data_key="d",
                data_dir=".", decoding={"eos_bias": bias}, n=1, n_scored=1, n_failed=0, metrics=metrics, info={},
            ),
            [("0", 0, "", "text", verdicts["0"])],
        )  # fmt: skip

    for key in ("old", "new"):
        store.start_alignment("dpo", method="dpo", seed=0, panel="", key=key, config={})
        store.finish_alignment("dpo", status="done", model_dir="m", seconds=1.0)
        for bias in (0.0, 1.0) if key == "old" else (0.0,):
            point("dpo", bias, key, "dpo")
        time.sleep(0.002)  # the store's clock has milliseconds
    condition = condition_of(store.evaluations()[-1])
    row = Row("dpo", ("dpo",), (0,), 1, 1, 0, {}, {})
    columns = tuple(Metric(name, ratio("a", "b"), None) for name in ("chair_i", "recall"))
    (series,) = coverage_curves(Snapshot(store), Table("", condition, columns, (row,)), {})
    assert series.points == [(10.0, 10.0)]
    store.save_answers("old", [("q", Answer("a", None, 5, 1.0))])
    store.save_answers("new", [("q", Answer("a", None, 7, 1.0))])
    assert [(r["run"], r["tokens"]) for r in cost_rows(Snapshot(store))] == [("dpo", 7)]


@pytest.mark.parametrize(
    ("decoding", "words"),
    [
        ({"eos_bias": "0.0"}, "version 1 · data d"),
        ({"eos_bias": "0.5", "max_new_tokens": "64", "num_beams": "1", "temperature": "0.0"},
         "greedy, 64 tokens, EOS bias +0.5"),
        ({"max_new_tokens": "512", "num_beams": "3", "temperature": "0.0"}, "3 beams, 512 tokens"),
        ({"num_beams": "1", "temperature": "0.7"}, "temperature 0.7"),
        ({"until": "x", "do_sample": "False"}, "until=x, do_sample=False"),
    ],
)  # fmt: skip
def test_a_caption_tells_the_decoding(decoding: dict[str, str], words: str) -> None:
    assert words in condition_text(Condition("amber", "1", "plain", "none", "d", tuple(decoding.items())))


def test_every_condition_has_plots_of_its_own(tmp_path: Path) -> None:
    store = example(tmp_path)
    for changes in ({"decoding": {"max_new_tokens": 64}}, {"version": "2"}, {"judge": "b"}):
        add(store, "base", answers([1] * 6), **changes)
    found = build_tables(snapshot(store), resamples=9)
    files = write_plots(found, tmp_path / "plots")
    assert len(found) == 4 and len(set(files)) == len(files) == 8


def test_seeds_that_were_judged_a_different_number_of_times_are_compared(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    add(store, "once", answers([2] * 6))
    add(store, "base", answers([1] * 6))
    once, base = (store.verdicts(store.evaluations(run=run)[0].id) for run in ("once", "base"))
    thrice = [replace(v, run=run) for v in once for run in range(3)]
    seeds = [VerdictTable.of(verdicts) for verdicts in (once, thrice)]
    scores = {"thrice": read_scores(seeds), "base": read_scores([VerdictTable.of(base)])}
    (difference,) = ScoredMetrics(METRICS[:1], scores).differences("thrice", "base")
    assert (difference.value, difference.n) == (25.0, 6)
