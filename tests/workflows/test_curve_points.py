"""`--eos-bias auto`: points are added, stored and found again; a model that never reaches the base is marked.

The models name so many of the eight things in an image as their spec says: ``length:2.5`` two or three, and two more
for every unit of bias less; ``length:1!`` always one. Who names more than three invents a zebra.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.errors import UsageError
from harness.models.spec import MODELS, Loading, ModelKind, ModelSpec
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer, Model
from harness.store import Store
from leaderboards.rows import build_tables
from leaderboards.snapshot import Snapshot
from tests.tiny import picture
from workflows.bench import bench_all, resolve_benchmarks
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.suites import members_of

THINGS = ("dog", "cat", "car", "boat", "tree", "ball", "bird", "horse")
IMAGES = 12
ASKED: list[tuple[str, float]] = []
"""(model, bias) of every call of a model."""


class Length(Model):
    route = "length"

    def __init__(self, target: str) -> None:
        self.name, self.spec, self.key = target, f"length:{target}", f"length-{target}"

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        ASKED.append((self.name, decoding.eos_bias))
        for position, sample in enumerate(samples):
            length = float(self.name.rstrip("!")) + (0 if "!" in self.name else -2 * decoding.eos_bias)
            count = min(int(length + (int(sample.id) - 1) / IMAGES), len(THINGS))
            yield position, Answer(" ".join(f"A {thing}." for thing in [*THINGS[:count], *["zebra"] * (count > 3)]))


def load(spec: ModelSpec, loading: Loading) -> Model:
    return Length(spec.target)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AMBER's captions of twelve images with the same eight things, and the kind of model."""
    monkeypatch.setitem(MODELS._items, "length", ModelKind("length:NUMBER", "names so many things", load))
    ASKED.clear()
    folder = tmp_path / "data" / "amber"
    (folder / "query").mkdir(parents=True)
    (folder / "image").mkdir()
    rows = range(1, IMAGES + 1)
    queries = [{"id": i, "image": f"AMBER_{i}.png", "query": "Describe this image."} for i in rows]
    truth = [{"id": i, "type": "generative", "truth": list(THINGS), "hallu": ["zebra"]} for i in rows]
    (folder / "query" / "query_all.json").write_text(json.dumps(queries))
    (folder / "annotations.json").write_text(json.dumps(truth))
    (folder / "relation.json").write_text(json.dumps({thing: [] for thing in (*THINGS, "zebra")}))
    (folder / "safe_words.txt").write_text("orange\n")
    for i in rows:
        (folder / "image" / f"AMBER_{i}.png").write_bytes(picture(i))
    return tmp_path / "data"


def bench(store: Store, data: Path, *models: tuple[str, str], biases: Sequence[Any] = ("auto",)) -> list[float]:
    """The biases of the last model's evaluations in this call, in order."""
    settings = {"similarity": "exact", "tagger": "lexicon"}
    wanted = resolve_benchmarks(members_of(None, ["amber"]), settings, eos_biases=biases)
    named = [EvalModel(run, spec) for run, spec in models]
    records = list(bench_all(store, named, wanted, data, Judges(None), probe=False))
    assert all(record.n_scored == IMAGES for record in records)
    return [record.decoding["eos_bias"] for record in records if record.run == models[-1][0]]


def test_points_are_added_until_the_base_s_coverage_is_bracketed_and_are_found_again(
    data: Path, tmp_path: Path
) -> None:
    """base names 4 of 8 things in each image: 50 %. ``quiet`` names 2 in half of them and 3 in the others, 31.25 % at 0
    and 43.75 % at -0.5. 6.25 points are lacking, and two standard errors (6.25 / sqrt(12) each) at 25 points a unit:
    0.39 further, rounded up -1 with 56.25 %. Since 12.5 points apart are far, -0.75 with 50 %.
    """
    store = Store(tmp_path / "r.sqlite")
    models = ("quiet", "length:2.5"), ("base", "length:4")
    assert bench(store, data, *models) == [0.0], "base needs no curve"
    asked = [("4", 0.0), *(("2.5", bias) for bias in (0.0, -0.5, -1.0, -0.75))]
    assert asked == ASKED, "the base comes first, whoever is named first"
    assert bench(store, data, *models[::-1]) == [0.0] and asked == ASKED, "all is stored"
    (table,) = build_tables(Snapshot(store), resamples=200)
    base, quiet = (row.cells["chair_matched"] for row in table.rows)
    assert (base.bracketed, quiet.bracketed, quiet.extrapolated) == (True, True, 0.0)
    assert quiet.value == base.value == 20.0, "four things and a zebra"


def test_given_points_count_and_a_model_that_never_reaches_the_base_ends_and_is_marked(
    data: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path / "r.sqlite")
    models = ("base", "length:4"), ("mute", "length:1!")
    assert bench(store, data, *models, biases=(-0.5, "auto")) == [0.0, -0.5, -1.5, -3.0, -6.0, -8.0]
    (table,) = build_tables(Snapshot(store), resamples=200)
    mute = next(row for row in table.rows if row.label == "mute").cells["chair_matched"]
    assert (mute.extrapolated, mute.bracketed) == (1.0, False)


def test_the_word_is_read_from_the_command_line_and_refused_where_it_cannot_be(data: Path, tmp_path: Path) -> None:
    words = ["bench", "--benchmark", "amber", "--model", "length:2.5", "--name", "quiet", "--data-dir", str(data)]
    words += ["--db", str(tmp_path / "r.sqlite"), "--set", "tagger=lexicon", "--set", "similarity=exact"]
    with pytest.warns(UserWarning, match="quiet on amber: there is no base"):
        alone = CliRunner().invoke(cli, [*words, "--eos-bias", "auto"])
    assert alone.exit_code == 0, alone.output
    plan = json.loads(CliRunner().invoke(cli, [*words, "--eos-bias", "auto", "--dry-run", "--json"]).stdout)
    assert plan["total"]["generations"] == 0 and "at_most" not in plan, "what is stored has no base to be read at"
    other = [*words[:4], "length:3", "--name", "other", *words[7:], "--eos-bias", "auto", "--dry-run", "--json"]
    plan = json.loads(CliRunner().invoke(cli, other).stdout)
    assert (plan["total"]["generations"], plan["at_most"]["generations"]) == (12, 6 * 12), "six points at most"
    wrong = CliRunner().invoke(cli, [*words, "--eos-bias", "often"])
    assert wrong.exit_code == 2 and "'often': expected a number or auto" in wrong.stderr
    shard = CliRunner().invoke(cli, [*words, "--eos-bias", "auto", "--shard", "1/2"])
    assert shard.exit_code == 2 and "--eos-bias auto and --shard" in shard.stderr
    with pytest.raises(UsageError, match="none of these benchmarks measures both"):
        resolve_benchmarks(members_of(None, ["mmhal"]), {}, eos_biases=["auto"])
