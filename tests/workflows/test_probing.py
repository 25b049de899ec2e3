"""The probe at the start of `align` and `bench`: stored with what it was for, once, and in the way of what differs."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.models import probe_local
from harness.models.probe_served import ANSWER_TOKENS
from harness.protocols.model import Model
from harness.store import Store
from tests.harness.store.old_files import as_before
from tests.harness.template_server import Refused, TemplateServer
from tests.house import ROOT
from tests.tiny import tiny_amber, tiny_llava, tiny_pairs
from workflows.probing import Probed

OTHER = (
    "{% for m in messages %}{% if m.role == 'user' %}Q {% for p in m.content %}"
    "{% if p.type == 'image' %}<image> {% else %}{{ p.text }}{% endif %}{% endfor %} "
    "{% else %}A {{ m.content[0].text }} </s> {% endif %}{% endfor %}{% if add_generation_prompt %}A{% endif %}"
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, pairs and AMBER data."""
    folder = tmp_path_factory.mktemp("probing")
    tiny_llava(folder / "model")
    tiny_pairs(folder / "pairs", 4)
    tiny_amber(folder / "amber")
    return folder


@pytest.fixture(autouse=True)
def home(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAMA_HOME", str(there / "home"))


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was probed, in order."""
    seen: list[str] = []
    probe = probe_local.probe_local

    def counting(model: Any, encode: Any) -> Any:
        seen.append(model.spec)
        return probe(model, encode)

    monkeypatch.setattr(probe_local, "probe_local", counting)
    return seen


def run(*words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(cli, [*words, "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return json.loads(result.stdout) if result.stdout.startswith(("[", "{")) else result.stderr


def bench(there: Path, db: Path, model: str, *more: str, code: int = 0) -> Any:
    data = ("--benchmark", "amber", "--data-dir", str(there / "amber"), "--set", "decoding.max_new_tokens=4")
    return run("bench", "--model", model, "--db", str(db), *data, *more, code=code)


def test_a_run_is_probed_when_trained_and_when_asked_and_both_are_stored(
    there: Path, tmp_path: Path, probes: list[str]
) -> None:
    db = tmp_path / "r.sqlite"
    quick = ("--set", "batch_size=2", "--set", "micro_batch=2", "--set", "probe_every=0")
    files = ("--model", str(there / "model"), "--data", str(there / "pairs/train.jsonl"), "--db", str(db))
    trained = run("align", "--method", "dpo", *files, *quick)["info"]["probe"]
    assert trained["state"] in ("ok", "warning") and trained["tokens"] == {"training": 15, "generation": 15}
    bench(there, db, "run:dpo-s0")
    bench(there, db, "run:dpo-s0", "--limit", "3")
    assert probes == [f"model {there / 'model'}", "run:dpo-s0"], "what is stored is not probed again"
    asked = Store(db).evaluations()[0].info["probe"]
    assert asked["digest"] == trained["digest"] and asked["end"] == trained["end"] == "</s>"
    assert run("show", "dpo-s0", "--db", str(db))["evaluations"][0]["probe"]["key"] == asked["key"]
    assert [row["probe"] for row in run("list", "runs", "--db", str(db))] == [asked["state"]]

    template = next(Path(Store(db).alignment("dpo-s0").model_dir).glob("chat_template*"))
    template.write_text(OTHER)
    said = bench(there, db, "run:dpo-s0", "--fresh", code=2)
    assert "it was trained on another prompt than it is asked" in said and "--no-probe" in said
    assert "'USER :[4 x <image>]" in said.partition(" in training, ")[0] and "<unk>[4 x <image>]" in said
    assert run("doctor", "--model", "run:dpo-s0", "--db", str(db), code=1)[0]["state"] == "bad"
    bench(there, db, "run:dpo-s0", "--fresh", "--no-probe")


def killed_before_its_evaluation(db: Path) -> None:
    """Leave ``db`` as a process does that is killed when all answers are stored."""
    with contextlib.closing(sqlite3.connect(db)) as there:
        there.executescript("DELETE FROM verdict; DELETE FROM evaluation;")


def recorded(db: Path) -> list[dict[str, Any]]:
    """What is stored of the evaluations, without number and time."""
    store = Store.reading(db)
    rows = [{k: v for k, v in row.items() if k not in ("id", "created")} for row in store.rows("evaluation")]
    store.close()
    return rows


def test_what_a_killed_bench_probed_stands_with_the_evaluation_that_the_next_one_makes(
    there: Path, tmp_path: Path, probes: list[str]
) -> None:
    """Every answer is stored, so that the second process asks nothing, and has nothing to probe before."""
    db = tmp_path / "r.sqlite"
    bench(there, db, str(there / "model"))
    (undisturbed,) = recorded(db)
    assert json.loads(undisturbed["info"])["probe"]["tokens"] == {"training": 15, "generation": 15}
    killed_before_its_evaluation(db)
    asked = f"""import dama
dama.bench(benchmark="amber", model={str(there / "model")!r}, data_dir={str(there / "amber")!r}, db={str(db)!r},
           settings={{"decoding.max_new_tokens": 4}}, progress=False)"""
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert recorded(db) == [undisturbed] and len(probes) == 1


def test_what_an_earlier_version_kept_with_the_evaluation_alone_is_not_probed_again(
    there: Path, tmp_path: Path, probes: list[str]
) -> None:
    db = tmp_path / "r.sqlite"
    bench(there, db, str(there / "model"))
    as_before(db, 10)
    bench(there, db, str(there / "model"), "--limit", "3", "--fresh")
    assert len(probes) == 1 and len({json.loads(row["info"])["probe"]["key"] for row in recorded(db)}) == 1


@pytest.fixture(scope="module")
def server(there: Path) -> Iterator[TemplateServer]:
    with TemplateServer(there / "model") as running:
        yield running


def test_doctor_compares_training_generation_and_endpoint_on_a_pair_of_the_data_too(
    there: Path, server: TemplateServer
) -> None:
    models = ("--model", f"hf:{there / 'model'}", "--model", f"openai:served@{server.url}")
    processor = ("--set", f"model.processor={there / 'model'}")
    data = ("--data", str(there / "pairs/train.jsonl"))
    assert "processor" in run("doctor", *models, *processor, code=2), "a setting of one kind is not one of the other"
    (here,) = run("doctor", *models[:2], *data)
    (served,) = run("doctor", *models[2:], *data, *processor)
    for asked in ("question", "pair"):
        counts = {**here[asked]["tokens"], **served[asked]["tokens"]}
        assert counts.keys() == {"training", "generation", "server"} and len(set(counts.values())) == 1
        assert here[asked]["prompt"] == served[asked]["prompt"] and here[asked]["end"] == served[asked]["end"] == "</s>"
    assert "describe the image" in here["pair"]["prompt"]
    (nothing,) = run("doctor", "--model", f"replay:{answers(there)}")
    assert nothing["state"] == "none" and "nothing to probe" in nothing["detail"]
    assert "--data" in run("doctor", *data, code=2)


def test_doctor_does_not_call_an_endpoint_sound_that_did_not_answer() -> None:
    waits = ("--set", "model.first_wait=0.001", "--set", "model.longest_wait=0.01")
    (found,) = run("doctor", "--model", "openai:served@http://127.0.0.1:9/v1", *waits, code=1)
    assert found["state"] == "bad" and "did not answer the probe" in found["question"]["checks"][0]["detail"]


def test_what_a_model_defines_is_asked_of_the_model_that_is_probed() -> None:
    """A default of the protocol in its place would be recorded in silence (a repetition penalty left out)."""
    methods = {name for name, value in vars(Model).items() if callable(value) and not name.startswith("_")}
    assert {"generate", "probe", "decodes"} <= methods <= vars(Probed).keys()


def answers(there: Path) -> Path:
    file = there / "answers.jsonl"
    file.write_text('{"id": "1", "response": "a dog"}\n')
    return file


def test_an_endpoint_that_drops_the_image_is_refused_before_the_first_question(
    there: Path, tmp_path: Path, server: TemplateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, db = server.complete, tmp_path / "r.sqlite"

    def blind(call: dict[str, Any]) -> dict[str, Any]:
        turn = call["messages"][-1]
        if not isinstance(turn["content"], str):
            turn["content"] = turn["content"][-1]["text"]
        return complete(call)

    model = f"openai:served@{server.url}"
    before = len(server.calls)
    with monkeypatch.context() as patch:
        patch.setattr(server, "complete", blind)
        said = bench(there, db, model, code=2)
    assert "the image does not reach the model" in said and len(server.calls) == before + 2
    bench(there, db, model)
    asked = Store(db).evaluations()[0].info["probe"]
    assert asked["tokens"] == {"server": 15} and asked["image_tokens"] == 4 and asked["state"] == "ok"


def test_what_an_endpoint_did_not_answer_is_kept_with_the_evaluation_and_asked_again(
    there: Path, tmp_path: Path, server: TemplateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses the probe's calls alone, so that nothing is known; later the next question is after a probe."""
    complete, db = server.complete, tmp_path / "r.sqlite"
    model = f"openai:served@{server.url}"

    def refusing(call: dict[str, Any]) -> dict[str, Any]:
        if call["max_tokens"] == ANSWER_TOKENS:
            raise Refused(400, "not now")
        return complete(call)

    with monkeypatch.context() as patch:
        patch.setattr(server, "complete", refusing)
        bench(there, db, model)
    before = recorded(db)
    assert json.loads(before[0]["info"])["probe"]["key"] == ""
    killed_before_its_evaluation(db)
    bench(there, db, model)
    assert recorded(db) == before, "nothing was asked, and nothing is lost"
    bench(there, db, model, "--fresh")
    assert json.loads(recorded(db)[0]["info"])["probe"]["image_tokens"] == 4
