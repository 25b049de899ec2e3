"""`prompts`: what is written is what `bench` asks, and `score` takes the answers."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

import dama
from cli import cli
from harness.store import Store
from tests.benchmarks.conftest import write_jsonl

GOLDEN = Path(__file__).parents[1] / "golden"


def test_the_questions_of_pope_are_answered_elsewhere_and_scored(tmp_path: Path) -> None:
    """Every answer is Yes: recall is 100 and the yes ratio is 100 in each split."""
    out, data = tmp_path / "new/asked.jsonl", GOLDEN / "pope/data"
    done = CliRunner().invoke(cli, ["prompts", "pope", "--data-dir", str(data), "--out", str(out)])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    first = json.loads((data / "coco_pope_random.json").read_text().splitlines()[0])
    assert rows[0] == {
        "id": f"random:{first['question_id']}",
        "prompt": f"{first['text']}\nAnswer the question using a single word or phrase.",
        "image": str(data / "val2014" / first["image"]),
    }
    protocol = json.loads((tmp_path / "new/asked.protocol.json").read_text())
    assert (protocol["benchmark"], protocol["samples"]) == ("pope", len(rows))
    assert protocol["decoding"]["max_new_tokens"] == 128 and protocol["version"].startswith("pope-1")
    write_jsonl(tmp_path / "answers.jsonl", [{"id": row["id"], "response": "Yes"} for row in rows])
    scored = dama.score("pope", tmp_path / "answers.jsonl", data, db=tmp_path / "r.sqlite", progress=False)
    assert (scored.n_scored, scored.n_failed, len(scored.missing)) == (len(rows), 0, 0)
    assert scored["random_recall"].value == scored["popular_yes_ratio"].value == 100


def test_the_folder_that_holds_the_benchmarks_does_for_prompts_and_score_alike(tmp_path: Path) -> None:
    """The commands of the README take one --data-dir; what is stored names the benchmark's own folder."""
    data, out = tmp_path / "data", tmp_path / "asked.jsonl"
    shutil.copytree(GOLDEN / "pope/data", data / "pope")
    rows = list(dama.prompts("pope", data))
    write_jsonl(out, [{"id": row["id"], "response": "Yes"} for row in rows])
    words = ["score", "--benchmark", "pope", "--responses", str(out), "--db", str(tmp_path / "r.sqlite"), "--json"]
    for folder, further in ((data, []), (data, ["--dry-run"]), (data / "pope", [])):
        done = CliRunner().invoke(cli, [*words, "--data-dir", str(folder), *further])
        assert done.exit_code == 0, done.output
    [row] = Store(tmp_path / "r.sqlite").evaluations()
    assert (row.n_failed, row.data_dir) == (0, str((data / "pope").resolve()))
    done = CliRunner().invoke(cli, [*words, "--data-dir", str(tmp_path / "nowhere")])
    assert done.exit_code == 2 and "nowhere: no such directory; expected one that holds a folder pope" in " ".join(
        done.output.split()
    )


def test_images_inside_the_data_are_given_as_base64_and_settings_hold(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "ground_truth.jsonl", [{"image_id": 1, "instances": ["dog"], "captions": []}])
    picture = base64.b64encode(b"a picture").decode()
    write_jsonl(tmp_path / "q.jsonl", [{"question": "Describe.", "image_id": 1, "image": picture}])
    settings = {"tagger": "lexicon", "decoding": {"num_beams": 1}}
    asked = dama.prompts("object_halbench", tmp_path, settings=settings)
    assert list(asked) == [{"id": "0", "prompt": "Describe.", "image": None, "image_base64": picture}]
    assert asked.protocol["decoding"]["num_beams"] == 1 and asked.missing == ()


def test_a_limit_draws_and_missing_images_are_named() -> None:
    data = GOLDEN / "pope/data"
    asked = dama.prompts("pope", data, limit=6)
    assert len(asked) == 6 and {row["id"].split(":")[0] for row in asked} == {"random", "popular", "adversarial"}
    assert set(asked.missing) == {row["image"] for row in asked}


