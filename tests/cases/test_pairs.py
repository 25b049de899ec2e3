"""Preference pairs as other projects publish them, from `align` to what would be trained on."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from tests.aligners.pairs.test_formats import SINGLE
from tests.cases.running import run, said
from tests.tiny import TEMPLATE, picture, tiny_llava

QUESTION = "what do you see ?"
GOOD, BAD = "a dog", "a cat on the table"
OWN = {"image": "a.png", "question": QUESTION, "chosen": GOOD, "rejected": BAD}
SYSTEM = {"role": "system", "content": "a small dog ."}
USER = {"role": "user", "content": QUESTION}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llava(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.png").write_bytes(picture(0))
    return tmp_path / "d"


def planned(model: Path, *data: Path, more: tuple[str, ...] = (), code: int = 0) -> Result:
    """`align --dry-run`, which reads and encodes every pair."""
    words = [word for each in data for word in ("--data", str(each))]
    words += ["--method", "dpo", "--model", str(model), "--db", str(data[0].parent / "r.sqlite")]
    return run("align", *words, "--dry-run", "--json", *more, code=code)


def estimate(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)["estimate"]
    return found


def jsonl(file: Path, *rows: Any) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def renamed(row: Any) -> Any:
    """A row of the layouts' table, asking what ``OWN`` asks."""
    text = json.dumps(row)
    for theirs, ours in (("What is there ?", QUESTION), ("a cat", BAD)):
        text = text.replace(json.dumps(theirs)[1:-1], ours)
    return json.loads(text)


@pytest.mark.parametrize(
    ("layout", "array"),
    [
        ("llama-factory sharegpt", True),
        ("llama-factory sharegpt", False),
        ("ms-swift", False),
        ("nemo messages", False),
        ("trl ultrafeedback", False),
    ],
)
def test_another_projects_layout_is_trained_on_as_ones_own(layout: str, array: bool, model: Path, folder: Path) -> None:
    own = estimate(planned(model, jsonl(folder / "own.jsonl", OWN)))
    (row,) = map(renamed, SINGLE[layout])
    theirs = jsonl(folder / "theirs.jsonl", row)
    if array:
        (theirs := folder / "theirs.json").write_text(json.dumps([row], indent=2))
    found = estimate(planned(model, theirs))
    assert (found["pairs"], found["tokens a pair"]) == (1, own["tokens a pair"])


def test_a_prompt_that_holds_a_chat_template_is_refused_with_the_row_and_taken_off_where_asked(
    model: Path, folder: Path
) -> None:
    prompt = f"A chat between a curious user and an assistant. USER: <image>\n{QUESTION} ASSISTANT:"
    (file := folder / "mdpo.json").write_text(
        json.dumps([{"img_path": "a.png", "prompt": prompt, "chosen": GOOD, "rejected": BAD}])
    )
    assert "mdpo.json row 0: the prompt holds a chat template" in said(planned(model, file, code=2))
    found = estimate(planned(model, file, more=("--set", "unwrap_prompts=true")))
    own = estimate(planned(model, jsonl(folder / "own.jsonl", OWN)))
    assert found["tokens a pair"] == own["tokens a pair"]


def test_a_mark_of_the_image_in_the_question_is_the_image_and_no_second_one(model: Path, folder: Path) -> None:
    own = jsonl(folder / "own.jsonl", OWN)
    marked = jsonl(folder / "marked.jsonl", {**OWN, "question": f"<image>\n{QUESTION}"})
    assert estimate(planned(model, marked))["tokens a pair"] == estimate(planned(model, own))["tokens a pair"]
    twice = jsonl(folder / "twice.jsonl", {**OWN, "question": f"<image> and <image> {QUESTION}"})
    assert "twice.jsonl line 1" in said(planned(model, twice, code=2))


@pytest.mark.parametrize(
    ("chosen", "fault"),
    [
        ([GOOD], "chosen"),
        (float("nan"), "chosen: expected a text, found NaN"),
        (None, "chosen"),
        (3, "chosen: expected a text"),
        ({"text": GOOD}, "chosen"),
        ("  ", "chosen"),
        (BAD, "equal"),
    ],
    ids=str,
)
def test_a_response_that_is_no_text_or_says_nothing_is_refused_with_its_row(
    chosen: Any, fault: str, model: Path, folder: Path
) -> None:
    file = jsonl(folder / "x.jsonl", OWN, {**OWN, "chosen": chosen})
    message = said(planned(model, file, code=2))
    assert "x.jsonl line 2" in message and fault in message


def test_a_system_message_is_put_through_the_chat_template(model: Path, folder: Path) -> None:
    row = {"images": ["a.png"], "prompt": [SYSTEM, USER], "chosen": [{"role": "assistant", "content": GOOD}]}
    row = {**row, "rejected": [{"role": "assistant", "content": BAD}]}
    file = jsonl(folder / "trl.jsonl", row)
    begin, word = "{% if message['role'] == 'user' %}", "{{ message['content'][0]['text'] }} "
    text = TEMPLATE.replace(begin, "{% if message['role'] == 'system' %}" + word + begin.replace("if", "elif", 1))
    (folder / "knows.jinja").write_text(text)
    given = ("--set", f"model.template={folder / 'knows.jinja'}")
    longer, own = (estimate(planned(model, f, more=given)) for f in (file, jsonl(folder / "own.jsonl", OWN)))
    assert longer["tokens a pair"] == own["tokens a pair"] + len(str(SYSTEM["content"]).split())


def test_files_of_windows_folders_of_files_and_several_data_are_read(model: Path, folder: Path) -> None:
    rows = [{**OWN, "chosen": f"a dog {word}"} for word in ("red", "blue", "green")]
    (folder / "parts").mkdir()
    (folder / "parts/a.png").write_bytes(picture(0))
    for number, row in enumerate(rows[:2]):
        jsonl(folder / f"parts/{number}.jsonl", row)
    marked = folder / "windows.jsonl"
    marked.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows[2]).encode() + b"\r\n")
    assert estimate(planned(model, marked))["pairs"] == 1
    assert estimate(planned(model, folder / "parts"))["pairs"] == 2
    assert estimate(planned(model, folder / "parts", marked))["pairs"] == 3


def bomb() -> bytes:
    """A PNG of 200 megapixels, of one bit each."""
    out = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(out, "PNG")
    return out.getvalue()


def test_an_image_too_large_to_open_safely_is_named_and_left_out_where_asked(model: Path, folder: Path) -> None:
    (folder / "bomb.png").write_bytes(bomb())
    file = jsonl(folder / "x.jsonl", OWN, {**OWN, "image": "bomb.png"})
    assert "x.jsonl line 2" in said(planned(model, file, code=2))
    result = planned(model, file, more=("--set", "skip_bad_rows=true"))
    assert estimate(result)["pairs"] == 1
