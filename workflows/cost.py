"""`--dry-run` of `bench` and `score`: generations, judge calls, tokens and money, before any is spent."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.chat.endpoint import is_loopback, parse_endpoint
from harness.chat.prices import CHARACTERS_PER_TOKEN, IMAGE_TOKENS, Price, cost, estimate_tokens, load_prices, price_of
from harness.evaluation.absent import absent_note
from harness.evaluation.generate import AnswerKeys
from harness.evaluation.judge import question_key
from harness.evaluation.resolve import data_dir, load, make_benchmark
from harness.evaluation.spoken import LEAVE_OUT, ScoringSettings, scored_answers
from harness.judges.openai import chat_request
from harness.models.responses import read_responses
from harness.protocols.benchmark import Benchmark, JudgePrompt, Sample
from harness.protocols.judge import Judge
from harness.store import Store
from leaderboards.bracket import FIRST
from workflows.benchmark_spec import BenchmarkSpec
from workflows.curve_points import biased, may_add
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.lineage import model_folder

ANSWER_TOKENS = 200
"""Assumed length of an answer that is not known yet, where the protocol allows as many; a caption has some 150."""
WORD = "answer "


@dataclass(frozen=True)
class BenchCost:
    """One benchmark for one model; ``generations`` counts equal questions once.

    Re-asks of unreadable replies are not in it; the longest reply allowed is assumed.

    ``at_most``: of so many points of a coverage curve, which are added only as far as they are needed (0: it is none).
    ``usd`` is the judge's and the model's money together, None where a price is unknown; ``run`` what the model's row
    is called.
    """

    benchmark: str
    model: str
    judge: str | None
    generations: int
    generation_tokens: int
    judge_calls: int
    judge_prompt_tokens: int
    judge_completion_tokens: int
    stored_replies: int
    usd: float | None
    eos_bias: float = 0.0
    stored_answers: int = 0
    run: str = ""
    at_most: int = 0


def bench_cost(
    store: Store,
    benchmark: Benchmark,
    samples: Sequence[Sample],
    model: str,
    judges: Judges,
    folder: Path,
    *,
    answers: Mapping[str, str | None] | None = None,
    generates: bool | None = None,
) -> BenchCost:
    """What ``benchmark`` asks of ``model`` and of the judge.

    Args:
        answers: the answers that exist already, as they are scored (None: a failed sample): for these the judge's
            prompts are counted as they are, and replies in the store cost nothing.
        generates: whether the model will be asked for the others, of which ``ANSWER_TOKENS`` are assumed; None: where
            no ``answers`` are given.
    """
    generates = answers is None if generates is None else generates
    known_answers: Mapping[str, str | None] = answers or {}
    unanswered = [sample for sample in samples if sample.id not in known_answers] if generates else []
    judge = judges.estimated(benchmark, folder)
    prices = load_prices(Path(str(judges.settings["prices"])) if judges.settings.get("prices") else None)
    tokens = {"prompt_tokens": 0, "completion_tokens": 0}
    known = _stored(store, judge)
    of_known = questions(benchmark, [s for s in samples if s.id in known_answers], known_answers)
    keyed = list({(question_key(question, "", ""), run, 0): question for run, question in of_known}.items())
    keyed += [((question_key(q, "", ""), run, 0), q) for run, q in questions(benchmark, unanswered, None)]
    missing = [question for key, question in keyed if key not in known]
    for question in missing:
        for name, count in estimate_tokens(chat_request(question)).items():
            tokens[name] += count
    asked = distinct(unanswered)
    making = _generation(benchmark, asked)
    money = [
        _judge_money(judge, {**tokens, "calls": len(missing)}) if missing else 0.0,
        _model_money(model, making, prices),
    ]
    return BenchCost(
        benchmark.name,
        model,
        judges.named(benchmark, folder) if benchmark.needs_judge else None,
        len(asked),
        sum(making.values()),
        len(missing),
        tokens["prompt_tokens"],
        tokens["completion_tokens"],
        len(keyed) - len(missing),
        None if None in money else sum(usd for usd in money if usd is not None),
        benchmark.decoding.eos_bias,
        len(known_answers) if generates else 0,
    )


def spec_cost(
    store: Store,
    item: BenchmarkSpec,
    root: Path,
    eval_model: EvalModel,
    judges: Judges,
    *,
    loading: Mapping[str, Any] | None = None,
    scoring: ScoringSettings = LEAVE_OUT,
    fresh: bool = False,
) -> BenchCost:
    """What a benchmark will ask of one model and of the judge, counted from its data; loads no model.

    Answers that are stored are not counted again, unless ``fresh``; ``loading`` are the model's settings, ``scoring``
    says what of an answer is judged.
    """
    benchmark, folder = make_benchmark(item.name, item.settings), data_dir(item.name, root)
    samples = load(benchmark, folder, item.limit).samples
    if eval_model.spec.startswith("replay:"):
        read = read_responses(Path(eval_model.spec.partition(":")[2])).answers
        found = bench_cost(store, benchmark, samples, eval_model.spec, judges, folder, answers=read)
        return replace(found, run=eval_model.run)
    key = None if fresh else known_key(store, eval_model, loading or {})
    stored = AnswerKeys(samples, benchmark.decoding).stored_under(store, key) if key else {}
    if lacking := absent_note(item.name, samples):
        warnings.warn(f"{lacking}. The estimate counts them as if they had.", stacklevel=2)
    answers = {id_: answer.text for id_, answer in scored_answers(stored, scoring).answers.items()}
    found = bench_cost(store, benchmark, samples, eval_model.spec, judges, folder, answers=answers, generates=True)
    return replace(found, run=eval_model.run)


def added_cost(
    store: Store,
    item: BenchmarkSpec,
    root: Path,
    eval_model: EvalModel,
    judges: Judges,
    *,
    loading: Mapping[str, Any] | None = None,
    scoring: ScoringSettings = LEAVE_OUT,
) -> BenchCost | None:
    """What the points cost at most that `--eos-bias auto` may add to a model's curve; None where it adds none.

    Which points these are is not known: none of their answers counts as stored.
    """
    points = may_add(store, eval_model, item)
    if not points:
        return None
    point = replace(item, settings=biased(item.settings, FIRST), bracket=False)
    one = spec_cost(store, point, root, eval_model, judges, loading=loading, scoring=scoring, fresh=True)
    counts = {f.name: points * getattr(one, f.name) for f in fields(one) if isinstance(getattr(one, f.name), int)}
    usd = None if one.usd is None else points * one.usd
    return replace(one, **{**counts, "at_most": points}, usd=usd, eos_bias=0.0)


def known_key(store: Store, eval_model: EvalModel, loading: Mapping[str, Any]) -> str | None:
    """The key that the model's answers are stored under, as far as the store knows; None for one that was never asked
    with these settings, or whose files are newer.
    """
    kept = store.model_key(eval_model.spec, loading)
    if kept is None:  # an older results file knows those that were evaluated
        same = (e for e in reversed(store.evaluations()) if e.model == eval_model.spec)
        kept = next(((e.model_key, e.created) for e in same if e.info.get("loading", {}) == dict(loading)), None)
    if kept is None:
        return None
    key, created = kept
    since = datetime.fromisoformat(created).timestamp()
    return None if any(file.stat().st_mtime > since + 1 for file in _files(store, eval_model)) else key


def _files(store: Store, eval_model: EvalModel) -> Iterator[Path]:
    """The files of a model on this machine."""
    kind, _, target = eval_model.spec.partition(":")
    of_run = model_folder(store.alignment(target)) if kind == "run" else None
    folders = [of_run] if of_run else [Path(name) for name in target.split("+")] if kind == "hf" else []
    return (file for folder in folders if folder.is_dir() for file in folder.iterdir())


def questions(
    benchmark: Benchmark, samples: Sequence[Sample], answers: Mapping[str, str | None] | None
) -> Iterator[tuple[int, JudgePrompt]]:
    """(judge run, its first question about an answer) for every answer; a stand-in where there is no answer."""
    if not benchmark.needs_judge:
        return
    stand_in = WORD * round(_answer_tokens(benchmark) * CHARACTERS_PER_TOKEN / len(WORD))
    for run in range(benchmark.judge_runs):
        for sample in samples:
            answer = stand_in if answers is None else answers.get(sample.id)
            question = benchmark.judge_prompt(sample, answer, 0) if answer is not None else None
            if question is not None:
                yield run, question


def _stored(store: Store, judge: Judge | None) -> set[tuple[str, int, int]]:
    """The (question key, run, attempt) of the replies that ``judge`` gave already and need not give again."""
    if judge is None or judge.keyed_by_sample:
        return set()
    replies = store.replies(judge.name, judge.endpoint)
    return {key for key, reply in replies.items() if judge.recall(reply) is not None}


def distinct(samples: Sequence[Sample]) -> list[Sample]:
    """One of the samples of each question: equal ones are asked once. Images are distinguished by name, not opened."""
    return list({(sample.prompt, sample.image): sample for sample in samples}.values())


def _answer_tokens(benchmark: Benchmark) -> int:
    return max(8, min(ANSWER_TOKENS, benchmark.decoding.max_new_tokens))


def _generation(benchmark: Benchmark, samples: Sequence[Sample]) -> dict[str, int]:
    """Tokens a model reads and writes; an image counts as gpt-4o counts it."""
    prompt = sum(16 + round(len(s.prompt) / CHARACTERS_PER_TOKEN) + (IMAGE_TOKENS if s.image else 0) for s in samples)
    return {"prompt_tokens": prompt, "completion_tokens": len(samples) * _answer_tokens(benchmark)}


def _judge_money(judge: Judge | None, tokens: Mapping[str, int]) -> float | None:
    """USD of ``tokens`` at ``judge``; None where there is none yet, or its price is unknown."""
    return None if judge is None else judge.cost(tokens)


def _model_money(spec: str, tokens: Mapping[str, int], prices: Mapping[str, Price]) -> float | None:
    """USD of ``tokens`` at the model ``spec``; what runs on this machine is free."""
    kind, _, argument = spec.partition(":")
    if kind != "openai":
        return 0.0
    name, url = parse_endpoint(argument, "--model")
    if price_of(name, prices) is None:
        return 0.0 if is_loopback(url) else None
    return cost(tokens, name, prices)


def cost_report(costs: Sequence[BenchCost]) -> dict[str, Any]:
    """What `--dry-run --json` prints: a row for each model and benchmark, and their sums; ``at_most`` are those of the
    points that may be added to curves, which are in neither.
    """
    sure, added = ([row for row in costs if bool(row.at_most) == of_added] for of_added in (False, True))
    report = {"models": list(dict.fromkeys(row.model for row in costs)), "benchmarks": _rows(sure)}
    return {**report, "total": _sums(sure), **({"at_most": _sums(added)} if added else {})}


def _rows(costs: Sequence[BenchCost]) -> list[dict[str, Any]]:
    return [{name: value for name, value in asdict(row).items() if name != "at_most"} for row in costs]


def _sums(costs: Sequence[BenchCost]) -> dict[str, Any]:
    rows = _rows(costs)
    counted = [name for name, value in rows[0].items() if isinstance(value, int)] if rows else []
    money = [row.usd for row in costs]
    usd = None if None in money else sum(usd for usd in money if usd is not None)
    return {**{name: sum(row[name] for row in rows) for name in counted}, "usd": usd}
