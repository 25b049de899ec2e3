"""The commands that are disturbed, each on something small."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from harness.store.migrations import MIGRATIONS, migrate
from tests.faults import fetching
from tests.faults.lane import CONCURRENCY, DB, Lane, Scenario

SAMPLES = 12
FIELDS = {"question_topic": "x", "image_src": "", "image_content": ["Dog"], "gt_answer": "A dog.", "model_answer": ""}
KINDS = ("attribute", "relation")
INCOMPLETE = frozenset({0, 3})
REFUSED = frozenset({2})
"""What is there already, or gone already."""
Words = Sequence[str]


def settings(**values: object) -> list[str]:
    """``--set`` options."""
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def done(lane: Lane, words: Words, codes: frozenset[int] = frozenset({0})) -> None:
    """Run a command that must work."""
    code, run = lane.run(words)
    if code not in codes:
        raise RuntimeError(f"{' '.join(words)} does not work undisturbed ({code}): {run.stderr[-2000:]}")


def mmhal_data(lane: Lane) -> None:
    """MMHal's questions and answers to them."""
    rows = [
        {**FIELDS, "question_type": KINDS[i % 2], "image_id": str(i), "question": f"Question {i}?"}
        for i in range(SAMPLES)
    ]
    (lane.folder / "mmhal-bench_answer_template.json").write_text(json.dumps(rows))
    for name in ("answers", "others"):
        lines = [json.dumps({"id": i, "response": f"It is {name} {i}."}) + "\n" for i in range(SAMPLES)]
        (lane.folder / f"{name}.jsonl").write_text("".join(lines))


def score(lane: Lane, answers: str = "answers") -> Words:
    """Score ``answers`` with the lane's judge."""
    return [
        *("score", "--benchmark", "mmhal", "--responses", f"{answers}.jsonl", "--data-dir", ".", "--db", DB, "--json"),
        *("--judge", f"openai:judge@{lane.server.url}"),
        *settings(**{"judge.concurrency": CONCURRENCY, "judge.first_wait": 0.01, "judge.tries": 3}),
    ]


def scored(lane: Lane) -> None:
    """A results file with one evaluation."""
    mmhal_data(lane)
    done(lane, score(lane, "others"), INCOMPLETE)


def of_version(number: int, lane: Lane) -> None:
    """A results file of the schema's version ``number``, with a reply and an answer."""
    with closing(sqlite3.connect(lane.folder / DB)) as db:
        migrate(db, number)
        reply = ("j", "e", "q", 0, 0, "Rating: 3", "judge", None, "{}", "2025-01-01T00:00:00.000+00:00")
        db.execute("INSERT INTO reply VALUES (?,?,?,?,?,?,?,?,?,?)", reply)
        answer = ("m", "q", "A dog.", None, 3, 0.1, "2025-01-01T00:00:00.000+00:00")
        columns = "model_key, question_key, text, error, tokens, seconds, created"
        db.execute(f"INSERT INTO generation ({columns}) VALUES (?,?,?,?,?,?,?)", answer)
        db.commit()


def align(lane: Lane, method: str = "dpo", **more: object) -> Words:
    """Train the tiny model for four steps, with a checkpoint after the second."""
    given = {"epochs": 1, "batch_size": 2, "micro_batch": 2, "checkpoint_every": 2, "probe_every": 2, "lr": 1e-3}
    files = ["--model", str(lane.shared / "model"), "--data", str(lane.shared / "pairs" / "train.jsonl")]
    return ["align", "--method", method, *files, "--db", DB, "--json", "--no-probe", *settings(**{**given, **more})]


def align_lora(lane: Lane) -> Words:
    """The same by LoRA, with a merged model."""
    return align(lane, lora_rank=2, merge="true")


def bench(lane: Lane, model: str = "") -> Words:
    """AMBER's four questions, answered by the tiny model."""
    asked = ["--benchmark", "amber", "--model", model or f"hf:{lane.shared / 'model'}", "--no-probe", "--json"]
    return ["bench", *asked, "--data-dir", str(lane.shared / "data"), "--db", DB]


def aligned(lane: Lane) -> None:
    """A results file with a finished alignment by LoRA."""
    done(lane, align_lora(lane))


def ablation(lane: Lane) -> None:
    """The recipe of an ablation of two methods."""
    recipe = {
        "methods": [{"method": "dpo"}, {"method": "simpo"}], "seeds": [0], "suite": None, "benchmarks": ["amber"],
        "data_dir": str(lane.shared / "data"), "workers": 1,
        "common": {"model": str(lane.shared / "model"), "data": str(lane.shared / "pairs" / "train.jsonl"),
                   "batch_size": 2, "micro_batch": 2, "checkpoint_every": 2, "lr": 1e-3},
    }  # fmt: skip
    (lane.folder / "recipe.yaml").write_text(json.dumps({k: v for k, v in recipe.items() if v is not None}))


