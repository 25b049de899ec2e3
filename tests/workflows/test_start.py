"""From an adapter made elsewhere by way of DPO to DAMA: trained, benchmarked, listed and exported as one model."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

import dama
from cli import cli
from harness.errors import UsageError
from harness.models.loading import load
from harness.models.sources import composition
from harness.protocols.progress import silent
from tests.test_align_recipe import tiny_clip
from tests.tiny import tiny_adapter, tiny_amber, tiny_llava, tiny_pairs
from workflows.align import resolve_alignment
from workflows.export_model import export_model

LORA = {"lr": 1e-2, "batch_size": 8, "micro_batch": 8, "lora_rank": 2, "checkpoint_every": 0}


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with base/, sft/ (an adapter that says its base relative to itself), and runs dpo and dama on top."""
    root = tmp_path_factory.mktemp("chain")
    tiny_adapter(tiny_llava(root / "base"), root / "sft")
    config = json.loads((root / "sft/adapter_config.json").read_text()) | {"base_model_name_or_path": "../base"}
    (root / "sft/adapter_config.json").write_text(json.dumps(config))
    tiny_pairs(root, count=16)
    tiny_amber(root / "data/amber")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("DAMA_HOME", "artefacts")
        data: dict[str, Any] = {"data": "train.jsonl", "progress": False, "settings": LORA}
        dpo = dama.align("dpo", model="sft", name="dpo", **data)
        settings = {**LORA, "clip": tiny_clip(root / "clip")}
        dama.align("dama", model=dpo, name="dama", **{**data, "settings": settings})
        yield root


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def logits(target: str | Path) -> Tensor:
    base, adapters = composition(str(target))
    model = load(base, device=torch.device("cpu"), named="x", adapters=adapters).model
    with torch.no_grad():
        found: Tensor = model(input_ids=torch.arange(5, 25)[None]).logits
    return found


def test_every_path_of_a_run_is_stored_absolute(chain: Path) -> None:
    given = {"model": "base", "data": "train.jsonl", "heldout": "train.jsonl", "clip": "local-dir:clip"}
    record = resolve_alignment(given, silent).record
    assert record["hardness"]["clip"] == f"local-dir:{chain}/clip"
    assert record["heldout"] == record["data"] == f"{chain}/train.jsonl" and record["model"] == f"{chain}/base"


