"""HallusionBench, RePOPE and CHAIR from `fetch` to `leaderboard`, on files of their published shape from a server."""

from __future__ import annotations

import dataclasses
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli import cli
from harness.protocols.benchmark import BENCHMARKS
from harness.util import fetching
from harness.util.fetching import Source
from tests.benchmarks.conftest import write_jsonl

GOLDEN = Path(__file__).parents[1] / "golden"
Serve = Callable[[str, Mapping[str, bytes]], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves files by their names in place of all homes; of the benchmark that is named nothing is pinned then."""
    files: dict[str, bytes] = {}

    class Home(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.rpartition("/")[2])
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Home)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(fetching, "mirrored", lambda url: f"{home}/{url.rpartition('/')[2]}")

    def put(benchmark: str, content: Mapping[str, bytes]) -> None:
        files.update(content)
        kind = BENCHMARKS.get(benchmark)
        unpinned = [dataclasses.replace(s, digest="") if isinstance(s, Source) else s for s in kind.sources]
        monkeypatch.setattr(kind, "sources", tuple(unpinned))

    yield put
    server.shutdown()


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli, [*words, "--json"] if words[0] != "leaderboard" else [*words, "--format", "json"])
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.stdout)


def states(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["file"]: row["state"] for row in rows}


def shown(db: Path, metric: str) -> dict[tuple[str, str], float]:
    """A metric of the leaderboard by the rules of its column and the row."""
    rows = run("leaderboard", "--db", str(db))
    return {(row["version"], row["method"]): row["value"] for row in rows if row["metric"] == metric}


def test_hallusion_bench(serve: Serve, tmp_path: Path) -> None:
    """Read by the rule 24 of 32 answers are right (tests/golden)."""
    golden, data, db = GOLDEN / "hallusion_bench", tmp_path / "data", tmp_path / "r.sqlite"
    serve(
        "hallusion_bench", {"HallusionBench.json": (golden / "data/HallusionBench.json").read_bytes(), "utils.py": b""}
    )
    found = states(run("fetch", "hallusion_bench", "--data-dir", str(data), code=3)["files"])
    assert found == {"HallusionBench.json": "fetched", "utils.py": "fetched", "hallusion_bench": "by hand"}
    where = ["--benchmark", "hallusion_bench", "--data-dir", str(data), "--db", str(db)]
    run("bench", *where, "--model", f"replay:{golden / 'answers.jsonl'}", "--name", "mine", "--set", "reading=rule")
    ((_, row), value), *others = shown(db, "a_acc").items()
    assert (row, value, others) == ("mine", pytest.approx(100 * 24 / 32), [])


def test_repope_gives_stored_answers_other_labels(serve: Serve, tmp_path: Path) -> None:
    """Four questions, all answered Yes: POPE's truths are yes, yes, no, no; RePOPE turns the third and drops the last.

    Accuracy 2 of 4, then 3 of 3 in each split.
    """
    data, db = tmp_path / "data", tmp_path / "r.sqlite"
    rows = [
        {"question_id": i + 1, "image": f"COCO_val2014_{i:012d}.jpg", "text": f"Is there a dog {i}?", "label": label}
        for i, label in enumerate(("yes", "yes", "no", "no"))
    ]
    checked = [{**row, "label": "yes"} for row in rows[:3]]
    content = {str(row["image"]): b"an image" for row in rows}
    for split in ("random", "popular", "adversarial"):
        content[f"coco_pope_{split}.json"] = "".join(json.dumps(row) + "\r\n" for row in rows).encode()
        content[f"coco_repope_{split}.json"] = "".join(json.dumps(row) + "\n" for row in checked).encode()
    serve("pope", content)
    found = states(run("fetch", "pope", "--data-dir", str(data))["files"])
    assert set(found.values()) == {"fetched"} and len(list((data / "pope").rglob("*.jpg"))) == 4
    answers = [{"id": f"{split}:{i}", "response": "Yes"} for split in ("random", "popular", "adversarial")
               for i in range(1, 5)]  # fmt: skip
    write_jsonl(tmp_path / "answers.jsonl", answers)
    where = ["--benchmark", "pope", "--data-dir", str(data), "--db", str(db), "--name", "mine"]
    for labels in ("pope", "repope"):
        run("bench", *where, "--model", f"replay:{tmp_path / 'answers.jsonl'}", "--set", f"labels={labels}")
    values = shown(db, "random_accuracy")
    assert {value for (version, _), value in values.items() if "repope" in version} == {100.0}
    assert {value for (version, _), value in values.items() if "repope" not in version} == {50.0}


def test_chair_on_coco(serve: Serve, tmp_path: Path) -> None:
    """The eight golden captions of COCO's images: 6 of 22 mentions are wrong (tests/golden)."""
    golden, data, db = GOLDEN / "chair_coco", tmp_path / "data", tmp_path / "r.sqlite"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for kind in ("captions", "instances"):
            archive.write(golden / f"data/{kind}_val2014.json", f"annotations/{kind}_val2014.json")
    answers = [json.loads(line) for line in (golden / "answers.jsonl").read_text().splitlines()]
    content = {f"COCO_val2014_{int(row['id']):012d}.jpg": b"an image" for row in answers}
    content |= {"annotations_trainval2014.zip": packed.getvalue()}
    serve("chair_coco", content | {"synonyms.txt": (golden / "data/synonyms.txt").read_bytes()})
    (data / "chair_coco").mkdir(parents=True)
    (data / "chair_coco/chair_images.txt").write_text("\n".join(str(row["id"]) for row in answers))
    found = states(run("fetch", "chair_coco", "--data-dir", str(data))["files"])
    assert set(found.values()) == {"fetched"}
    assert len(list((data / "chair_coco").rglob("COCO_val2014_*.jpg"))) == len(answers)
    where = ["--benchmark", "chair_coco", "--data-dir", str(data), "--db", str(db), "--name", "mine"]
    run("bench", *where, "--model", f"replay:{golden / 'answers.jsonl'}", "--set", "tagger=lexicon")
    assert list(shown(db, "chair_i").values()) == [pytest.approx(100 * 6 / 22)]
