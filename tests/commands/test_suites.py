"""Suites built in and in YAML, and shards."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands.bench import planned
from commands.suites import Member, members_of, split_names
from harness.benchmark import Sample
from harness.errors import UsageError
from harness.part import Shard


def names(members: list[Member]) -> list[str]:
    return [member.benchmark for member in members]


def test_built_in_suites() -> None:
    assert names(members_of(None, ())) == ["object_halbench", "amber", "mmhal"]
    assert names(members_of("general", ())) == ["mm_vet", "llava_bench", "pope"]
    assert names(members_of("all", ())) == names(members_of("hallucination", ())) + names(members_of("general", ()))


def test_benchmarks_named_go_before_a_suite_and_may_be_listed_with_commas() -> None:
    assert names(members_of("all", ["pope,amber", "pope"])) == ["pope", "amber"]
    assert split_names(["lmms:a,b", "pope"]) == ["lmms:a", "lmms:b", "pope"]
    with pytest.raises(UsageError, match="pope"):
        members_of(None, ["popes"])
    with pytest.raises(UsageError, match="general"):
        members_of("generall", ())


def test_a_suite_in_yaml_with_settings_and_limits(tmp_path: Path) -> None:
    file = tmp_path / "quick.yaml"
    file.write_text(
        "limit: 100\nbenchmarks:\n  - pope\n"
        "  - {benchmark: amber, limit: 7, set: {similarity: exact, tagger: lexicon}}\n"
    )
    first, second = planned(members_of(str(file), ()), ["tagger=pattern"], {"decoding": {"max_new_tokens": 9}})
    assert (first.name, first.limit, first.settings) == ("pope", 100, {"decoding": {"max_new_tokens": 9}})
    assert (second.name, second.limit) == ("amber", 7)
    assert second.settings["similarity"] == "exact" and second.settings["tagger"] == "pattern"
    assert [p.limit for p in planned(members_of(str(file), ()), (), None, 3)] == [3, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("benchmarks: []", "no benchmarks"),
        ("benchmarks: [pope, pope]", "stands there twice"),
        ("benchmarks: [{set: {}}]", "expected a benchmark's name"),
        ("benchmarks: [{benchmark: pope, limits: 3}]", "limit"),
        ("benchmark: [pope]", "benchmarks"),
        ("benchmarks: [popo]", "pope"),
    ],
)
def test_a_file_that_is_no_suite_says_why(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        members_of(str(tmp_path / "bad.yaml"), ())


def test_shards_hold_every_sample_once_and_keep_images_together() -> None:
    samples = [Sample(f"{image}{q}", "?", group=image) for image in "abcde" for q in range(3)]
    parts = [Shard(i, 3).of(samples) for i in (1, 2, 3)]
    assert sorted(s.id for part in parts for s in part) == sorted(s.id for s in samples)
    groups = [{s.group for s in part} for part in parts]
    assert groups == [{"a", "d"}, {"b", "e"}, {"c"}]


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_shard_that_is_none_says_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match="expected I/N"):
        Shard.parse(text)
