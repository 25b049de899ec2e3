"""`bench` with a model behind a loopback endpoint that now and then fails: the table is that of a faultless one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image as PilImage

from cli import cli
from harness.models.probe import QUESTION
from harness.store import Store
from tests.harness import fault_server
from tests.harness.fault_server import FaultServer, completion, http

Fault = Callable[[int, dict[str, Any]], int]
"""(number of the question, 0 for a probe's; call) -> HTTP status; 0 closes the connection, 1 sends what is no JSON."""


class Endpoint:
    """Answers "Yes" to every question, or fails as ``fault`` says. ``calls`` are the questions, ``probes`` the rest."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.probes: list[dict[str, Any]] = []
        self.fault: Fault = lambda number, call: 200
        self.lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with endpoint.lock:
                    probe = QUESTION in json.dumps(call["messages"])
                    (endpoint.probes if probe else endpoint.calls).append(call)
                    status = endpoint.fault(0 if probe else len(endpoint.calls), call)
                if status == 0:
                    self.close_connection = True
                    return
                message = {"role": "assistant", "content": "Yes"}
                reply: Any = {"model": call["model"], "choices": [{"message": message, "finish_reason": "stop"}]}
                if status >= 400:
                    reply = {"error": {"message": "this model does not take images" if status == 400 else "busy"}}
                data = b"<html>" if status == 1 else json.dumps(reply).encode()
                self.send_response(200 if status == 1 else status)
                if status == 429:
                    self.send_header("Retry-After", "0")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    found = Endpoint()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """POPE's random split on two images: 12 questions, half of them "yes"."""
    folder = tmp_path / "pope"
    (folder / "val2014").mkdir(parents=True)
    rows = []
    for image in range(2):
        PilImage.new("RGB", (8, 8), (image, 0, 0)).save(folder / f"val2014/{image}.png")
        for i in range(6):
            row = {"image": f"{image}.png", "text": f"Is there a {'dog' if i else 'cat'} {i}?"}
            rows.append({"question_id": 6 * image + i, "label": "yes" if i % 2 else "no", **row})
    (folder / "coco_pope_random.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def bench(endpoint: Endpoint, data: Path, db: Path, *more: str) -> tuple[int, dict[str, Any]]:
    words = ["bench", "--benchmark", "pope", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(data)]
    quick = ["--set", "model.first_wait=0.01", "--set", "model.longest_wait=0.05"]
    result = CliRunner().invoke(cli, [*words, "--db", str(db), "--json", *quick, *more])
    assert result.exit_code in (0, 3), (result.output, result.exception)
    return result.exit_code, json.loads(result.stdout)[0]


def test_faults_that_pass_leave_no_trace_and_nothing_is_asked_twice(
    endpoint: Endpoint, data: Path, tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match="prompt was not compared|no processor of this model"):
        code, calm = bench(endpoint, data, tmp_path / "calm.sqlite")
    assert (code, calm["n_scored"], len(endpoint.calls)) == (0, 12, 12)
    assert (calm["metrics"]["random_recall"]["value"], calm["metrics"]["random_accuracy"]["value"]) == (100, 50)
    endpoint.calls.clear()
    endpoint.fault = lambda number, call: {1: 500, 2: 429, 3: 1, 4: 0, 5: 503}.get(number, 200)
    code, stormy = bench(endpoint, data, tmp_path / "stormy.sqlite")
    assert code == 0 and stormy["metrics"] == calm["metrics"]
    again = len(endpoint.calls)
    code, stored = bench(endpoint, data, tmp_path / "stormy.sqlite")
    assert stored["metrics"] == calm["metrics"] and len(endpoint.calls) == again


def test_an_endpoint_that_rejects_images_gives_error_rows_and_no_figures(
    endpoint: Endpoint, data: Path, tmp_path: Path
) -> None:
    endpoint.fault = lambda number, call: 400
    code, row = bench(endpoint, data, tmp_path / "r.sqlite")
    assert (code, row["n"], row["n_scored"], row["n_failed"]) == (3, 12, 0, 12)
    assert row["metrics"]["f1"]["value"] is None
    endpoint.fault = lambda number, call: 200
    code, row = bench(endpoint, data, tmp_path / "r.sqlite")
    assert (code, row["n_scored"]) == (0, 12), "what failed is asked again"


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (http(404, b'{"error": {"message": "no such judge"}}'), "no such judge"),
        (completion("yes", model="another"), "asked for model 'judge', the endpoint returned model 'another'"),
        (None, "connection failed"),
    ],
    ids=["absent", "another", "no server"],
)
def test_a_judge_that_is_not_there_is_found_before_the_model_is_asked(
    endpoint: Endpoint, tmp_path: Path, reply: fault_server.Fault | dict[str, Any] | None, said: str
) -> None:
    (tmp_path / "mmhal/images").mkdir(parents=True)
    PilImage.new("RGB", (8, 8)).save(tmp_path / "mmhal/images/i0.png")
    row = {"question_type": "other", "image_content": ["dog"], "question": "What is it?", "gt_answer": "A dog."}
    (tmp_path / "mmhal/response_template.json").write_text(json.dumps([{**row, "image_id": "i0"}]))
    words = ["bench", "--benchmark", "mmhal", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(tmp_path)]
    words += ["--set", "decoding.num_beams=1", "--set", "judge.tries=1", "--db", str(tmp_path / "r.sqlite")]

    def run(url: str, *more: str) -> Result:
        return CliRunner().invoke(cli, [*words, "--judge", f"openai:judge@{url}", *more])

    with FaultServer(lambda prompt, nth: reply or "yes") as server:
        url = server.url if reply else "http://127.0.0.1:9/v1"
        result = run(url)
        assert result.exit_code == 2 and said in result.output and "--no-probe" in result.output
        assert endpoint.calls == [] and len(server.calls) == (reply is not None)
        assert run(url, "--no-probe").exit_code == 3 and len(endpoint.calls) == 1
        asked = len(server.calls)
        assert run(url).exit_code == 3, "what is stored of the model needs no probe of the judge"
        assert len(server.calls) == asked + (reply is not None)


