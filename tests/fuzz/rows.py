"""Preference data: rows of every layout, the files they come in, and what is said of their columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from aligners.pairs.formats import Wording, parse_columns, read_row
from aligners.pairs.messages import turns
from aligners.pairs.rows import BadRow, Place
from aligners.pairs.sources import open_rows
from aligners.pairs.tables import TABLES
from harness.protocols.conversation import Image
from harness.util.jsonl import iter_jsonl
from leaderboards.human_labels import read_human_labels
from tests.fuzz import mutation
from tests.fuzz.files import reading
from tests.fuzz.target import Target

HI = [{"role": "user", "content": "What is it?"}]
A, B = {"role": "assistant", "content": "A dog."}, {"role": "assistant", "content": "A cat."}
PARTS = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}]
GPT = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A dog."}]
ROWS: tuple[dict[str, Any], ...] = (
    {"image": "a.png", "question": "What?", "chosen": "A dog.", "rejected": "A cat.", "idx": 3},
    {"prompt": HI, "chosen": [A], "rejected": [B], "images": ["a.png"]},
    {"prompt": PARTS, "chosen": [A], "rejected": [B], "images": ["a.png"]},
    {"chosen": [*HI, A], "rejected": [*HI, B], "image": "a.png"},
    {"prompt": json.dumps(HI), "chosen": json.dumps([A]), "rejected": str([B])},
    {"question": "What?", "y_win": "A dog.", "y_lose": "A cat.", "context": "It is here.", "image_path": "a.png"},
    {"instruction": "Describe", "input": "it", "chosen": "A dog.", "rejected": "A cat.", "history": [["a", "b"]]},
    {"messages": [*HI, A], "rejected_response": "A cat.", "images": ["a.png"], "system": "Be brief."},
    {"messages": [*HI, A], "rejected_messages": [*HI, B], "images": ["a.png"]},
    {"conversations": GPT, "rejected_conversations": [GPT[0], {"from": "gpt", "value": "A cat."}], "image": "a.png"},
    {
        "conversations": GPT[:1],
        "output_1": GPT[1],
        "output_2": {"from": "llava", "value": "A cat."},
        "preference": 1,
        "image": "a.png",
    },
    {
        "prompt": "What?",
        "completions": [
            {"response": "A dog.", "annotations": {"Helpfulness": {"Rating": "4"}}},
            {"response": "A cat.", "annotations": {"Helpfulness": {"Rating": "2"}}},
        ],
    },
    {"text": json.dumps({"question": "What?", "chosen": "A dog.", "rejected": "A cat."}), "image_path": "a.png"},
    {"question": "What?", "chosen": "A dog.", "reject": "A cat.", "correct": False, "image_id": 42},
    {"prompt": "USER: <image>\nWhat? ASSISTANT:", "chosen": "A dog.", "rejected": "A cat.", "image": {"bytes": "x"}},
)
LABELS = ({"id": "1", "label": 1, "run": "base"}, {"id": 2, "label": "yes", "run": "dpo"})
WORDING = Wording({}, unwrap=True)
PLACE = Place("row 0", Path(), "0")
COLUMNS = ("chosen=y_win,rejected=y_lose", "=context", "", "image=picture, question = q", "prefix=context")


def row(given: Any) -> None:
    """A row is a preference of texts, each of them a text with something in it, or it is refused by its place."""
    if isinstance(given, Mapping):
        _row(given, PLACE)


def _row(given: Mapping[str, Any], place: Place) -> None:
    read = read_row(given, place, WORDING)
    assert all(isinstance(text, str) and text.strip() for text in (read.chosen, read.rejected)), read
    said = turns(read.prompt, read.images, lambda value: Image(data=b""), place)
    assert said[-1].role == "user"
    assert all(isinstance(part, str | Image) for turn in said for part in turn.content)


def table(path: Path) -> None:
    """The rows that can be read are; the last one that cannot says so by its place."""
    TABLES[path.suffix].count(path)
    refused: BadRow | None = None
    for place, each in TABLES[path.suffix].rows(path):
        try:
            _row(each, place)
        except BadRow as error:
            refused = error
    if refused:
        raise refused


def objects(path: Path) -> None:
    """Every line is an object, or is refused by its number."""
    assert all(isinstance(each, dict) for _, each in iter_jsonl(path))


def labels(path: Path) -> None:
    """Every label of people is a number, or its row is refused."""
    given = read_human_labels(path).labels
    assert all(isinstance(run, str) and math.isfinite(label) for (run, _), (_, label) in given.items())


def beside_a_file(info: Path) -> None:
    """LLaMA-Factory's description of a data file beside it."""
    (info.parent / "a.jsonl").write_text(json.dumps(ROWS[0]))
    open_rows(info.parent / "a.jsonl")


