"""Suites built in and in YAML, and shards."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.evaluation.resolve import make_benchmark
from harness.evaluation.shard import Shard
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.progress import silent
from harness.store import Store
from tests.leaderboards.fakes import add, answers
from tinyworld.language import vocabulary
from tinyworld.render import SIZE
from workflows.ablate import bases_of
from workflows.ablation import Ablation, Method
from workflows.bench import resolve_benchmarks
from workflows.eval_models import require_data, require_revision, resolve_models
from workflows.requests import BenchOptions
from workflows.suites import Member, members_of, split_names


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
    first, second = resolve_benchmarks(
        members_of(str(file), ()), {"tagger": "auto"}, {"decoding": {"max_new_tokens": 9}}
    )
    assert (first.name, first.limit, first.settings) == ("pope", 100, {"decoding": {"max_new_tokens": 9}})
    assert (second.name, second.limit) == ("amber", 7)
    assert second.settings["similarity"] == "exact" and second.settings["tagger"] == "auto"
    assert [p.limit for p in resolve_benchmarks(members_of(str(file), ()), {}, None, 3)] == [3, 3]


def test_a_bias_adds_the_captions_once_more_under_the_same_settings() -> None:
    found = resolve_benchmarks(
        members_of("hallucination", ()), {"decoding.num_beams": 1}, {"short": False}, 5, [-0.5, 0.5]
    )
    assert [item.name for item in found] == ["object_halbench"] * 3 + ["amber", "mmhal"]
    own, *biased = (make_benchmark(item.name, item.settings).decoding for item in found[:3])
    assert own == Decoding(max_new_tokens=1024, num_beams=1)
    assert biased == [replace(own, eos_bias=-0.5), replace(own, eos_bias=0.5)]
    assert {item.limit for item in found} == {5}
    assert len(resolve_benchmarks(members_of("hallucination", ()), {}, eos_biases=[0.0, 0.5, 0.5])) == 4, (
        "0 is there anyway"
    )
    for named in (["amber", "object_halbench"], ["object_halbench", "amber"]):
        curves = resolve_benchmarks(members_of(None, named), {}, eos_biases=[0.5])
        assert [item.name for item in curves if item.settings] == ["object_halbench"], "whichever is named first"
    with pytest.raises(UsageError, match="Did you mean 'num_beams'"):
        resolve_benchmarks(members_of(None, ["amber"]), {"decoding.num_beam": 1})
    with pytest.raises(UsageError, match=r"eos_bias=nan: expected a finite number"):
        resolve_benchmarks(members_of(None, ["amber"]), {}, eos_biases=[float("nan")])
    with pytest.raises(UsageError, match=r"name one that does \(amber, chair_coco, object_halbench\)"):
        resolve_benchmarks(members_of(None, ["mmhal"]), {}, eos_biases=[0.5])


def test_the_models_by_default_are_what_was_aligned_and_what_it_started_from(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    assert [e.run for e in resolve_models(store, ["hf:org/llava"], None)] == ["llava"]
    with pytest.raises(UsageError, match="Nothing to benchmark"):
        resolve_models(store, (), None)
    for name, model in (("a", "org/llava"), ("b", "org/llava"), ("c", "org/qwen")):
        store.start_alignment(name, method="dpo", seed=0, panel="", key=name, config={"model": model})
        if name == "c":
            assert [(e.run, e.spec) for e in resolve_models(store, (), None)] == [
                ("base", "hf:org/llava"), ("a", "run:a"), ("b", "run:b"),
            ]  # fmt: skip
            assert [e.run for e in resolve_models(store, ["hf:org/llava", "hf:org/other"], None)] == ["base", "other"]
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    assert [e.run for e in resolve_models(store, (), None)] == ["llava", "qwen", "a", "b", "c"]
    assert [e.run for e in resolve_models(store, (), "hf:tiny/world")] == ["world", "llava", "qwen", "a", "b", "c"]
    config = {"model": "org/qwen", "prompt": {"revision": "v2"}}
    store.start_alignment("d", method="dpo", seed=0, panel="", key="d", config=config)
    store.finish_alignment("d", status="done", model_dir="m", seconds=1.0)
    require_revision(store, resolve_models(store, (), None), "v2")
    with pytest.raises(UsageError, match=r"run:d started from org/qwen at revision v2.*model\.revision=v2"):
        require_revision(store, resolve_models(store, (), None), "")


def embedded_model(folder: Path) -> Path:
    """A directory with the configuration of the embedded world's models, by which they are known."""
    config = {"text_config": {"vocab_size": len(vocabulary())}, "vision_config": {"image_size": SIZE}}
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_models_by_default_belong_to_the_world_of_the_data(tmp_path: Path) -> None:
    """After the demonstration the README's own commands benchmark the user's model and its run: two, not all."""
    store, world = Store(tmp_path / "r.sqlite"), embedded_model(tmp_path / "world")
    for name, model in (("demo", str(world)), ("chain", "run:demo"), ("mine", "org/llava")):
        store.start_alignment(name, method="dpo", seed=0, panel="", key=name, config={"model": model})
        store.finish_alignment(name, status="done", model_dir="m", seconds=1.0)
    with pytest.warns(UserWarning, match="data are not the embedded world's: (chain, demo|demo, chain);"):
        assert [e.run for e in resolve_models(store, (), None, of_world=False)] == ["base", "mine"]
    with pytest.warns(UserWarning, match="left out, since the data are the embedded world's, of which .* not: mine;"):
        found = resolve_models(store, (), f"hf:{world}", of_world=True)
    assert {e.run for e in found[-2:]} == {"chain", "demo"} and "mine" not in {e.run for e in found}
    assert [e.run for e in resolve_models(store, ["run:demo"], None, of_world=False)] == ["demo"], "it was asked for"


