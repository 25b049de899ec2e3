"""Every layout in a file of the shape it is published in: column names, nesting and endings are the originals'."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aligners.pairs.data import PairSet, load_pairs
from aligners.pairs.reading import Reading
from harness.errors import DataError, UsageError
from harness.protocols.conversation import Image
from tests.tiny import picture

Q, GOOD, BAD = "What is there ?", "a dog", "a cat"
HUMAN = {"from": "human", "value": f"<image>\n{Q}"}
USER = {"role": "user", "content": f"<image>{Q}"}
PARTS = {"role": "user", "content": [{"type": "image_url", "value": "a.png"}, {"type": "text", "value": Q}]}


def gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def rated(*ratings: str) -> dict[str, Any]:
    """VLFeedback's annotations of one completion."""
    aspects = ("Helpfulness", "Ethical Considerations", "Visual Faithfulness")
    return {name: {"Rating": rating, "Rationale": "It is."} for name, rating in zip(aspects, ratings, strict=True)}


THOUGHT = {**assistant(GOOD), "reasoning_content": "It barks."}
SHOWING = {"role": "assistant", "content": [{"type": "image", "image": "b.png"}, {"type": "text", "text": GOOD}]}
COMPLETIONS: dict[str, list[Any]] = {
    "model": ["a", "b", "c", "d"],
    "response": ["a bird", GOOD, BAD, "no number"],
    "annotations": [rated("3", "5", "4"), rated("5", "5", "4"), rated("1", "5", "2"), rated("5", "N/A", "5")],
}
SINGLE: dict[str, list[dict[str, Any]]] = {
    "rlaif-v": [{"idx": 4, "image": "a.png", "question": Q, "chosen": GOOD, "rejected": BAD, "ds_name": "vg"}],
    "rlhf-v": [{"idx": 4, "image": "a.png", "text": json.dumps({"question": Q, "chosen": GOOD, "rejected": BAD})}],
    "spa-vl": [
        {"image": "a.png", "question": Q, "chosen": GOOD, "rejected": BAD, "image_name": "a.jpg", "class1": "x"}
    ],
    "nemo messages": [{"image": "a.png", "question": Q, "chosen": [assistant(GOOD)], "rejected": [assistant(BAD)]}],
    "trl text": [{"images": ["a.png"], "prompt": Q, "chosen": GOOD, "rejected": BAD}],
    "trl ultrafeedback": [
        {
            "images": ["a.png"],
            "prompt": Q,
            "chosen": [{"role": "user", "content": Q}, assistant(GOOD)],
            "rejected": [{"role": "user", "content": Q}, assistant(BAD)],
            "messages": [{"role": "user", "content": Q}, assistant(GOOD)],
            "score_chosen": 8.0,
        }
    ],
    "llama-factory sharegpt": [
        {"conversations": [HUMAN], "chosen": gpt(GOOD), "rejected": gpt(BAD), "images": ["a.png"]}
    ],
    "llama-factory alpaca": [{"instruction": Q, "input": "", "chosen": GOOD, "rejected": BAD, "images": ["a.png"]}],
    "ms-swift": [{"messages": [USER, assistant(GOOD)], "rejected_response": BAD, "images": ["a.png"]}],
    "ms-swift rejected_messages": [
        {
            "messages": [USER, assistant(GOOD)],
            "images": ["a.png"],
            "rejected_messages": [USER, assistant(BAD)],
            "rejected_images": ["a.png"],
        }
    ],
    "ms-swift query": [{"query": Q, "response": GOOD, "rejected_response": BAD, "images": ["a.png"]}],
    "llava-rlhf": [
        {
            "id": "000000224052",
            "image": "a.png",
            "conversations": [HUMAN, gpt("neither")],
            "output_1": {"from": "llava", "value": BAD},
            "output_2": gpt(GOOD),
            "hallucination": True,
            "preference": 2,
        }
    ],
    "povid": [
        {"id": "1", "image": "a.png", "conversations": [HUMAN, gpt(GOOD)], "rejected_conversations": [HUMAN, gpt(BAD)]}
    ],
    "vlfeedback": [{"id": "svit-1", "img_path": "a.png", "prompt": Q, "completions": COMPLETIONS}],
    "vlfeedback list": [
        {
            "img_path": "a.png",
            "prompt": Q,
            "completions": [
                {"response": r, "annotations": a}
                for r, a in zip(COMPLETIONS["response"], COMPLETIONS["annotations"], strict=True)
            ],
        }
    ],
    "bpo": [
        {
            "image": "a.png",
            "prompt": f"{Q}\n<image>",
            "completions": [
                {"score": 1, "response": GOOD, "type": "gt"},
                {"score": 0, "response": BAD, "type": "llm-hal"},
                {"score": 0, "response": "a bird", "type": "mllm-hal"},
            ],
        }
    ],
    "llama-factory v1": [
        {
            "chosen_messages": [PARTS, {"role": "assistant", "content": [{"type": "text", "value": GOOD}]}],
            "rejected_messages": [PARTS, {"role": "assistant", "content": [{"type": "text", "value": BAD}]}],
        }
    ],
    "requests of a chat endpoint": [
        {
            "image": "a.png",
            "chosen": {"messages": [{"role": "user", "content": Q}, assistant(GOOD)], "tools": []},
            "rejected": {"messages": [{"role": "user", "content": Q}, assistant(BAD)], "tools": []},
        }
    ],
    "ha-dpo pope": [{"image_id": 7, "question": Q, "chosen": GOOD, "reject": BAD, "correct": False, "answer": "yes"}],
}
"""Layouts of one question about one image."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "VG_100K/7.jpg")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture(number))
    return tmp_path


def written(folder: Path, rows: Any, name: str = "data.json") -> Path:
    file = folder / name
    if file.suffix == ".json":
        file.write_text(json.dumps(rows, indent=1))
    elif file.suffix == ".jsonl":
        file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(map(json.dumps, rows)).encode())  # as Windows writes it
    elif file.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    else:
        with file.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return file


def read(source: Path, **reading: Any) -> PairSet:
    return load_pairs(source, reading=Reading(**reading))


@pytest.mark.parametrize("layout", SINGLE)
def test_a_layout_of_one_question_about_one_image(folder: Path, layout: str) -> None:
    reading = {"image_root": str(folder)} if layout == "ha-dpo pope" else {}
    for kind in ("json", "jsonl", "parquet"):
        (pair,) = read(written(folder, SINGLE[layout], f"data.{kind}"), **reading).pairs
        (turn,) = pair.prompt
        image = Image(path=folder.resolve() / ("VG_100K/7.jpg" if layout == "ha-dpo pope" else "a.png"))
        assert turn.content == ((Q, image) if layout == "bpo" else (image, Q))
        assert (pair.chosen, pair.rejected, pair.prefix, pair.ends) == (GOOD, BAD, "", True)


@pytest.mark.parametrize("layout", SINGLE)
def test_lists_and_messages_written_out_as_texts_are_read(folder: Path, layout: str) -> None:
    """CSV exports, and hub tables whose columns were dumped, by JSON or (pandas' to_csv) by Python."""
    reading = {"image_root": str(folder)} if layout == "ha-dpo pope" else {}
    for write, kind in ((json.dumps, "csv"), (repr, "csv"), (json.dumps, "parquet")):
        rows = [{k: v if isinstance(v, str) else write(v) for k, v in row.items()} for row in SINGLE[layout]]
        (pair,) = read(written(folder, rows, f"data.{kind}"), **reading).pairs
        assert pair.prompt[0].text == Q and len(pair.images) == len(pair.prompt) == 1
        assert (pair.chosen, pair.rejected) == (GOOD, BAD)


@pytest.mark.parametrize("layout", ["llama-factory sharegpt", "ms-swift", "trl ultrafeedback", "llama-factory v1"])
def test_messages_that_were_written_as_json_twice_are_read(folder: Path, layout: str) -> None:
    (row,) = SINGLE[layout]
    twice = {k: v if isinstance(v, str) or k == "images" else json.dumps(json.dumps(v)) for k, v in row.items()}
    (pair,) = read(written(folder, [twice])).pairs
    assert (pair.prompt[0].text, pair.chosen, pair.rejected) == (Q, GOOD, BAD)


def test_a_question_that_two_columns_have_alike_is_one_and_the_user_says_which_of_others_counts(folder: Path) -> None:
    row = {"image": "a.png", "question": Q, "chosen": GOOD, "rejected": BAD}
    assert read(written(folder, [{**row, "prompt": f"<image>\n{Q}"}])).pairs[0].question == Q
    other = written(folder, [{**row, "prompt": "Why ?"}], "other.json")
    assert [read(other, columns=f"={name}").pairs[0].question for name in ("prompt", "question")] == [Q, "Why ?"]


def test_a_system_message_that_says_nothing_is_none(folder: Path) -> None:
    system = {"role": "system", "content": ""}
    rows = [
        {"messages": [system, USER], "chosen": assistant(GOOD), "rejected": assistant(BAD), "images": ["a.png"]},
        {"prompt": [system, USER], "chosen": [assistant("a fox")], "rejected": [assistant(BAD)], "images": ["a.png"]},
    ]
    assert [[turn.role for turn in pair.prompt] for pair in read(written(folder, rows)).pairs] == [["user"], ["user"]]


def test_a_text_in_quotes_and_line_ends_of_windows(folder: Path) -> None:
    row = {"image": "a.png", "prompt": "One\r\ntwo ?", "chosen": '"[1] a dog"', "rejected": '"a\r\ncat"'}
    (pair,) = read(written(folder, [row])).pairs
    assert (pair.prompt[0].text, pair.chosen, pair.rejected) == ("One\ntwo ?", '"[1] a dog"', '"a\ncat"')


def test_parts_as_a_text_are_parts_and_an_answer_in_json_is_a_text(folder: Path) -> None:
    parts = json.dumps([{"type": "image", "text": None}, {"type": "text", "text": Q}])
    boxes = ['[{"label": "dog", "box": [1, 2, 3, 4]}]', '[{"type": "text", "box": [1, 2]}]']
    row = {"images": '["a.png"]', "prompt": json.dumps([{"role": "user", "content": parts}])}
    (pair,) = read(written(folder, [row | dict(zip(("chosen", "rejected"), boxes, strict=True))])).pairs
    assert pair.prompt[0].content == (Image(path=folder.resolve() / "a.png"), Q)
    assert [pair.chosen, pair.rejected] == boxes


def test_a_prompt_that_is_given_twice_loses_nothing(folder: Path) -> None:
    """Once in prompt, with the system message, and once as what both answers begin with."""
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": Q}
    answers = {"chosen": [user, assistant(GOOD)], "rejected": [user, assistant(BAD)], "images": ["a.png"]}
    (pair,) = read(written(folder, [{"prompt": [system, user], **answers, "image": "a.png"}])).pairs
    assert [(turn.role, turn.text) for turn in pair.prompt] == [("system", "Be brief."), ("user", Q)]
    assert (pair.chosen, len(pair.images)) == (GOOD, 1)


def test_rows_that_prefer_nothing_by_their_layout_are_left_out_and_counted(folder: Path) -> None:
    alike = {"response": ["x", "y"], "annotations": [rated("5", "5", "5")] * 2}
    rows = [*SINGLE["vlfeedback"], {"img_path": "b.png", "prompt": Q, "completions": alike}]
    loaded = read(written(folder, rows))
    assert len(loaded.pairs) == 1 and loaded.report["dropped"]["all completions are rated alike."]["rows"] == 1


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_rating_that_is_no_number_counts_for_nothing(folder: Path, number: str) -> None:
    """The best and the worst of what is rated: not whatever comparing with NaN makes of it."""
    completions = {
        "response": ["A", "B", "C"],
        "annotations": [rated(number, "5", "5"), rated("2", "2", "2"), rated("4", "4", "4")],
    }
    (pair,) = read(written(folder, [{"img_path": "a.png", "prompt": Q, "completions": completions}])).pairs
    assert (pair.chosen, pair.rejected) == ("C", "B")


def test_sentinels_context_is_given_and_not_trained_on(folder: Path) -> None:
    """Its hub files are {image number: [rows]}; its jsonl has image_path; for LLaMA-Factory it has instructions."""
    pair = {"question": Q, "context": "A room.", "y_win": "A dog sits.", "y_lose": "A cat sits.", "type": "y+"}
    converted = {"instruction": f"<image>{Q}", "context": "A room.", "images": ["a.png"]}
    forms = [
        ({"7": [pair, {**pair, "context": ""}]}, {"image_root": str(folder)}),
        ([{"image_id": "7", "image_path": str(folder / "a.png"), **pair}], {}),
        ([{**converted, "chosen": "A dog sits.", "rejected": "A cat sits."}], {}),
    ]
    for rows, reading in forms:
        loaded = read(written(folder, rows), **reading)
        first = loaded.pairs[0]
        assert (first.prefix, first.chosen, first.rejected, first.ends) == (
            "A room. ",
            "A dog sits.",
            "A cat sits.",
            False,
        )
        assert loaded.report["with_prefix"] == 1
        if len(loaded.pairs) == 2:
            assert (loaded.pairs[1].prefix, loaded.pairs[1].ends) == ("", True)


def test_lists_by_names_of_which_some_may_be_for_testing_are_not_mixed(folder: Path) -> None:
    row = SINGLE["rlaif-v"][0]
    for names in (("train", "test"), ("7", "test")):
        file = written(folder, {name: [row] for name in names})
        with pytest.raises(DataError, match=r"data\.json: it holds 2 lists of rows, .*'test' among them"):
            read(file)
    assert len(read(written(folder, {"data": [row]})).pairs) == 1


def test_ha_dpos_descriptions_are_every_pair_of_their_texts_and_need_a_question(folder: Path) -> None:
    file = written(folder, {"7": {"chosen": ["a dog", "the dog"], "rejected": ["a cat"]}})
    with pytest.raises(DataError, match=r"row 0: no question; .* question=TEXT"):
        read(file, image_root=str(folder))
    without = written(folder, {"7": {"chosen": [], "rejected": ["a cat"]}}, "without.json")
    with pytest.raises(DataError, match=r"without\.json row 0: chosen"):
        read(without, image_root=str(folder), question=Q)
    loaded = read(file, image_root=str(folder), question="Describe this image in detail.")
    assert [(p.question, p.chosen, p.rejected) for p in loaded.pairs] == [
        ("Describe this image in detail.", "a dog", "a cat"),
        ("Describe this image in detail.", "the dog", "a cat"),
    ]


def test_mdpos_prompts_hold_a_template_that_is_refused_or_taken_off(folder: Path) -> None:
    prompt = f"A chat between a curious user and an assistant. USER: <image>\n{Q} ASSISTANT:"
    file = written(folder, [{"img_path": "a.png", "prompt": prompt, "chosen": GOOD, "rejected": BAD}])
    with pytest.raises(DataError, match=r"row 0: the prompt holds a chat template .* unwrap_prompts=true"):
        read(file)
    (pair,) = read(file, unwrap_prompts=True).pairs
    assert pair.prompt[0].content == (Image(path=folder.resolve() / "a.png"), Q)
    idefics = {
        "img_path": "a.png",
        "prompt": f"User:<image>{Q}<end_of_utterance>\nAssistant:",
        "chosen": GOOD,
        "rejected": BAD,
    }
    (pair,) = read(written(folder, [idefics]), unwrap_prompts=True).pairs
    assert pair.prompt[0].content == (Image(path=folder.resolve() / "a.png"), Q)


def test_struck_out_text_of_a_page_is_no_end_of_a_conversation(folder: Path) -> None:
    row = {"image": "a.png", "prompt": Q, "chosen": "It costs <s>5 $</s>", "rejected": BAD}
    (pair,) = read(written(folder, [row])).pairs
    assert pair.chosen == "It costs <s>5 $</s>"


def test_system_messages_several_turns_several_images_and_text_alone(folder: Path) -> None:
    parts = [{"type": "image"}, {"type": "text", "text": "One, "}, {"type": "image"}, {"type": "text", "text": "two ?"}]
    rows = [
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}],
            "chosen": [assistant(GOOD)],
            "rejected": [assistant(BAD)],
            "images": ["a.png", "b.png"],
        },
        {
            "conversations": [HUMAN, gpt("A room."), {"from": "human", "value": "And ?"}],
            "system": "Be brief.",
            "chosen": gpt(GOOD),
            "rejected": gpt(BAD),
            "images": ["b.png"],
        },
        {"messages": [{"role": "user", "content": "1 + 1 ?"}, assistant("2")], "rejected_response": "3", "images": []},
    ]
    loaded = read(written(folder, rows))
    a, b = (Image(path=folder.resolve() / name) for name in ("a.png", "b.png"))
    two, turns, text = ([(turn.role, turn.content) for turn in pair.prompt] for pair in loaded.pairs)
    assert two == [("system", ("Be brief.",)), ("user", (a, "One, ", b, "two ?"))]
    assert turns[0] == ("system", ("Be brief.",)) and turns[1:] == [
        ("user", (b, Q)),
        ("assistant", ("A room.",)),
        ("user", ("And ?",)),
    ]
    assert text == [("user", ("1 + 1 ?",))]
    assert [loaded.report[k] for k in ("pairs", "without_image", "several_images", "several_turns")] == [3, 1, 1, 2]
    (only,) = read(written(folder, rows[2:]), text_only=True).pairs
    assert only.images == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**SINGLE["ms-swift rejected_messages"][0], "rejected_images": ["b.png"]}, "rejected_images differ"),
        (
            {**SINGLE["povid"][0], "rejected_conversations": [{"from": "human", "value": "Other ?"}, gpt(BAD)]},
            "the two conversations differ before their last answer",
        ),
        ({**SINGLE["trl text"][0], "rejected_image": "b.png"}, "leave their column out with --columns =NAME"),
        ({**SINGLE["trl text"][0], "question": "Why ?"}, "columns question and prompt ask different things"),
        ({**SINGLE["trl text"][0], "chosen": THOUGHT}, "chosen has reasoning_content, which is not trained on"),
        ({"messages": [USER, THOUGHT], "rejected_response": BAD, "images": ["a.png"]}, "chosen has reasoning_content"),
        ({"messages": [PARTS, SHOWING], "rejected_response": BAD}, "chosen holds an image; only texts"),
        ({"messages": [PARTS, assistant(GOOD)], "rejected_messages": [PARTS, SHOWING]}, "rejected holds an image"),
        (
            {**SINGLE["trl text"][0], "prompt": [USER, assistant(" "), {"role": "user", "content": Q}]},
            "a message of the assistant is empty",
        ),
        ({**SINGLE["trl text"][0], "tools": '[{"name": "f"}]'}, "tools: only texts and images are trained on"),
        ({**SINGLE["trl text"][0], "chosen": {"messages": [assistant(GOOD)], "tools": [{}]}}, "chosen holds tools"),
        ({**SINGLE["trl text"][0], "chosen": "at <bbox>", "objects": {}}, "chosen holds <bbox>, a place that is not"),
        ({**SINGLE["trl text"][0], "prompt": "Where is <ref-object> ?"}, "the prompt holds <ref-object>, a place"),
        ({**SINGLE["trl text"][0], "rejected": "\u200ba dog"}, "chosen and rejected are equal"),
        ({**SINGLE["trl text"][0], "chosen": "a café", "rejected": "a cafe\u0301"}, "chosen and rejected are equal"),
        ({**SINGLE["trl text"][0], "images": [""]}, "images: one of 1 is empty"),
        ({"image": {"src": "a.png"}, "prompt": Q, "chosen": GOOD, "rejected": BAD}, "an object without bytes, path or"),
        ({"image": "vg/images/2316", "prompt": Q, "chosen": GOOD, "rejected": BAD}, "no such file, and not base64"),
        ({"image": "/gone/1.jpg", "prompt": Q, "chosen": GOOD, "rejected": BAD}, "not base64: '/gone/1.jpg'."),
        ({"image": "a.png", "text": Q, "chosen": GOOD, "reject": BAD}, "--columns question=NAME"),
        ({"images": ["a.png"], "prompt": [{"by": "u", "said": Q}], "chosen": GOOD, "rejected": BAD}, "it has by, said"),
        ({**SINGLE["trl text"][0], "prompt": "<image 1> What ?"}, "the prompt holds <image 1>, which would"),
        ({**SINGLE["llava-rlhf"][0], "preference": 0}, "preference=0: expected 1 or 2"),
        ({**SINGLE["ms-swift"][0], "messages": [{"role": "tool", "content": "x"}]}, "a message of 'tool'"),
        ({"image": "a.png", "prompt": Q, "chosen": [assistant(GOOD), assistant(BAD)], "rejected": BAD}, "one message"),
        ({"img": "a.png", "q": Q, "good": GOOD, "bad": BAD}, "no question, chosen, rejected. Expected columns image"),
        ({"image": "a.png", "text": "{not json", "x": 1}, "column text is not JSON"),
        (
            {"image": "a.png", "messages": f"[{USER!r}\n {assistant(GOOD)!r}]", "rejected_response": BAD},  # numpy's
            "messages that are neither JSON nor Python's",
        ),
        ({**SINGLE["trl text"][0], "images": [None]}, "images: one of 1 is empty (null)"),
        ({**SINGLE["trl text"][0], "images": '["a.png", null]'}, "images: one of 2 is empty (null)"),
        ({**SINGLE["trl text"][0], "image": "b.png"}, "a column images and another in image"),
        ({**SINGLE["trl text"][0], "images": ["a-" * 200]}, "no such file"),
        (
            {"img_path": "a.png", "prompt": Q, "completions": {"response": ["x", "y"], "annotations": None}},
            "completions: expected lists of 2 entries each",
        ),
        (
            {"img_path": "a.png", "prompt": Q, "completions": {"response": ["x", "y"], "annotations": [{}]}},
            "completions: expected lists of 2 entries each",
        ),
        *(
            ({**SINGLE["trl text"][0], "prompt": f"{mark} What ?"}, f"the prompt holds {mark}, which would be read as")
            for mark in (
                *("<|image_pad|>", "<|image_1|>", "<|image|>", "<start_of_image>", "<image_placeholder>", "<Image>"),
                *("<|media_pad|>", "<fake_token_around_image>", "<image/>", "< image >", "<images>", "[<IMG_PLH>]"),
                *("<image-placeholder>", "<image_token>", "[IMG]", "<img>", "<|vision_pad|>", "<im_start>"),
            )
        ),
        *(
            ({**SINGLE["trl text"][0], field: f"{GOOD} {token}"}, f"{said} holds {token}, a control token")
            for field, said in (("chosen", "chosen"), ("rejected", "rejected"), ("prompt", "the prompt"))
            for token in (
                *("<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|endoftext|>", "[/INST]", "</s>", "<eos>"),
                "<end_of_utterance>",
            )
        ),
        *(
            ({**SINGLE["trl text"][0], "prompt": prompt}, "the prompt holds a chat template")
            for prompt in (
                f"Human: {Q}\n\nAssistant:",
                f"User: <image>{Q}\nAssistant:",
                f"<|user|>\n{Q}<|end|>\n<|assistant|>\n",
                f"<|start_header_id|>user<|end_header_id|>\n\n{Q}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
            )
        ),
        (
            {
                "image": "a.png",
                "prompt": [{"role": "system", "content": "Be brief."}, USER],
                "chosen": [{"role": "system", "content": "Be long."}, USER, assistant(GOOD)],
                "rejected": [{"role": "system", "content": "Be long."}, USER, assistant(BAD)],
            },
            "prompt is not what chosen and rejected begin with",
        ),
        (
            {**SINGLE["trl text"][0], "prompt": [{"role": "user", "content": [{"type": ["image"]}]}]},
            "a part of type ['image']: expected text or image",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_with_the_row(folder: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=r"data\.json row 0: ") as caught:
        read(written(folder, [row]))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("begin", "said"),
    [(f"{Q} ", "the question"), (f"Human: {Q}\n\nAssistant: ", "a label"), ("ASSISTANT: ", "a label of who speaks")],
)
def test_answers_that_begin_with_their_prompt_are_refused_and_a_single_one_is_not(
    folder: Path, begin: str, said: str
) -> None:
    rows = [{"image": "a.png", "prompt": Q, "chosen": f"{GOOD} {n}", "rejected": BAD} for n in range(3)]
    whole = [{**row, "chosen": begin + str(row["chosen"]), "rejected": begin + BAD} for row in rows]
    with pytest.raises(DataError, match=rf"in 3 of 3 pairs chosen and rejected both begin with {said}.*pair 0, '"):
        read(written(folder, whole))
    assert len(read(written(folder, [*rows[:2], whole[2]])).pairs) == 3