def test_what_opening_the_images_changed_stands_in_the_evaluation(
    endpoint: Endpoint, data: Path, tmp_path: Path
) -> None:
    PilImage.new("I;16", (8, 8), 65535).save(data / "val2014/1.png")
    bench(endpoint, data, tmp_path / "deep.sqlite", "--no-probe")
    store = Store(tmp_path / "deep.sqlite")
    assert [e.info["images_changed"] for e in store.evaluations()] == [{"16 bit scaled to 8": 1}]
    PilImage.new("RGB", (8, 8)).save(data / "val2014/1.png")
    bench(endpoint, data, tmp_path / "plain.sqlite", "--no-probe")
    store = Store(tmp_path / "plain.sqlite")
    assert ["images_changed" in e.info for e in store.evaluations()] == [False]


def test_an_image_that_is_gone_fails_its_own_questions_only(endpoint: Endpoint, data: Path, tmp_path: Path) -> None:
    (data / "val2014/1.png").unlink()
    code, row = bench(endpoint, data, tmp_path / "r.sqlite")
    assert (code, row["n_scored"], row["n_failed"]) == (3, 6, 6)


def test_shards_answer_their_part_and_the_whole_is_scored_from_the_store(
    endpoint: Endpoint, data: Path, tmp_path: Path
) -> None:
    rows = []
    for part in ("1/2", "2/2"):
        code, row = bench(endpoint, data, tmp_path / "r.sqlite", "--shard", part)
        rows.append((code, row["shard"], row["n"], row["n_failed"]))
    assert rows == [(0, "1/2", 6, 0), (0, "2/2", 6, 0)] and len(endpoint.calls) == 12
    code, row = bench(endpoint, data, tmp_path / "r.sqlite")
    assert (code, row["n_scored"], len(endpoint.calls)) == (0, 12, 12)