def test_where_all_runs_are_of_the_embedded_world_other_data_say_which_they_are(tmp_path: Path) -> None:
    """The folder comes first: one that is not there, or is empty, is named, with what is expected in it."""
    store, world = Store(tmp_path / "r.sqlite"), embedded_model(tmp_path / "world")
    store.start_alignment("mine", method="dpo", seed=0, panel="", key="k", config={"model": str(world)})
    store.finish_alignment("mine", status="done", model_dir="m", seconds=1.0)
    (tmp_path / "empty" / "amber").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "annotations.json").write_text("[]")
    for data, message in (
        ("nodata", r"^--data-dir \S+nodata: no such directory; expected one that holds a folder amber with its files"),
        ("empty", r"^--data-dir \S+empty/amber: an empty directory; expected .*`cli.py fetch amber`"),
        ("data", r"^Nothing to benchmark: the runs mine were trained in the embedded world.*--model run:NAME\.$"),
    ):
        options = BenchOptions(benchmark="amber", data_dir=tmp_path / data, db=tmp_path / "r.sqlite")
        with warnings.catch_warnings(), pytest.raises(UsageError, match=message):
            warnings.simplefilter("error")  # nothing else is said
            options.resolve(silent)
    with pytest.raises(UsageError, match=r"the runs other were trained outside the embedded world, and the data"):
        other = Store(tmp_path / "other.sqlite")
        other.start_alignment("other", method="dpo", seed=0, panel="", key="k", config={"model": "org/llava"})
        other.finish_alignment("other", status="done", model_dir="m", seconds=1.0)
        resolve_models(other, (), None, of_world=True)


def test_a_model_that_is_not_of_the_embedded_world_is_not_benchmarked_on_it_unasked(tmp_path: Path) -> None:
    store, world = Store(tmp_path / "r.sqlite"), embedded_model(tmp_path / "world")
    store.start_alignment("mine", method="dpo", seed=0, panel="", key="k", config={"model": "org/llava"})
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(world)}))
    require_data(store, [f"hf:{world}", str(world), f"hf:{world}+{adapter}", str(adapter)])
    require_data(store, ["openai:m@http://127.0.0.1:1/v1", "replay:a.jsonl"])  # which nobody can know
    for spec in ("hf:org/llava", "run:mine", f"hf:{tmp_path}"):
        with pytest.raises(UsageError, match=r"not a model of the embedded world.*--data-dir"):
            require_data(store, [spec])
    with pytest.raises(UsageError, match=r"org/llava is not a model of the embedded world.*data_dir"):
        bases_of(Ablation(methods=(Method(method="dpo"),), common={"model": "org/llava", "data": "d"}), silent)


def test_models_whose_names_end_alike_have_runs_of_their_own(tmp_path: Path) -> None:
    store = Store(tmp_path / "r.sqlite")
    found = resolve_models(
        store, ["hf:one/llava", "hf:two/llava", "hf:two/qwen", "openai:m@http://h/v1", "replay:a.jsonl"], None
    )
    assert [e.run for e in found] == ["one/llava", "two/llava", "qwen", "openai:m@http://h/v1", "a.jsonl"]
    assert [e.run for e in resolve_models(store, ["hf:one/llava+ad/mine"], None)] == ["mine"]
    add(store, "llava", answers([1]), alignment=None, model="hf:one/llava")
    assert [e.run for e in resolve_models(store, ["hf:one/llava"], None)] == ["llava"]
    assert [e.run for e in resolve_models(store, ["hf:two/llava"], None)] == ["two/llava"], (
        "the other one's name is taken"
    )


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