def ablate(lane: Lane) -> Words:
    """Align and benchmark what ``ablation`` wrote down."""
    return ["ablate", "--recipe", "recipe.yaml", "--db", DB, "--out", "report", "--json"]


WORLD = {
    "sft_images": 24, "sft_epochs": 1, "clip_images": 24, "clip_epochs": 1, "pair_images": 8, "heldout_images": 4,
    "halbench_images": 4, "amber_images": 4, "amber_questioned": 2, "mmhal_questions": 4, "pope_images": 2,
    "mmvet_questions": 4, "llavabench_images": 2, "tuning_images": 4,
}  # fmt: skip
"""An embedded world of a few scenes."""


def demonstration(lane: Lane) -> None:
    """The recipe of a demonstration on a world of a few scenes."""
    recipe = {
        "world": WORLD, "panels": [{"name": "flipped", "set": {"label_noise": 0.3}}], "workers": 1,
        "methods": [{"method": "hardness"}], "seeds": [0], "benchmarks": ["object_halbench"],
        "common": {"epochs": 1, "batch_size": 4, "micro_batch": 4, "checkpoint_every": 1},
    }  # fmt: skip
    (lane.folder / "recipe.yaml").write_text(json.dumps(recipe))


def at_home(lane: Lane) -> None:
    """The address of the files that `fetch` asks for."""
    (lane.folder / fetching.HOME).write_text(lane.files.url)


def fixed(*words: str) -> Callable[[Lane], Words]:
    """A command that is the same in every lane."""
    return lambda lane: words


def imported(lane: Lane) -> Words:
    """A checkpoint of LLaVA's own repository, converted."""
    tower = str(lane.shared / "clip-vit-large-patch14-336")
    return ["import-model", str(lane.shared / "original"), "--vision-tower", tower, "--out", "converted", "--json"]


MODEL = ("home/aligned/*/model*/*.safetensors",)
OTHERS = ("--run", "others", "--format", "html", "--out")

SCENARIOS = {
    each.name: each
    for each in (
        Scenario("score on a new file", score, mmhal_data, codes=INCOMPLETE),
        Scenario("score", score, scored, codes=INCOMPLETE),
        Scenario("bench on a new file", bench, lambda lane: None, weight=2),
        Scenario("align", align, lambda lane: None, exact=MODEL, weight=4),
        Scenario("align with LoRA", align_lora, scored, exact=MODEL, weight=4),
        Scenario("ablate", ablate, ablation, exact=MODEL, weight=16, forks=True),
        Scenario("demo", fixed("demo", "--recipe", "recipe.yaml", "--db", DB, "--out", "report", "--json"),
                 demonstration, exact=(*MODEL, "home/tinyworld/*/*.safetensors"), weight=16, forks=True),
        Scenario("fetch", fixed("fetch", fetching.NAME, "--json"), at_home,
                 exact=tuple(f"home/**/{name}" for name in fetching.COMING)),
        Scenario("export-model --merge", fixed("export-model", "dpo-s0", "--merge", "--out", "merged", "--db", DB),
                 aligned, exact=("merged/*.safetensors", "merged/*.json"), repeated=REFUSED, weight=2),
        Scenario("export-model", fixed("export-model", "dpo-s0", "--out", "adapter", "--db", DB), aligned,
                 exact=("adapter/*.safetensors", "adapter/*.json"), repeated=REFUSED),
        Scenario("import-model", imported, lambda lane: None, exact=("converted/*",), repeated=REFUSED, weight=2),
        *(Scenario(f"db info of schema {n}", fixed("db", "info", "--db", DB), partial(of_version, n))
          for n in range(1, len(MIGRATIONS))),
        Scenario("db backup", fixed("db", "backup", "copy.sqlite", "--db", DB), scored, repeated=REFUSED),
        Scenario("db vacuum", fixed("db", "vacuum", "--db", DB), scored),
        Scenario("db hide", fixed("db", "hide", "others", "--db", DB), scored),
        Scenario("db rm", fixed("db", "rm", "others", "--yes", "--db", DB), scored, removes=True, repeated=REFUSED),
        Scenario("db check", fixed("db", "check", "--db", DB), scored),
        Scenario("leaderboard --out FILE", fixed("leaderboard", "--db", DB, *OTHERS, "page.html"), scored,
                 exact=("page.html",)),
        Scenario("leaderboard --out DIR", fixed("leaderboard", "--db", DB, *OTHERS, "page"), scored,
                 exact=("page/*", "page/samples/*")),
        Scenario("leaderboard --plots", fixed("leaderboard", "--db", DB, "--plots", "figures"), scored,
                 exact=("figures/*",), weight=3),
        Scenario("export", fixed("export", "--db", DB, "--out", "tables"), scored, exact=("tables/*",)),
        Scenario("export --format parquet", fixed("export", "--db", DB, "--out", "t", "--format", "parquet"), scored),
    )
}  # fmt: skip