def test_a_chain_is_benchmarked_from_any_directory_and_shows_where_it_comes_from(
    chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    db = chain / "results.sqlite"
    figures = dama.bench(benchmark="amber", data_dir=chain / "data", db=db, progress=False)
    assert [e.run for e in figures] == ["base", "dpo", "dama"] and figures.complete
    assert figures[0].model == f"hf:{chain / 'base'}+{chain / 'sft'}"
    answers = [[v.answer for v in dama.open(db).verdicts(e).verdicts] for e in figures]
    assert len({str(each) for each in answers}) == 3, "three models, three sets of answers"
    rows = {row["name"]: row for row in json.loads(invoke("list", "runs", "--json", "--db", db).stdout)}
    lineage = {"parent": rows["dama"]["parent"], "ancestry": rows["dama"]["ancestry"], "base": rows["dama"]["base"]}
    assert lineage == {"parent": "dpo", "ancestry": "dpo", "base": str(chain / "base")}
    assert rows["dama"]["adapters"] == f"{chain / 'sft'}, {rows['dpo']['model']}"
    assert f"{chain / 'base'} -> run:dpo" in invoke("show", "dama", "--db", db).output.replace("\n", "").replace(
        "  ", ""
    )
    tables = {table.panel: table for table in dama.leaderboard(db=db).tables}
    assert {row.label for row in tables["model run:dpo"].rows} == {"base", "dama"}, "the base of DAMA is the run dpo"


def test_a_moved_model_is_named(chain: Path) -> None:
    shutil.move(chain / "sft", chain / "elsewhere")
    try:
        with pytest.raises(UsageError, match=f"was trained on {chain / 'sft'}, which is not there"):
            dama.bench(benchmark="amber", model="run:dama", data_dir="data", progress=False)
    finally:
        shutil.move(chain / "elsewhere", chain / "sft")


def test_an_exported_model_is_the_runs_own_merged_or_as_one_adapter(chain: Path, tmp_path: Path) -> None:
    expected = logits(dama.open("results.sqlite").alignments[1].model_dir)
    made = invoke("export-model", "dama", "--merge", "--out", tmp_path / "merged", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["kind"] == "model"
    torch.testing.assert_close(logits(tmp_path / "merged"), expected, rtol=1e-4, atol=1e-5)
    made = invoke("export-model", "run:dama", "--out", tmp_path / "adapter", "--json")
    assert json.loads(made.stdout)["base"] == str(chain / "base")
    assert composition(str(tmp_path / "adapter")) == (str(chain / "base"), (str(tmp_path / "adapter"),))
    torch.testing.assert_close(logits(tmp_path / "adapter"), expected, rtol=1e-4, atol=1e-5)
    half = invoke("export-model", "dama", "--merge", "--dtype", "bfloat16", "--out", tmp_path / "half", "--json")
    assert json.loads(half.stdout)["dtype"] == "bfloat16"
    again = invoke("export-model", "dama", "--merge", "--out", tmp_path / "merged")
    assert again.exit_code == 2 and "there is something in it already" in again.output


class Hub(BaseHTTPRequestHandler):
    """The parts of the hub's interface that an upload uses; what is committed is kept."""

    files: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            self.files["private"] = str(json.loads(body).get("private", json.loads(body).get("visibility"))).encode()
            answer: Any = {"url": f"{self.address}/me/aligned"}
        elif self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            answer = {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
        elif self.path.endswith("/commit/main"):
            rows = [json.loads(line) for line in body.splitlines()]
            contents = [row["value"] for row in rows if row["key"] == "file"]
            self.files |= {each["path"]: base64.b64decode(each["content"]) for each in contents}
            answer = {"commitUrl": f"{self.address}/me/aligned/commit/1", "commitOid": "1", "pullRequestUrl": None}
        else:
            answer = {}
        self.reply(answer)

    def do_GET(self) -> None:
        self.reply({"id": "me/aligned", "sha": "0", "siblings": []})

    def reply(self, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @property
    def address(self) -> str:
        return f"http://{self.headers['Host']}"

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A hub on this machine for huggingface_hub, and what was uploaded to it."""
    import huggingface_hub.constants
    import huggingface_hub.hf_api

    Hub.files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Hub.files
    server.shutdown()
    server.server_close()


def test_a_model_is_pushed_to_the_hub_whole_and_private(
    chain: Path, hub: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    refused = invoke("export-model", "dama", "--out", tmp_path / "a", "--push-to-hub", "me/aligned")
    assert refused.exit_code == 2 and "hf auth login" in refused.output and not (tmp_path / "a").exists()
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    store = dama.open("results.sqlite")._store
    made = export_model(store, "dama", tmp_path / "b", hub_id="me/aligned")
    assert made.url is not None and made.url.endswith("/me/aligned")
    sent = {file.name: file.read_bytes() for file in made.folder.iterdir()}
    assert "adapter_model.safetensors" in sent and sent.items() <= hub.items()
    assert hub["private"] in (b"True", b"private")


def test_an_upload_that_fails_says_what_is_kept(chain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    failed = invoke("export-model", "dama", "--out", tmp_path / "a", "--push-to-hub", "me/aligned")
    assert failed.exit_code == 1
    assert "The model is whole in" in failed.output and "hf upload me/aligned" in failed.output.replace("\n", " ")
    assert invoke("export-model", "dama", "--out", tmp_path / "c", "--push-to-hub", "a/b/c").exit_code == 2
