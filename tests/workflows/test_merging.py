"""`db merge`: what several results files hold stands in one, once, and nothing takes the place of something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import cli
from harness.protocols.benchmark import Sample, Verdict
from harness.protocols.conversation import Image
from harness.protocols.judge import Reply
from harness.protocols.model import Answer
from harness.store import Store
from tests.commands.test_bench_openai import Endpoint, bench, data, endpoint  # noqa: F401  (fixtures)
from tests.commands.test_share import more_images
from tests.harness.store.old_files import old_file
from tests.harness.store.test_rescue import filled, pages_of, spoil
from tests.leaderboards.fakes import add, answers, example
from tests.tiny import picture


def run(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["db", "merge", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def merged(*words: str) -> dict[str, Any]:
    return dict(json.loads(run(*words, "--json").stdout))


def refused(*words: str, code: int = 1) -> str:
    return " ".join(run(*words, code=code).output.split())


def contents(path: Path) -> dict[str, list[str]]:
    """The rows of every table, without ids and times."""
    store = Store.reading(path)
    try:
        names = {row["id"]: row["key"] for row in store.rows("evaluation")}
        return {
            table: sorted(
                json.dumps({k: names.get(v, v) if k == "evaluation" else v for k, v in row.items()
                            if k not in ("id", "number", "created", "seconds")})
                for row in store.rows(table)
            )
            for table in store.tables()
            if table not in ("claim", "activity")
        }  # fmt: skip
    finally:
        store.close()


def store_at(path: Path) -> Store:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Store(path)


def aligned(store: Store, name: str, *, key: str = "", steps: int = 2, status: str = "done", **info: Any) -> None:
    log = store.start_alignment(name, method="dpo", seed=0, panel="", key=key or name, config={"model": "m"})
    for step in range(steps):
        log.log_step(step, {"loss": 1.0 / (1 + step)})
    log.log_info(info)
    store.finish_alignment(name, status=status, model_dir="", seconds=1.0)


def test_shards_of_two_machines_merged_give_the_table_of_one_process_and_nothing_is_asked_again(
    endpoint: Endpoint, data: Path, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    more_images(data, 4)
    with pytest.warns(UserWarning, match="prompt was not compared|no processor of this model"):
        _, whole = bench(endpoint, data, tmp_path / "alone.sqlite")
    parts = [tmp_path / f"host{i}/r.sqlite" for i in (1, 2)]
    for number, part in enumerate(parts, start=1):
        bench(endpoint, data, part, "--shard", f"{number}/2")
    asked = len(endpoint.calls)
    assert asked == 2 * whole["n"] == 48
    facts = merged(*map(str, parts), "--into", str(tmp_path / "all.sqlite"))
    assert facts["added"]["generation"] == 24 and facts["conflicts"] == [] and facts["state"] == "sound"
    code, again = bench(endpoint, data, tmp_path / "all.sqlite")
    assert code == 0 and len(endpoint.calls) == asked, "no question is asked again"
    assert again["metrics"] == whole["metrics"] and again["n_scored"] == 24
    tables = [contents(tmp_path / name) for name in ("all.sqlite", "alone.sqlite")]
    assert tables[0]["verdict"] == tables[1]["verdict"] and tables[0]["generation"] == tables[1]["generation"]


def test_two_halves_are_the_whole_and_merging_again_adds_nothing(tmp_path: Path) -> None:
    whole = example(tmp_path)
    whole.save_answers("m", [(str(n), Answer(f"answer {n}")) for n in range(1200)])
    whole.save_reply("j", "e", "q", 0, 0, Reply("4", "j", None, {}))
    whole.hide_run("dpo-s1")
    whole.close()
    halves = [tmp_path / name for name in ("a.sqlite", "b.sqlite")]
    for path, lacks, rest in zip(halves, (("dpo-s0", "base"), ("dama-s0", "dama-s1")), (0, 1), strict=True):
        shutil.copy(tmp_path / "results.sqlite", path)
        half = Store(path)
        for name in lacks:
            half.remove_run(name)
        half.write("DELETE FROM generation WHERE question_key % 2 = ?", [(rest,)])
        half.close()
    facts = merged(str(halves[0]), str(halves[1]), "--into", str(tmp_path / "c.sqlite"))
    assert facts["there"]["evaluation"] == 1 and facts["there"]["alignment"] == 1, "dpo-s1 is in both"
    assert contents(tmp_path / "c.sqlite") == contents(tmp_path / "results.sqlite")
    before = (tmp_path / "c.sqlite").read_bytes()
    again = merged(str(tmp_path / "c.sqlite"), *map(str, halves))
    assert (again["added"], again["replaced"]) == ({}, {}) and (tmp_path / "c.sqlite").read_bytes() == before
    first = merged(*map(str, halves))
    assert first["into"] == str(halves[0]), "without --into the first is the one that is added to"
    assert contents(halves[0]) == contents(tmp_path / "results.sqlite")
    assert [file.name for file in tmp_path.iterdir() if "-wal" in file.name or ".part" in file.name] == []


def test_what_is_better_stands_whichever_file_has_it(tmp_path: Path) -> None:
    good, bad = Store(tmp_path / "good.sqlite"), Store(tmp_path / "bad.sqlite")
    good.save_answers("m", [("q", Answer("a cat"))])
    bad.save_answers("m", [("q", Answer(None, error="timeout"))])
    good.save_reply("j", "e", "q", 0, 0, Reply("4", "j", None, {}))
    bad.save_reply("j", "e", "q", 0, 0, Reply(None, "j", "down", {}))
    bad.save_reply("j", "e", "p", 0, 0, Reply(None, "k", "another model", {"reply": "5"}))
    good.save_reply("j", "e", "p", 0, 0, Reply(None, "j", "down", {}))
    add(good, "base", answers([1, 1, 1]), key="k")
    add(bad, "base", {**answers([1, 1]), "2": Verdict({}, error="no reply")}, key="k")
    aligned(good, "dpo-s0", steps=3)
    aligned(bad, "dpo-s0", steps=2, status="failed")
    aligned(bad, "gap-s0", steps=5, status="interrupted")
    aligned(good, "gap-s0", steps=4, status="failed")
    for store in (good, bad):
        store.close()
    files = [str(tmp_path / name) for name in ("good.sqlite", "bad.sqlite")]
    results: list[dict[str, list[str]]] = []
    for order in (files, files[::-1]):
        facts = merged(*order, "--into", str(tmp_path / f"{len(results)}.sqlite"))
        assert facts["conflicts"] == []
        results.append(contents(tmp_path / f"{len(results)}.sqlite"))
    assert results[0] == results[1]
    found = Store.reading(tmp_path / "1.sqlite")
    assert found.answers("m", ["q"])["q"].text == "a cat" and found.evaluations()[0].n_scored == 3
    reply = found.reply("j", "e", "p", 0, 0)
    assert reply is not None and reply.usage == {"reply": "5"}, "paid for"
    runs = {run.name: (run.status, len(found.train_log(run.name))) for run in found.alignments()}
    assert runs == {"dpo-s0": ("done", 3), "gap-s0": ("interrupted", 5)}


def test_replies_behind_equal_verdicts_are_kept_whichever_file_knows_them(tmp_path: Path) -> None:
    """Of three verdicts the first file has the replies of one, the second of two, and of one nobody has any."""
    files = [str(tmp_path / name) for name in ("one.sqlite", "two.sqlite")]
    known = {"0": '[{"attempt": 0, "prompt": "p", "reply": "r"}]', "1": "[]"}
    for file, samples in zip(files, (["0"], ["0", "1"]), strict=True):
        store = Store(file)
        add(store, "base", answers([1, 0, 2]), key="k")
        store.write("UPDATE verdict SET replies = NULL", [()])
        store.write("UPDATE verdict SET replies = ? WHERE sample_id = ?", [(known[id_], id_) for id_ in samples])
        store.close()
    one, two = (contents(Path(file))["verdict"] for file in files)
    assert one != two
    for order in (files, files[::-1]):
        facts = merged(*order, "--into", str(tmp_path / "all.sqlite"))
        assert facts["conflicts"] == [] and facts["there"]["evaluation"] == 1
        assert facts["replaced"] == ({"verdict": 1} if order == files else {})
        assert contents(tmp_path / "all.sqlite")["verdict"] == two
        (tmp_path / "all.sqlite").unlink()


def test_what_differs_under_one_key_is_refused_by_name_and_changes_nothing(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one.sqlite"), Store(tmp_path / "other.sqlite")
    for store, word in ((one, "cat"), (other, "dog")):
        store.save_answers("m", [("q", Answer(f"a {word}")), (word, Answer("new"))])
        store.save_reply("j", "e", "q", 0, 0, Reply(f"rating {word}", "j", None, {}))
        aligned(store, "dpo-s0", key=word)
        add(store, "dpo-s0", answers([word == "cat", 1]), model_key=word)
        aligned(store, "child-s0", lineage={"parent": "dpo-s0"})
        add(store, "child-s0", answers([word == "cat", 0]), model_key=word)
        store.close()
    before = contents(tmp_path / "one.sqlite")
    words = [str(tmp_path / "one.sqlite"), str(tmp_path / "other.sqlite")]
    said = refused(*words)
    assert "nothing was merged: 3 rows differ under one key" in said
    assert "generation of model_key m, question_key q: 'a cat' and 'a dog'" in said
    assert "'rating cat' and 'rating dog'" in said and "alignment dpo-s0" in said
    refused(*words, "--into", str(tmp_path / "new.sqlite"))
    assert contents(tmp_path / "one.sqlite") == before and not (tmp_path / "new.sqlite").exists()
    facts = merged(*words, "--keep-first")
    assert len(facts["conflicts"]) == 3 and facts["left_out"] == {"alignment": 2, "evaluation": 2}
    found = Store.reading(words[0])
    assert found.answers("m", ["q", "cat", "dog"])["q"].text == "a cat" and len(found.answers("m", ["cat", "dog"])) == 2
    assert {e.model_key for e in found.evaluations()} == {"cat"}, "no figure of the other run, nor of its child"


def test_curves_and_verdicts_that_differ_under_one_key_are_conflicts(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one.sqlite"), Store(tmp_path / "other.sqlite")
    for store, count in ((one, 2), (other, 3)):
        aligned(store, "dpo-s0", steps=count)
        add(store, "base", answers([count, 0]), key="k")
        store.close()
    said = refused(str(one.path), str(other.path))
    assert "2 rows differ under one key" in said and "one curve of training" in said and "evaluation of base" in said


def test_a_run_of_one_name_with_another_model_does_not_take_its_place(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one.sqlite"), Store(tmp_path / "other.sqlite")
    add(one, "llava", answers([1, 0]), model="hf:a", alignment=None)
    add(other, "llava", answers([0, 0]), model="hf:b", model_key="b", alignment=None)
    one.close()
    other.close()
    said = refused(str(one.path), str(other.path))
    assert "runs of one name with different models" in said and "llava on amber (model hf:a)" in said
    refused(str(one.path), str(other.path), "--keep-first")


def test_a_copy_with_later_runs_merges_into_the_older_one_and_back(tmp_path: Path) -> None:
    old = Store(tmp_path / "old.sqlite")
    add(old, "llava", answers([1, 0]), alignment=None)
    old.close()
    shutil.copy(old.path, tmp_path / "new.sqlite")
    new = Store(tmp_path / "new.sqlite")
    add(new, "llava", answers([0, 0]), model_key="trained further", alignment=None)
    new.close()
    shutil.copy(old.path, tmp_path / "third.sqlite")
    assert merged(str(old.path), str(new.path))["added"] == {"evaluation": 1, "verdict": 2}
    assert merged(str(new.path), str(tmp_path / "third.sqlite"))["added"] == {}
    for path in (old.path, new.path):
        assert [e.model_key for e in Store.reading(path).evaluations()] == ["llava", "trained further"]


def test_figures_of_a_run_from_before_it_was_aligned_anew_do_not_come_back(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one.sqlite"), Store(tmp_path / "other.sqlite")
    aligned(one, "dpo-s0", key="now")
    aligned(other, "dpo-s0", key="before")
    add(other, "dpo-s0", answers([3, 3]), model_key="before")
    aligned(other, "dpo-s0", key="now")
    add(other, "dpo-s0", answers([1, 1]), model_key="now", benchmark="pope")
    one.close()
    other.close()
    assert merged(str(one.path), str(other.path))["left_out"] == {"evaluation": 1}
    assert [e.model_key for e in Store.reading(one.path).evaluations()] == ["now"]
    merged(str(other.path), "--into", str(tmp_path / "three.sqlite"))
    whole = Store.reading(tmp_path / "three.sqlite")
    number = whole.alignment("dpo-s0").number
    assert [(e.model_key, e.id < number) for e in whole.evaluations()] == [("before", True), ("now", False)]


def test_files_beside_a_results_file_are_found_from_the_merged_one(tmp_path: Path) -> None:
    (tmp_path / "host/images").mkdir(parents=True)
    (tmp_path / "host/images/a.png").write_bytes(picture(1))
    store = Store(tmp_path / "host/r.sqlite")
    store.save_samples("d", [Sample("s", "what ?", Image(path=tmp_path / "host/images/a.png"))])
    add(store, "base", answers([1]), data_dir=str(tmp_path / "host/images"))
    store.close()
    merged(str(store.path), "--into", str(tmp_path / "all/r.sqlite"))
    found = Store.reading(tmp_path / "all/r.sqlite")
    assert found.samples("d")[0]["image"] == str(tmp_path / "host/images/a.png")
    assert found.evaluations()[0].data_dir == str(tmp_path / "host/images")


def test_an_older_file_is_migrated_and_a_foreign_damaged_or_missing_one_refused(tmp_path: Path) -> None:
    facts = merged(str(old_file(tmp_path / "old.sqlite", 1)), "--into", str(tmp_path / "new.sqlite"))
    assert facts["added"]["verdict"] == 1 and facts["added"]["gap"] == 1
    (tmp_path / "text.sqlite").write_text("no database, but long enough to have a header" * 9)
    assert "no SQLite file" in refused(str(tmp_path / "new.sqlite"), str(tmp_path / "text.sqlite"))
    assert "no such results file" in refused(str(tmp_path / "new.sqlite"), str(tmp_path / "x.sqlite"), code=2)
    assert "no such results file" in refused(str(tmp_path / "x.sqlite"), str(tmp_path / "new.sqlite"), code=2)
    for name, content, fault in (("notes.txt", "a note", "it is no SQLite file"), ("void.sqlite", "", "it is empty")):
        (tmp_path / name).write_text(content)
        said = refused(str(tmp_path / "new.sqlite"), str(tmp_path / name))
        assert fault in said and name in said and "--db" not in said
    assert "with --into, not --db" in refused("a", "b", "--db", "c", code=2)
    other = CliRunner().invoke(cli, ["db", "check", "--keep-first", "--db", str(tmp_path / "new.sqlite")])
    assert other.exit_code == 2 and "are of `db merge`" in other.output
    for words in ([], ["new.sqlite"], ["new.sqlite", "new.sqlite"], ["old.sqlite", "old.sqlite", "--into", "c.sqlite"]):
        given = [word if word.startswith("--") else str(tmp_path / word) for word in words]
        assert "db merge" in refused(*given, code=2)
    damaged = filled(tmp_path / "damaged.sqlite")
    spoil(damaged, pages_of(damaged, "generation")[4:5])
    assert "db rescue FILE" in refused(str(tmp_path / "new.sqlite"), str(damaged))
    assert not (tmp_path / "c.sqlite").exists() and not (tmp_path / "x.sqlite").exists()


def test_a_place_where_no_file_can_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    one = tmp_path / "one.sqlite"
    Store(one).close()
    (tmp_path / "file").touch()
    said = refused(str(one), "--into", str(tmp_path / "file" / "all.sqlite"), code=2)
    assert f"{tmp_path}/file is a file, and a directory is needed there" in said


def test_of_two_probes_of_one_model_the_complete_one_stands_and_two_are_no_conflict(tmp_path: Path) -> None:
    """Two complete ones differ in the seconds that they took."""
    stores = [store_at(tmp_path / name) for name in ("a.sqlite", "b.sqlite")]
    for store, seconds in zip(stores, (1.0, 2.0), strict=True):
        store.save_probe("both", {"seconds": seconds}, complete=True)
        store.save_probe("one", {"seconds": seconds}, complete=seconds == 2.0)
        store.close()
    merged(str(tmp_path / "a.sqlite"), str(tmp_path / "b.sqlite"))
    store = Store(tmp_path / "a.sqlite")
    assert store.probe("both") == ({"seconds": 1.0}, True) and store.probe("one") == ({"seconds": 2.0}, True)