def test_answers_that_are_json_lists_of_one_text_are_refused_and_other_json_is_a_text(folder: Path) -> None:
    """What becomes of HA-DPO's lists of answers in a table: the brackets would be trained on."""
    row = {"image": "a.png", "prompt": Q, "chosen": json.dumps([GOOD]), "rejected": json.dumps([BAD])}
    with pytest.raises(DataError, match=r"in 1 of 1 pairs .* begin with the bracket of a JSON list of one text"):
        read(written(folder, [row]))
    for chosen in (json.dumps([GOOD, GOOD]), json.dumps([[1, 2]]), "[1] A dog."):
        (pair,) = read(written(folder, [{**row, "chosen": chosen}])).pairs
        assert pair.chosen == chosen


def test_columns_without_a_value_are_absent_whatever_a_table_makes_of_that(folder: Path) -> None:
    """pandas: NaN for what is missing in a column of others; CSV: texts of empty lists."""
    nothing = {"video": float("nan"), "audio": False, "tools": "[]", "audios": [], "system": float("nan")}
    nothing |= {"rejected_images": "null"}
    rows = [{**SINGLE["trl text"][0], **nothing}, {**SINGLE["trl text"][0], "images": float("nan"), **nothing}]
    loaded = read(written(folder, rows, "data.jsonl"))
    assert [len(pair.prompt) for pair in loaded.pairs] == [1, 1] and loaded.report["without_image"] == 1