def test_processes_that_share_refuse_to_start_over(endpoint: Endpoint, data: Path, tmp_path: Path) -> None:
    words = ["bench", "--benchmark", "pope", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(data)]
    result = CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "r.sqlite"), "--share", "--fresh"])
    assert result.exit_code == 2 and "--fresh" in result.output and endpoint.calls == []


def test_answers_that_are_not_the_benchmarks_or_are_given_twice_are_refused(data: Path, tmp_path: Path) -> None:
    for ids, said in ((["random:1", "popular:1"], "'popular:1'"), (["random:1", "random:1"], "'random:1'")):
        file = tmp_path / "answers.jsonl"
        file.write_text("".join(json.dumps({"id": id_, "response": "Yes"}) + "\n" for id_ in ids))
        words = ["score", "--benchmark", "pope", "--responses", str(file), "--data-dir", str(data)]
        result = CliRunner().invoke(cli, [*words, "--db", str(tmp_path / "r.sqlite")])
        assert result.exit_code != 0 and said in result.output and "answers.jsonl" in result.output


def test_a_decoding_beyond_an_endpoint_is_refused_with_the_benchmarks_that_ask_for_it_before_any_call(
    tmp_path: Path,
) -> None:
    """Nothing is looked at before: there is no data directory and no server."""
    words = ["bench", "--suite", "hallucination", "--data-dir", str(tmp_path), "--db", str(tmp_path / "r.sqlite")]
    result = CliRunner().invoke(cli, [*words, "--model", "openai:m@http://127.0.0.1:9/v1"])
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert "on object_halbench, mmhal: an OpenAI-compatible endpoint has no beam search" in said
    assert "--set decoding.num_beams=1" in said


def test_a_data_directory_without_images_is_refused_before_anything_is_asked(
    endpoint: Endpoint, data: Path, tmp_path: Path
) -> None:
    for image in (data / "val2014").iterdir():
        image.unlink()
    words = ["bench", "--benchmark", "pope", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(data)]
    for more in ([], ["--shard", "1/2"]):
        result = CliRunner().invoke(cli, [*words, *more, "--db", str(tmp_path / "r.sqlite")])
        assert result.exit_code == 2 and "pope: 12 of 12 samples have no image" in result.output, result.output
    assert endpoint.calls == endpoint.probes == []


def test_mmhal_asks_nothing_without_its_image(endpoint: Endpoint, tmp_path: Path) -> None:
    """MMHal-Bench's images are not in its file of questions, and may not have been fetched whole."""
    folder = tmp_path / "mmhal"
    (folder / "images").mkdir(parents=True)
    PilImage.new("RGB", (8, 8)).save(folder / "images/i0.png")
    row = {"question_type": "other", "image_content": ["dog"], "question": "What is it?", "gt_answer": "A dog."}
    rows = [{**row, "image_id": f"i{i}"} for i in range(3)]
    (folder / "response_template.json").write_text(json.dumps(rows))
    words = ["bench", "--benchmark", "mmhal", "--model", f"openai:llava@{endpoint.url}", "--data-dir", str(folder)]
    judged = ["--judge", f"openai:judge@{endpoint.url}", "--set", "decoding.num_beams=1", "--no-probe", "--json"]
    with pytest.warns(UserWarning, match=r"2 of 3 samples have no image \(its image is not there: \S*images/i1.jpg; "):
        result = CliRunner().invoke(cli, [*words, *judged, "--db", str(tmp_path / "r.sqlite")])
    row, asked = json.loads(result.stdout)[0], [call for call in endpoint.calls if call["model"] == "llava"]
    assert (result.exit_code, len(asked), row["n_scored"], row["n_failed"]) == (3, 1, 0, 3)
    assert "its image is not there" in result.stderr
