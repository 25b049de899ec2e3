"""A cluster of three nodes on one machine, which are killed at random: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file

from cli import cli
from harness.cluster.connection import ClusterOptions, connected
from harness.cluster.models import ClusterModel
from harness.evaluation.generate import generate
from harness.protocols.benchmark import Decoding
from harness.protocols.model import Answer
from harness.store import Store
from tests.clusters import Nodes, contents, killed_at_random
from tests.commands.test_bench_openai import Endpoint, endpoint  # noqa: F401  (fixture)
from tests.commands.test_cluster import ablated, ablated_here, ablation, pope, run
from tests.harness.cluster.helpers import asked, sleeping
from tests.house import ROOT
from tests.tiny import tiny_llava, tiny_pairs
from workflows import cluster_training

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no Ray (extra cluster)"),
]
FIGURES = "DAMA_CLUSTER_FIGURES"
"""Names a file that gets what is measured here, a JSON object a line."""


def figure(**values: float) -> None:
    if file := os.environ.get(FIGURES):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(values) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nodes")
    tiny_llava(folder / "model")
    tiny_pairs(folder, count=8)
    pope(folder / "pope", images=40)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAMA_HOME", str(folder / "home"))
        yield folder


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    made = Nodes(3)
    yield made
    made.close()


def test_answers_of_a_sleeping_model_while_nodes_are_killed(nodes: Nodes, tmp_path: Path) -> None:
    samples, store, log = asked(900, images=150), Store(tmp_path / "r.sqlite"), tmp_path / "log"
    with connected(ClusterOptions(cluster=nodes.address, workers=3)) as cluster:
        assert cluster is not None
        model = ClusterModel(cluster, "sleeping", sleeping, 0.2, log)
        with killed_at_random(nodes, every=(2, 8), times=6):
            answers = generate(store, model, samples, Decoding(max_new_tokens=7))
    assert answers == {s.id: Answer(f"{s.prompt}: 7") for s in samples}
    counts = Counter(line.split()[-1] for line in log.read_text().splitlines())
    figure(killed=nodes.killed, answers=len(answers), asked_again=sum(counts.values()) - len(samples))
    assert nodes.killed and sum(counts.values()) - len(samples) <= nodes.killed * (model.batch_size + 6)
    assert store.count("generation") == len(samples)


def test_bench_while_nodes_are_killed_stores_what_one_process_stores(nodes: Nodes, folder: Path) -> None:
    words = ["bench", "--benchmark", "pope", "--model", f"hf:{folder / 'model'}", "--data-dir", str(folder)]
    words += ["--no-probe", "--set", "model.batch_size=4"]
    one = run(*words, "--db", str(folder / "one.sqlite"))
    with killed_at_random(nodes, every=(3, 8), times=6, seed=1):
        several = run(*words, "--db", str(folder / "several.sqlite"), "--cluster", nodes.address)
    figure(killed_in_bench=nodes.killed)
    assert nodes.killed, "else this was a calm run"
    assert one == several and Store(folder / "one.sqlite").count("generation") == 160
    assert contents(folder / "one.sqlite") == contents(folder / "several.sqlite")


def test_ablate_while_nodes_are_killed_stores_what_one_process_stores(nodes: Nodes, folder: Path) -> None:
    recipe = ablation(folder, ["dpo", "gap"])
    with killed_at_random(nodes, every=(15, 40), times=3, seed=2):
        on_cluster = ablated(folder, recipe, "killed.sqlite", "--cluster", nodes.address)
    figure(killed_in_ablate=nodes.killed)
    assert nodes.killed, "else this was a calm run"
    assert ablated_here(folder, recipe, "calm.sqlite") == on_cluster


def test_two_ranks_of_which_one_is_lost_with_its_node_resume_and_end_as_one_process(folder: Path) -> None:
    """80 steps, a checkpoint every 20: the second node, a rank of its own, is killed once the first checkpoint is."""
    words = ["align", "--method", "dpo", "--model", str(folder / "model"), "--data", str(folder / "train.jsonl")]
    words += ["--set", "batch_size=4", "--set", "epochs=40", "--set", "checkpoint_every=20", "--device", "cpu"]
    words += ["--db", str(folder / "ranks.sqlite")]
    one = run(*words, "--name", "one")
    two_nodes, ended, log = Nodes(2), threading.Event(), Store(folder / "ranks.sqlite")

    def kill() -> None:
        while two_nodes.killed == 0 and not ended.wait(0.1):
            with contextlib.suppress(FileNotFoundError):  # of a folder that is renamed while it is looked through
                if any((folder / "home").rglob("ranks-*/checkpoint-*")):
                    two_nodes.kill(0)
        ended.wait()  # nodes end with the thread that has started them

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        two = run(*words, "--name", "ranks", "--cluster", two_nodes.address, "--workers", "2")
    finally:
        ended.set()
        thread.join()
        two_nodes.close()
    assert two_nodes.killed == 1 and (one["info"]["processes"], two["info"]["processes"]) == (1, 2)
    here, there = (log.train_log(name) for name in ("one", "ranks"))
    assert [row["step"] for row in there] == [row["step"] for row in here] and len(here) == 80
    assert [row["loss"] for row in there] == pytest.approx([row["loss"] for row in here], abs=1e-6)
    a, b = (load_file(next(Path(each["model_dir"]).glob("*.safetensors"))) for each in (one, two))
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-6


def test_ranks_whose_node_does_not_come_back_are_one_refusal_and_the_same_command_resumes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cores are left of three. 8 pairs 40 times make 53 steps of 6."""
    monkeypatch.setattr(cluster_training, "PLACING", 2.0)
    words = ["align", "--method", "dpo", "--model", str(folder / "model"), "--data", str(folder / "train.jsonl")]
    words += ["--set", "batch_size=6", "--set", "epochs=40", "--set", "checkpoint_every=20", "--device", "cpu"]
    words += ["--db", str(folder / "fewer.sqlite"), "--name", "fewer"]
    nodes, ended = Nodes(3), threading.Event()

    def lose() -> None:
        while not ended.wait(0.1):
            with contextlib.suppress(FileNotFoundError):  # of a folder that is renamed while it is looked through
                if any((folder / "home").rglob("fewer-*/checkpoint-*")):
                    return nodes.lose(0)

    thread = threading.Thread(target=lose)
    thread.start()
    try:
        result = CliRunner().invoke(cli, [*words, "--cluster", nodes.address, "--workers", "3"])
    finally:
        ended.set()
        thread.join()
        nodes.close()
    assert result.exit_code == 1
    assert "fewer: for 2 seconds the cluster has had room for 2 of its 3 workers; nodes are gone." in result.stderr
    assert run(*words)["step"] == 53


