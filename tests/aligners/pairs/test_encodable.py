"""Every pair is encoded once before training: what cannot be is named or left out, what is cut is counted."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from aligners.pairs import encodable as module
from aligners.pairs.data import Pair, PairSet, load_pairs
from aligners.pairs.encodable import encodable
from aligners.pairs.encoding import Encoder
from aligners.pairs.report import described
from harness.errors import DataError
from harness.models.prompts import Prompts
from harness.util.pool import WorkerLost
from tests.tiny import picture


@pytest.fixture
def encoder(llava: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setenv("DAMA_HOME", str(tmp_path / "home"))
    return Encoder(Prompts(AutoProcessor.from_pretrained(llava)), 64)


def pairs_of(*pairs: Pair) -> PairSet:
    return PairSet([*pairs], "", {"source": "s", "pairs": len(pairs), "dropped": {}})


def pair(id_: str, chosen: str = "a dog", rejected: str = "a cat", question: str = "what ?") -> Pair:
    return Pair.about(picture(1), id_, question, chosen, rejected)


def refused(encoder: Encoder, bad: Pair) -> str:
    """The reason for which ``bad`` is left out; without leaving it out it is named."""
    with pytest.raises(DataError, match=f"pair {bad.id}: .*skip_bad_rows=true"):
        encodable(pairs_of(pair("good"), bad), encoder)
    report = encodable(pairs_of(pair("good"), bad), encoder, skip_bad=True).report
    ((reason, each),) = report["dropped"].items()
    assert each == {"rows": 1, "first": [bad.id]} and report["pairs"] == 1
    return str(reason)


def test_a_prompt_that_leaves_no_room_a_text_without_tokens_and_equal_tokens_are_refused(encoder: Encoder) -> None:
    long = pair("long", question="a dog " * 40)
    assert "leave no room for a response in max_length=64 tokens" in refused(encoder, long)
    tokenizer = encoder.prompts.processor.tokenizer
    assert "the same tokens to this model: remove" in refused(encoder, pair("same", "dogs", "cats"))
    from tokenizers.normalizers import Replace

    tokenizer.backend_tokenizer.normalizer = Replace("~", "")
    assert "chosen has no tokens: the tokenizer drops what it says" in refused(encoder, pair("mute", "~ ~"))


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyError("no"), ZeroDivisionError("no"), OverflowError("no")])
def test_whatever_a_processor_raises_names_the_pair(encoder: Encoder, error: Exception) -> None:
    class Raises:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __call__(self, *arguments: Any, **more: Any) -> Any:
            if "table" in str(more.get("text", arguments)):
                raise error
            return self.inner(*arguments, **more)

    prompts = dataclasses.replace(encoder.prompts, processor=Raises(encoder.prompts.processor))
    assert "cannot be put to the model" in refused(Encoder(prompts, 64), pair("bad", question="a table ?"))


def test_cut_responses_are_counted_and_image_tokens_are_never_cut(encoder: Encoder) -> None:
    long = pair("long", "a dog " * 90, "a cat")
    found = encodable(pairs_of(pair("short"), long), encoder)
    assert found.report["responses_cut"] == 1
    assert "1 of which a response is cut at max_length" in described(found.report)
    encoded = encoder(0, long)
    assert (encoded.cut, len(encoded.prefix) + len(encoded.chosen)) == (1, 64)
    whole = dataclasses.replace(encoder, max_length=1024)(0, long)
    assert whole.cut == 0 and encoded.prefix.equal(whole.prefix)


def test_what_came_of_it_is_kept_but_not_where_an_image_could_not_be_read(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture(2))
    pairs = pairs_of(pair("a"), dataclasses.replace(Pair.about(file, "b", "what ?", "a dog", "a cat"), digest="b"))
    with monkeypatch.context() as patch:
        patch.setattr(Pair, "_read", lambda self, image: (_ for _ in ()).throw(DataError(f"pair {self.id}: gone")))
        with pytest.raises(DataError, match="pair a: gone"):
            encodable(pairs, encoder)
    found = encodable(pairs, encoder)
    monkeypatch.setattr(module, "_try", lambda *_: pytest.fail("encoded again"))
    assert encodable(pairs, encoder).pairs == found.pairs == pairs.pairs
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        encodable(pairs, dataclasses.replace(encoder, max_length=65))
    os.utime(file, (1, 1))
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        encodable(pairs, encoder)


@pytest.mark.slow
def test_many_pairs_are_encoded_in_processes_with_the_same_result(
    encoder: Encoder, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_pairs(pairs_file, 20)
    bad = [dataclasses.replace(pair("no", question="a dog " * 40)), pair("cut", "a dog " * 90)]
    pairs = dataclasses.replace(loaded, pairs=[*loaded.pairs[:9], *bad, *loaded.pairs[9:]])
    here = encodable(pairs, encoder, skip_bad=True)
    again = dataclasses.replace(encoder, max_length=64, prompts=copy.copy(encoder.prompts))
    for name in ("TRIED", "LEFT"):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(module, "CHUNK", 5)
    monkeypatch.setattr(module, "cores", lambda most: 1)
    monkeypatch.setattr(module, "prepared", lambda key, make: make())
    tried_here: list[str] = []
    attempt = module._try

    def noted(pair: Pair, encoder: Encoder) -> module.Tried:
        tried_here.append(pair.id)
        return attempt(pair, encoder)

    monkeypatch.setattr(module, "_try", noted)
    shown: list[tuple[int, int]] = []
    there = encodable(
        pairs, again, skip_bad=True, progress=lambda step, done, total, note="": shown.append((done, total))
    )
    assert there == here and here.report["responses_cut"] == 1 and here.report["dropped"]
    assert tried_here == [pairs.pairs[0].id], "the rest in processes"
    assert shown[0] == (1, 22) and shown[-1] == (22, 22) and [done for done, _ in shown] == sorted(d for d, _ in shown)


def test_where_a_process_is_killed_the_pairs_are_encoded_here(
    encoder: Encoder, pairs_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def submit(self, *_: Any) -> Any:
            raise WorkerLost("a process was killed twice")

    for name in ("TRIED", "LEFT"):
        monkeypatch.setattr(module, name, 0)
    monkeypatch.setattr(module, "workers", lambda *_, **__: contextlib.nullcontext(Broken()))
    assert len(encodable(load_pairs(pairs_file, 8), encoder).pairs) == 8