def of_a_folder(described: Path) -> None:
    """The descriptions that datasets' save_to_disk writes."""
    train = described.parent / "train"
    if not train.is_dir():
        train.mkdir()
        (train / "state.json").write_text(json.dumps(DESCRIPTIONS["state.json"]))
        for folder in (train, train.parent):
            (folder / "a.arrow").write_bytes(as_arrow(ROWS[:1]))
    open_rows(described.parent)


def columns(given: str) -> None:
    assert all(theirs for theirs in parse_columns(given).values())


def changed_csv(random: Random, corpus: Any) -> bytes:
    """A CSV file with a change in its text."""
    return mutation.encoded(random, [as_csv(random.choice(corpus)).decode()])


def as_csv(rows: Any) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(rows[0])
    writer.writerows([held if isinstance(held, str) else json.dumps(held) for held in each.values()] for each in rows)
    return out.getvalue().encode()


def as_parquet(rows: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def as_arrow(rows: Any) -> bytes:
    out, made = io.BytesIO(), pa.Table.from_pylist(list(rows))
    with pa.ipc.new_stream(out, made.schema) as stream:
        stream.write_table(made)
    return out.getvalue()


def _lines(rows: Any) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in rows).encode()


def _document(value: Any) -> bytes:
    return json.dumps(value).encode()


DESCRIPTIONS: Mapping[str, Any] = {
    "dataset_info.json": {"a": {"file_name": "a.jsonl", "columns": {"prompt": "question"}, "formatting": "sharegpt"}},
    "dataset_dict.json": {"splits": ["train", "test"]},
    "state.json": {"_data_files": [{"filename": "a.arrow"}]},
}


def targets() -> list[Target]:
    """Rows as values, and as files of every kind."""
    flat, texts = ROWS[:1] * 2, [ROWS[4]] * 2
    tables = [
        Target(f"{kind} data", corpus, change, reading(f"pairs.{kind}", table), 20, valid=valid)
        for kind, corpus, change, valid in (
            ("jsonl", [ROWS], mutation.lines, _lines),
            ("json", [list(ROWS[:4]), list(ROWS[8:]), {"42": ROWS[0], "7": [ROWS[5]]}], mutation.document, _document),
        )
    ]
    return [
        Target("preference rows", ROWS, mutation.value, row, 400),
        Target("columns", COLUMNS, mutation.text, columns, refuses=(ValueError,)),
        Target("JSON lines", [ROWS], mutation.lines, reading("lines.jsonl", objects), 60, valid=_lines),
        *tables,
        Target("labels", [LABELS], mutation.lines, reading("labels.jsonl", labels), 20, valid=_lines),
        Target("csv labels", [LABELS], changed_csv, reading("labels.csv", labels), 20, valid=as_csv),
        Target("csv data", [flat, texts], changed_csv, reading("pairs.csv", table), 20, valid=as_csv),
        Target("parquet data", [as_parquet(flat)], mutation.binary, reading("pairs.parquet", table), 8),
        Target("arrow data", [as_arrow(flat)], mutation.binary, reading("pairs.arrow", table), 8),
        *(
            Target(name, [described], mutation.document, reading(f"{name[:-5]}/{name}", read), 15, valid=_document)
            for (name, described), read in zip(
                DESCRIPTIONS.items(), (beside_a_file, of_a_folder, of_a_folder), strict=True
            )
        ),
    ]
