"""`bench`, `ablate` and `align` on a Ray cluster give what one process gives; what a worker is lost with is named."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image as PilImage
from safetensors.torch import load_file

from cli import cli
from harness.cluster.connection import Cluster, ClusterOptions, connected
from harness.cluster.holder import Holder
from harness.cluster.models import ClusterModel
from harness.errors import HarnessError, UsageError
from harness.evaluation.generate import generate
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.model import Answer
from harness.protocols.progress import silent
from harness.store import Store
from harness.util.options import read_yaml
from tests.clusters import contents, one_node
from tests.harness.cluster.helpers import asked, other_each_time, sleeping
from tests.tiny import tiny_llava, tiny_pairs
from workflows import cluster_training
from workflows.ablate import bases_of, run_base, run_job
from workflows.ablation import jobs, read_ablation

ray: Any = pytest.importorskip("ray", reason="no Ray (extra cluster)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny model, POPE on six images and pairs to train on, and a cluster of this machine with two cores."""
    folder = tmp_path_factory.mktemp("cluster")
    tiny_llava(folder / "model")
    tiny_pairs(folder, count=8)
    pope(folder / "pope")
    with pytest.MonkeyPatch.context() as patch, one_node():
        patch.setenv("DAMA_HOME", str(folder / "home"))
        yield folder


def pope(folder: Path, images: int = 6) -> None:
    (folder / "val2014").mkdir(parents=True)
    rows = []
    for image in range(images):
        PilImage.new("RGB", (8, 8), (6 * image, 255 - 6 * image, 0)).save(folder / f"val2014/{image}.png")
        for i in range(4):
            row = {"image": f"{image}.png", "text": f"is there a {'dog' if i else 'cat'} {i} ?"}
            rows.append({"question_id": 4 * image + i, "label": "yes" if i % 2 else "no", **row})
    (folder / "coco_pope_random.json").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(*words: str) -> Any:
    result = CliRunner().invoke(cli, [*words, "--json"])
    assert result.exit_code in (0, 3), (result.output, result.exception)
    return json.loads(result.stdout)


def test_bench_on_a_worker_stores_what_this_process_stores(folder: Path) -> None:
    words = [
        "bench",
        "--benchmark",
        "pope",
        "--model",
        f"hf:{folder / 'model'}",
        "--data-dir",
        str(folder),
        "--no-probe",
    ]
    one = run(*words, "--db", str(folder / "one.sqlite"))
    two = run(*words, "--db", str(folder / "two.sqlite"), "--cluster", "local", "--workers", "1")
    stored = contents(folder / "one.sqlite")
    assert one == two and len(stored["generation"]) == 24
    assert stored == contents(folder / "two.sqlite")


def test_what_ends_every_worker_is_a_failed_answer_and_nothing_else_is_lost_or_asked_twice(
    folder: Path, tmp_path: Path
) -> None:
    samples, store, log = asked(12, images=4), Store(tmp_path / "r.sqlite"), tmp_path / "log"
    samples[5] = Sample("5", "die", group="image 1")
    with connected(ClusterOptions(cluster="local", workers=2)) as cluster:
        assert cluster is not None
        assert {cluster.result(cluster.remote(Holder, ".").where.remote())[1]} == cluster.nodes()
        model = ClusterModel(cluster, "sleeping", sleeping, 0.0, log, 4)
        answers = generate(store, model, samples, Decoding(max_new_tokens=7))
        with pytest.raises(HarnessError, match=r"another worker .*answers of both would not be of one model"):
            other = ClusterModel(cluster, "other", other_each_time)
            list(other.generate(samples, Decoding()))
    good = [s.id for s in samples if s.group != "image 1"]
    assert all(answers[id_] == Answer(f"what {id_}: 7") for id_ in good)
    failed = {id_: answer.error for id_, answer in answers.items() if answer.text is None}
    assert set(failed) == {"1", "5", "9"}, "an image's questions are one unit"
    assert all(
        error and "4 workers that were asked this were lost (the last: process" in error for error in failed.values()
    )
    lines = [line.split(" ", 1) for line in log.read_text().splitlines()]
    counts = Counter(line for _, line in lines)
    assert {counts[f"image {int(i) % 4} {i}"] for i in good} <= {1, 2}, "again only what was at a lost worker"
    stored = dict(
        store.db.execute("SELECT text, count(*) FROM generation WHERE text IS NOT NULL GROUP BY text").fetchall()
    )
    assert set(stored.values()) == {1} and len(stored) == len(good)


def test_a_cluster_without_room_is_refused(folder: Path) -> None:
    with (
        pytest.raises(UsageError, match="--workers 3: the cluster local has room for 2 of one CPU core each"),
        connected(ClusterOptions(cluster="local", workers=3)),
    ):
        pass
    with (
        pytest.raises(UsageError, match="--gpus-per-worker: the cluster local has no GPU"),
        connected(ClusterOptions(cluster="local", gpus_per_worker=0.5)),
    ):
        pass