def test_the_command_that_scores_has_the_settings_and_the_protocol_too(tmp_path: Path) -> None:
    out, data = tmp_path / "asked.jsonl", GOLDEN / "pope/data"
    given = ["--set", "pope.short=false", "--set", "decoding={num_beams: 2}"]
    done = CliRunner().invoke(cli, ["prompts", "pope", "--data-dir", str(data), "--out", str(out), *given])
    assert done.exit_code == 0, done.output
    protocol = json.loads((tmp_path / "asked.protocol.json").read_text())
    assert protocol["settings"] == {"short": False, "decoding": {"num_beams": 2}}
    line = next(line for line in done.output.splitlines() if line.startswith("score the answers"))
    words = shlex.split(line.partition("cli.py ")[2].partition(" --responses")[0])
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    write_jsonl(tmp_path / "answers.jsonl", [{"id": row["id"], "response": "No"} for row in rows])
    more = ["--responses", str(tmp_path / "answers.jsonl"), "--db", str(tmp_path / "r.sqlite"), "--json"]
    scored = CliRunner().invoke(cli, [*words, *more])
    assert scored.exit_code == 0, scored.output
    assert json.loads(scored.stdout)["version"] == protocol["version"] and "short=False" in protocol["version"]


@pytest.mark.parametrize("taken", ["file", "protocol"])
def test_a_place_that_cannot_be_written_to_is_one_message(taken: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "asked.protocol.json").mkdir()
    out = tmp_path / ("file/asked.jsonl" if taken == "file" else "asked.jsonl")
    done = CliRunner().invoke(cli, ["prompts", "pope", "--data-dir", str(GOLDEN / "pope/data"), "--out", str(out)])
    assert done.exit_code == 2 and "Traceback" not in done.output
    said = {"file": "file is a file, and a directory", "protocol": "asked.protocol.json is a directory, and a file"}
    assert f"{tmp_path}/{said[taken]} is needed there" in " ".join(done.output.split())


def test_the_benchmarks_own_files_and_results_are_not_written_over(tmp_path: Path) -> None:
    """A file of the data directory is refused, unless an earlier call wrote it; results wherever they are."""
    data = tmp_path / "data"
    shutil.copytree(GOLDEN / "pope/data", data)
    questions = data / "coco_pope_random.json"
    before = questions.read_bytes()
    Store(tmp_path / "r.sqlite").close()
    command = ["prompts", "pope", "--data-dir", str(data), "--out"]
    for out, said in ((questions, "a file of the data directory"), (tmp_path / "r.sqlite", "is an SQLite file")):
        done = CliRunner().invoke(cli, [*command, str(out)])
        assert done.exit_code == 2 and said in " ".join(done.output.split())
    assert questions.read_bytes() == before and Store(tmp_path / "r.sqlite").alignments() == []
    for _ in range(2):
        assert CliRunner().invoke(cli, [*command, str(data / "asked.jsonl")]).exit_code == 0


@pytest.mark.parametrize("command", [["leaderboard", "--format", "table", "--out"], ["claims", "--write-docs"]])
def test_a_report_is_not_written_over_results(command: list[str], tmp_path: Path) -> None:
    Store(file := tmp_path / "r.sqlite").close()
    done = CliRunner().invoke(cli, [*command, str(file), "--db", str(file)])
    assert done.exit_code == 2 and "is an SQLite file" in " ".join(done.output.split()), done.output
    assert Store(file).alignments() == []


def test_without_a_file_the_lines_are_on_stdout_alone() -> None:
    done = CliRunner().invoke(cli, ["prompts", "pope", "--data-dir", str(GOLDEN / "pope/data"), "--limit", "3"])
    assert done.exit_code == 0
    assert [sorted(json.loads(line)) for line in done.stdout.splitlines()] == [["id", "image", "prompt"]] * 3
    assert '"max_new_tokens": 128' in done.stderr


def test_what_cannot_be_written_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(dama.UsageError, match="limit 0"):
        dama.prompts("pope", GOLDEN / "pope/data", limit=0)
    with pytest.raises(dama.HarnessError, match="nowhere"):
        dama.prompts("pope", tmp_path / "nowhere")
    with pytest.raises(dama.UsageError, match="another package's engine"):
        dama.prompts("lmms:mme", tmp_path)