def test_judging_while_nodes_are_killed_asks_no_endpoint_twice(
    nodes: Nodes,
    folder: Path,
    endpoint: Endpoint,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    rows = [
        {
            "question_type": "attribute", "question_topic": "x", "image_src": "", "image_content": ["Dog"],
            "gt_answer": "a dog .", "model_answer": "", "image_id": str(i), "question": f"what is {i} ?",
        }
        for i in range(60)
    ]  # fmt: skip
    data = folder / "mmhal"
    data.mkdir()
    (data / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    (folder / "answers.jsonl").write_text(
        "".join(json.dumps({"id": i, "response": f"a dog {i} ."}) + "\n" for i in range(60))
    )
    words = ["score", "--benchmark", "mmhal", "--responses", str(folder / "answers.jsonl"), "--data-dir", str(data)]
    local = [*words, "--judge", f"hf:{folder / 'model'}", "--set", "judge.batch_size=4"]
    one = run(*local, "--db", str(folder / "judged.sqlite"))
    with killed_at_random(nodes, every=(3, 8), times=5, seed=3):
        several = run(*local, "--db", str(folder / "judged-there.sqlite"), "--cluster", nodes.address)
        paid = run(*words, "--judge", f"openai:judge@{endpoint.url}", "--db", str(folder / "paid.sqlite"),
                   "--cluster", nodes.address)  # fmt: skip
    figure(killed_in_judging=nodes.killed)
    assert nodes.killed, "else this was a calm run"
    assert one == several
    assert contents(folder / "judged.sqlite") == contents(folder / "judged-there.sqlite")
    assert paid is not None
    asked_of = Counter(json.dumps(call["messages"]) for call in endpoint.calls)
    assert len(asked_of) == 120 and set(asked_of.values()) == {1}, (
        "Yes is no rating: each is asked once more by protocol, in words that name the form"
    )
    assert Store(folder / "paid.sqlite").count("reply") == len(endpoint.calls), "every call that was paid is stored"


def seconds(cluster_workers: int, address: str, samples: int, pause: float) -> float:
    """What ``samples`` answers of a sleeping model take once all workers hold it."""
    with connected(ClusterOptions(cluster=address, workers=cluster_workers)) as cluster:
        assert cluster is not None
        model = ClusterModel(cluster, "sleeping", sleeping, pause)
        while model.ready < cluster_workers:
            list(model.generate(asked(2, images=2), Decoding()))
        started = time.perf_counter()
        assert len(list(model.generate(asked(samples, images=samples), Decoding()))) == samples
        return time.perf_counter() - started


def test_two_workers_do_a_sleeping_models_work_in_half_the_time_of_one(nodes: Nodes) -> None:
    one, two = (seconds(count, nodes.address, samples=320, pause=0.1) for count in (1, 2))
    figure(one=one, two=two, efficiency=one / two / 2)
    assert one / two / 2 >= 0.9


def held() -> int:
    """KiB of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def test_the_drivers_memory_is_flat_over_100000_answers(nodes: Nodes) -> None:
    samples = asked(100_000, images=10_000)
    with connected(ClusterOptions(cluster=nodes.address, workers=2)) as cluster:
        assert cluster is not None
        model = ClusterModel(cluster, "sleeping", sleeping, 0.0, None, 100)
        at: dict[int, int] = {}
        for count, _ in enumerate(model.generate(samples, Decoding()), start=1):
            if count in (20_000, 100_000):
                at[count] = held()
    figure(kib_at_20000=at[20_000], kib_at_100000=at[100_000])
    assert at[100_000] - at[20_000] < 30_000


def marked(mark: str) -> list[int]:
    """The processes that have ``mark`` in their environment."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except OSError:  # it has just ended, or is somebody else's
            continue
    return found


def test_ctrl_c_ends_the_workers_and_keeps_what_is_stored(folder: Path) -> None:
    db, mark = folder / "stopped.sqlite", f"TEST_MARK={uuid.uuid4().hex}"
    words = ["bench", "--benchmark", "pope", "--model", f"hf:{folder / 'model'}", "--data-dir", str(folder)]
    words += ["--no-probe", "--set", "model.batch_size=1", "--db", str(db), "--cluster", "local", "--workers", "1"]
    name, value = mark.split("=")
    process = subprocess.Popen(
        [sys.executable, "cli.py", *words],
        cwd=ROOT, env={**os.environ, name: value}, start_new_session=True, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and (not db.exists() or Store.reading(db).count("generation") < 3):
        time.sleep(0.5)
    assert len(marked(mark)) > 3
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all of its processes
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "Interrupted" in said and "are kept in" in said, said
    assert 3 <= Store(db).count("generation") < 160 and Store(db).faults() == []
    deadline = time.monotonic() + 30
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert marked(mark) == []