def test_ranks_for_which_the_cluster_has_no_room_any_more_are_refused_after_a_while(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This cluster has two cores: as if of three nodes one were lost."""
    monkeypatch.setattr(cluster_training, "PLACING", 5.0)
    two, three = (Cluster(ray, workers, 0.0, 3) for workers in (2, 3))
    shown: list[tuple[str, int, int]] = []

    def show(step: str, done: int, total: int, note: str = "") -> None:
        shown.append((step, done, total))

    now = time.monotonic()
    assert cluster_training._with_room(two, "run", now - 60, show) >= now and not shown
    assert cluster_training._with_room(three, "run", now - 1, show) == now - 1
    assert shown == [("waiting for nodes", 2, 3)]
    with pytest.raises(
        HarnessError, match=r"run: for 5 seconds .* room for 2 of its 3 workers.* resumes from the last"
    ):
        cluster_training._with_room(three, "run", now - 6, show)


def test_ranks_that_are_given_up_do_not_train_on_without_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = folder / "fit.pid"

    def fit(*_: Any) -> None:
        mark.write_text(str(os.getpid()))
        time.sleep(60)

    def no_room(*_: Any) -> float:
        if mark.exists():
            raise HarnessError("nodes are gone")
        return 0.0

    monkeypatch.setattr(cluster_training, "_fit", fit)
    monkeypatch.setattr(cluster_training, "_with_room", no_room)
    spec, received = SimpleNamespace(name="given-up"), SimpleNamespace(inbox=None, look=lambda: None, show=silent)
    with connected(ClusterOptions(cluster="local", workers=2)) as cluster, pytest.raises(HarnessError, match="gone"):
        assert cluster is not None
        try:
            cluster_training._all_ranks(cluster, received, (spec, folder / "given-up"))  # type: ignore[arg-type]
        finally:
            until = time.monotonic() + 20
            while alive(int(mark.read_text())) and time.monotonic() < until:
                time.sleep(0.05)
            assert not alive(int(mark.read_text()))


def alive(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def ablation(folder: Path, methods: list[str]) -> Path:
    common = {"model": str(folder / "model"), "data": str(folder / "train.jsonl"), "batch_size": 4, "device": "cpu"}
    recipe = {
        "methods": [{"method": method} for method in methods], "seeds": [0], "common": common, "benchmarks": ["pope"],
        "data_dir": str(folder), "workers": 1,
    }  # fmt: skip
    file = folder / "ablation.yaml"
    file.write_text(json.dumps(recipe))
    return file


def ablated(folder: Path, recipe: Path, db: str, *more: str) -> dict[str, list[str]]:
    shutil.rmtree(folder / "home", ignore_errors=True)
    run("ablate", "--recipe", str(recipe), "--db", str(folder / db), "--out", str(folder / "out"), *more)
    return contents(folder / db)


def ablated_here(folder: Path, recipe: Path, db: str) -> dict[str, list[str]]:
    """What the runs of ``recipe`` store, one after the other in this process."""
    shutil.rmtree(folder / "home", ignore_errors=True)
    planned, file = read_ablation(read_yaml(recipe)), str(folder / db)
    run_base(file, bases_of(planned, silent)[0], planned, "auto")
    for job in jobs(planned, file):
        run_job(job, "auto")
    return contents(folder / db)


@pytest.mark.cluster
def test_an_ablation_on_a_cluster_stores_what_this_process_stores(folder: Path) -> None:
    recipe = ablation(folder, ["dpo"])
    on_cluster = ablated(folder, recipe, "cluster.sqlite", "--cluster", "local")
    assert ablated_here(folder, recipe, "here.sqlite") == on_cluster
    assert len(on_cluster["alignment"]) == 1 and len(on_cluster["evaluation"]) == 2


@pytest.mark.cluster
def test_an_alignment_on_two_workers_is_that_of_one_process(folder: Path) -> None:
    words = ["align", "--method", "dpo", "--model", str(folder / "model"), "--data", str(folder / "train.jsonl")]
    words += ["--set", "batch_size=4", "--device", "cpu", "--db", str(folder / "align.sqlite")]
    one = run(*words, "--name", "one")
    two = run(*words, "--name", "two", "--cluster", "local", "--workers", "2")
    assert (one["info"]["processes"], two["info"]["processes"]) == (1, 2)
    a, b = (load_file(next(Path(each["model_dir"]).glob("*.safetensors"))) for each in (one, two))
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-6
    store = Store(folder / "align.sqlite")
    losses = [[row["loss"] for row in store.train_log(name)] for name in ("one", "two")]
    assert losses[0] and losses[1] == pytest.approx(losses[0], abs=1e-6)


@pytest.mark.cluster
def test_a_training_whose_records_are_lost_on_their_way_begins_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has not arrived is on no checkpoint: resumed from one, the log would lack steps."""
    words = ["align", "--method", "dpo", "--model", str(folder / "model"), "--data", str(folder / "train.jsonl")]
    words += ["--set", "batch_size=2", "--set", "epochs=40", "--set", "checkpoint_every=20", "--device", "cpu"]
    words += ["--db", str(folder / "records.sqlite")]
    run(*words, "--name", "here")
    look = cluster_training._Received.look
    ended: list[Any] = []

    def spoilt(received: Any) -> None:
        seen = len(ended) == 0 and any((folder / "home").rglob("lost-records-*/checkpoint-*"))
        if seen:
            ended.append(received)
            ray.kill(received.inbox)
        look(received)

    monkeypatch.setattr(cluster_training._Received, "look", spoilt)
    run(*words, "--name", "lost-records", "--cluster", "local", "--workers", "1")
    store = Store(folder / "records.sqlite")
    here, there = (store.train_log(name) for name in ("here", "lost-records"))
    assert ended and [row["step"] for row in there] == [row["step"] for row in here]
    assert [row["loss"] for row in there] == pytest.approx([row["loss"] for row in here], abs=1e-6)