def test_columns_of_other_names_and_images_of_another_folder(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    rows = [{"img": "a.png", "q": Q, "good": GOOD, "bad": BAD, "context": "a book", "score": "3"}]
    file = written(folder / "elsewhere", rows, "data.csv")
    names = "image=img,question=q,chosen=good,rejected=bad"
    (pair,) = read(file, columns=f"{names},=context", image_root=str(folder)).pairs
    assert (pair.question, pair.chosen, pair.images[0].path) == (Q, GOOD, folder.resolve() / "a.png")
    assert pair.columns == {"score": "3"}
    assert read(file, columns=f"{names},prefix=context", image_root=str(folder)).pairs[0].prefix == "a book "
    with pytest.raises(DataError, match=r"--columns chosen=nice: no such column; found bad, context, good"):
        read(file, columns="chosen=nice")
    with pytest.raises(UsageError, match="columns=best=good: expected OURS=THEIRS"):
        Reading(columns="best=good")
    with pytest.raises(UsageError, match=r"image_root=.*none: there is no such folder"):
        read(file, image_root=str(folder / "none"))


def test_columns_that_llama_factory_describes_beside_the_file(folder: Path) -> None:
    columns = {"messages": "talk", "chosen": "good", "rejected": "bad", "images": "pictures"}
    info = {"mine": {"file_name": "data.json", "ranking": True, "formatting": "sharegpt", "columns": columns}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    rows = [{"talk": [HUMAN], "good": gpt(GOOD), "bad": gpt(BAD), "pictures": ["a.png"]}]
    loaded = read(written(folder, rows))
    assert loaded.pairs[0].chosen == GOOD and "columns by dataset_info.json" in loaded.report["notes"][0]
    columns["tools"] = "functions"
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match="tools: only texts and images are trained on"):
        read(written(folder, [{**rows[0], "functions": '[{"name": "f"}]'}]))
