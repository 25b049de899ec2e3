"""The Python library (`import dama`) and the road that the command line takes as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.protocols.progress import Progress, Watcher
from workflows.bars import shown
from workflows.requests import DB, BenchOptions, Models, Names, ScoreOptions, several, text_of
from workflows.results import AlignResult, BenchResult, Comparison, Evaluation, Leaderboard

if TYPE_CHECKING:
    from harness.cluster.connection import ClusterOptions
    from harness.store import AlignmentRecord, Store
    from workflows.align_spec import AlignSpec
    from workflows.curve_points import Bias


def align(
    method: str | None = None,
    *,
    model: str | Path | AlignResult | None = None,
    data: str | Path | None = None,
    recipe: str | Path | None = None,
    name: str | None = None,
    seed: int | None = None,
    limit: int | None = None,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
    probe: bool = True,
    cluster: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    db: str | Path = DB,
    progress: bool | Watcher = True,
) -> AlignResult:
    """Align a model on preference pairs; a run that finished before with the same settings, on pairs that have
    not changed since, is returned from the store (``done_before``).

    Args:
        method: an aligner (`list aligners`); None: the recipe's, else "dama".
        model: directory or hub id, BASE+ADAPTER, an adapter's directory, "run:NAME" or what ``align`` returned; with
            ``data`` left out too, the embedded world's, built if absent (minutes).
        data: preference pairs: a file, directory or hub id (docs/data.md), or several with commas between.
        recipe: YAML of settings, or the name of one that comes with the harness.
        name: of the run; None: METHOD-sSEED, with other settings than a stored run of that name METHOD-sSEED-KEY.
        seed: of data order and sampling.
        limit: only so many pairs.
        device: "auto" (a GPU if there is one; None too), "cpu" or "cuda".
        settings: what `--set` takes, for example {"lr": 5e-7, "objective.beta": 0.2}.
        fresh: start over, where else an interrupted run is resumed.
        probe: look first whether the model is asked what it is trained on; what differs is a UsageError.
        cluster: "local", "auto", "HOST:PORT" or "ray://HOST:PORT": the workers of a Ray cluster train together.
        workers: of the cluster (None: as many as there is room for); ``gpus_per_worker``: a share or a number of GPUs.
        db: the results file, made if absent.
        progress: bars (True), none (False), or called as ``progress(step, done, total)``.

    Raises HarnessError; a wrong name, setting or file is its subclass UsageError.
    """
    from harness.cluster.connection import ClusterOptions
    from harness.store import Store
    from workflows.align import done_before

    where = ClusterOptions(cluster=cluster, workers=workers, gpus_per_worker=gpus_per_worker)
    start = model.model if isinstance(model, AlignResult) else model
    options = {
        "method": method, "model": text_of(start), "data": text_of(data), "name": name, "seed": seed, "limit": limit,
        "device": device,
    }  # fmt: skip
    store = Store(db)
    with shown(progress) as reported:
        spec = _resolve(store, recipe, settings or {}, options, fresh=fresh, progress=reported)
        before = None if fresh else done_before(store, spec, reported)
        record = before or _at_work(store, spec, where, fresh=fresh, probe=probe, progress=reported)
    return AlignResult.of(record, store.train_log(record.name), done_before=before is not None)


def _at_work(
    store: Store, spec: AlignSpec, where: ClusterOptions, *, fresh: bool, probe: bool, progress: Progress
) -> AlignmentRecord:
    from harness.cluster.connection import connected
    from workflows.activity import working
    from workflows.align import align as train

    with working(store, "align", [spec.name]) as work:
        watched = work.watch(progress)
        with connected(where, spec.train.device, watched) as cluster:
            record = train(store, spec, fresh=fresh, probe=probe, cluster=cluster, progress=watched)
        work.finished(spec.name)
    return record


def estimate_align(
    *,
    recipe: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    fresh: bool = False,
    db: str | Path = DB,
    progress: bool | Watcher = True,
    **options: Any,
) -> dict[str, Any]:
    """What ``align`` with the same arguments would do and cost: every setting, FLOPs, memory; loads no weights and
    builds and keeps nothing, but for images that are downloaded because the settings say so."""
    from harness.store import Store
    from harness.util.paths import nothing_kept
    from workflows.align import dry_run

    store = Store.reading(db) if Path(db).exists() else None  # a dry run makes no results file
    with nothing_kept(), shown(progress) as reported:
        spec = _resolve(store, recipe, settings or {}, options, fresh=fresh, progress=reported, built=False)
        return dry_run(spec, reported)


def _resolve(
    store: Store | None,
    recipe: str | Path | None,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    fresh: bool,
    progress: Progress,
    built: bool = True,
) -> AlignSpec:
    """Every setting of an alignment, under a name that costs the store no other run; ``built`` as of
    ``resolve_alignment``."""
    from recipes import find_recipe
    from workflows.align import resolve_alignment
    from workflows.lineage import lookup_run
    from workflows.settings import gather
    from workflows.stored_runs import with_unique_name

    gathered = gather(find_recipe(recipe) if recipe else None, settings, options)
    runs = None if store is None else lookup_run(store)
    spec = resolve_alignment(gathered, progress, runs, built=built)
    if store is None:
        return spec
    return with_unique_name(store, spec, named="name" in gathered, fresh=fresh, progress=progress)


def bench(
    suite: str | Path | None = None,
    *,
    benchmark: str | Sequence[str] | None = None,
    model: Models = None,
    name: str | None = None,
    data_dir: str | Path | None = None,
    judge: str | None = None,
    budget: float | None = None,
    prices: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    eos_bias: Bias | Sequence[Bias] = (),
    limit: int | None = None,
    device: str = "auto",
    fresh: bool = False,
    probe: bool = True,
    share: bool = False,
    cluster: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    db: str | Path = DB,
    progress: bool | Watcher = True,
) -> BenchResult:
    """Answer benchmarks with models and score the answers; what is stored already is neither answered nor judged again.

    Args:
        suite: "hallucination" (the default), "general", "all", or a YAML file.
        benchmark: one or several benchmarks in place of a suite.
        model: what align returned, a directory (Path), or "hf:DIR_OR_ID", "run:NAME", "openai:NAME@URL", "replay:FILE";
            or several; None: base and every aligned run of the store that is not hidden.
        name: what the model's row is called, of one model (None: the last part of its path or id).
        data_dir: holds a folder for each benchmark; None: the embedded world, built if absent (minutes).
        judge: "openai:NAME[@URL]", "replay:FILE.jsonl", "rule"; needed where a benchmark has one and data are real.
        budget: USD that the judge may cost at most; ``prices``: YAML of your prices.
        settings: what `--set` takes: {"similarity": "exact", "judge.concurrency": 8, "model.dtype": "bfloat16"}.
        eos_bias: Object HalBench, or without it another benchmark of coverage, once more with each of these on the
            end-of-sequence logit; "auto" adds as many as it takes to compare CHAIRi at the base's coverage (at most 6).
        limit: only so many samples of each benchmark, drawn from all its parts.
        fresh: answer and judge anew.
        probe: look before a model's first answer whether it is asked as it was trained and sees its images; what
            differs is a UsageError.
        share: share the work with other processes on the same results file.
        cluster: "local", "auto", "HOST:PORT" or "ray://HOST:PORT": workers of a Ray cluster hold the model.
        workers: of the cluster (None: as many as there is room for); ``gpus_per_worker``: a share or a number of GPUs.
        db, progress: as of ``align``.

    Failed and missing answers are counted in the result (``complete``), never scored. Raises HarnessError.
    """
    options = BenchOptions(
        suite=suite, benchmark=benchmark, model=model, name=name, data_dir=data_dir, judge=judge, budget=budget,
        prices=prices, settings=settings or {}, eos_bias=eos_bias, limit=limit, device=device, fresh=fresh,
        probe=probe, cluster=cluster, workers=workers, gpus_per_worker=gpus_per_worker, db=db,
    )  # fmt: skip
    with shown(progress) as reported:
        return options.resolve(reported).run(share=share, progress=reported)


def score(
    benchmark: str,
    responses: str | Path,
    data_dir: str | Path,
    *,
    name: str | None = None,
    judge: str | None = None,
    replies: str | Path | None = None,
    budget: float | None = None,
    prices: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    gpus_per_worker: float | None = None,
    db: str | Path = DB,
    progress: bool | Watcher = True,
) -> Evaluation:
    """Score answers made elsewhere, with a live or a recorded judge.

    Args:
        responses: JSONL of {"id", "response"}.
        data_dir: the benchmark's own folder, or one that holds it.
        name: what the row is called (None: as the file).
        replies: JSONL of recorded judge replies {"id", "reply", "run"}, in place of ``judge``.
        judge, budget, prices, settings, db, progress: as of ``bench``; so are ``cluster``, ``workers`` and
            ``gpus_per_worker``, on which a judge with a model of its own is asked.

    The ids without an answer are ``missing`` in the result. Raises HarnessError.
    """
    options = ScoreOptions(
        benchmark=benchmark, responses=responses, data_dir=data_dir, name=name, judge=judge, replies=replies,
        budget=budget, prices=prices, settings=settings or {}, cluster=cluster, workers=workers,
        gpus_per_worker=gpus_per_worker, db=db,
    )  # fmt: skip
    with shown(progress) as reported:
        return options.run(reported)


def compare(a: str | AlignResult, b: str | AlignResult, *, db: str | Path = DB) -> Comparison:
    """Paired differences A - B, on the samples both answered, with intervals and p-values.

    A and B are runs (or what ``align`` returned), "base", or METHOD or METHOD@PANEL for all its seeds.
    """
    from leaderboards.comparison import load_comparison
    from leaderboards.snapshot import Snapshot

    one, other = (run.name if isinstance(run, AlignResult) else run for run in (a, b))
    snapshot = Snapshot.reading(db, one, other)
    return Comparison(one, other, tuple(load_comparison(snapshot, one, other)), tuple(snapshot.left_out.values()))


def leaderboard(
    *,
    suite: str | None = None,
    run: Names = (),
    benchmark: Names = (),
    judge: Names = (),
    complete: bool = False,
    against: str | None = None,
    differences: bool = False,
    published: bool | Literal["equal", "all"] = False,
    width: int = 100,
    db: str | Path = DB,
) -> Leaderboard:
    """All runs of a results file, with intervals and the paired differences to DPO and base.

    Args:
        suite: only its benchmarks.
        run: only these runs or methods, beside the base model; ``benchmark``, ``judge``: only these. One or several.
        complete: only evaluations of which every sample was scored.
        against: the row or run that all others are compared with, instead of DPO and base.
        differences: also in the terminal and LaTeX (the other formats always have them).
        published: the papers' figures too, where a format has a block for them, of benchmarks on which the evaluator of
            a row is an equal one (True); "all": of all, said not to be comparable.
        width: columns of the plain-text format.
    """
    from harness.store import Store
    from leaderboards.selection import Selection
    from workflows.report import leaderboard_view

    store = Store.reading(db)
    chosen = Selection(runs=several(run), benchmarks=several(benchmark), judges=several(judge), complete=complete)
    view = leaderboard_view(
        store, suite=suite, selection=chosen, against=against, differences=differences, published=published, width=width
    )
    return Leaderboard(view)
