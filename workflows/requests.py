"""What `bench` and `score` are asked for, resolved to models, benchmarks and judge: to run, estimate or cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.protocols.progress import Progress
from harness.util.names import require_name, require_text
from harness.util.options import build, nested
from workflows.benchmark_spec import BenchmarkSpec
from workflows.results import AlignResult, BenchResult, Evaluation
from workflows.settings import check_settings, deal_benchmarks, take

if TYPE_CHECKING:
    from harness.cluster.connection import ClusterOptions
    from harness.evaluation.shard import Shard
    from harness.evaluation.spoken import ScoringSettings
    from harness.store import Store
    from workflows.cost import BenchCost
    from workflows.curve_points import Bias
    from workflows.eval_models import EvalModel
    from workflows.judging import Judges

DB = "results.sqlite"
Models = str | Path | AlignResult | Sequence[str | Path | AlignResult] | None
"""A model or several: specs, directories, or what ``align`` returned."""
Names = str | Sequence[str]
"""A name or several."""


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What `bench` is asked for; the same words as its options."""

    suite: str | Path | None = None
    benchmark: str | Sequence[str] | None = None
    model: Models = None
    name: str | None = None
    data_dir: str | Path | None = None
    judge: str | None = None
    budget: float | None = None
    prices: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    eos_bias: Bias | Sequence[Bias] = ()
    limit: int | None = None
    device: str = "auto"
    fresh: bool = False
    probe: bool = True
    cluster: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    db: str | Path = DB

    def __post_init__(self) -> None:
        cluster_of(self)
        if self.name is not None:
            require_name("--name", self.name)

    def estimates(self, progress: Progress) -> list[BenchCost]:
        """What these benchmarks would ask of models and judge; builds and keeps nothing, and makes no results file."""
        from harness.util.paths import nothing_kept

        with nothing_kept():
            return self.resolve(progress, built=False).estimates()

    def resolve(self, progress: Progress, *, built: bool = True, judged: bool = True) -> BenchJob:
        """The models and benchmarks that this means.

        With ``built``, and without a data directory, the embedded world is built if absent; a results file is made.
        With ``judged`` a judge that cannot be asked is a UsageError before that.
        """
        from harness.models.spec import model_settings, parse_spec
        from harness.store import Store
        from workflows.bench import check_decodings, of_world, resolve_benchmarks
        from workflows.embedded import SETTINGS, world_to_ask
        from workflows.eval_models import require_data, require_free, require_revision, resolve_models
        from workflows.judging import Judges
        from workflows.suites import members_of

        check_settings(self.settings)
        settings = nested(self.settings)
        judge, loading, scoring = take(settings, "judge"), take(settings, "model"), scoring_of(settings)
        judges = Judges.of(self.judge, judge, self.budget, text_of(self.prices))
        names = [self.benchmark] if isinstance(self.benchmark, str) else list(self.benchmark or ())
        # Models, settings and judge are checked before the embedded world is built, which takes minutes.
        defaults = None if self.data_dir else SETTINGS
        biases = [self.eos_bias] if isinstance(self.eos_bias, int | float | str) else self.eos_bias
        wanted = resolve_benchmarks(members_of(text_of(self.suite), names), settings, defaults, self.limit, biases)
        specs = _models(self.model)
        for spec in specs:
            model_settings(parse_spec(spec), loading)
        check_decodings(specs, wanted)
        if built and judged:
            judges.check(wanted, Path(self.data_dir) if self.data_dir else None)
        store = Store(self.db) if built else Store.planning(self.db)
        if self.name is not None:
            require_free(store, self.name, specs)
        if self.data_dir is None:
            require_data(store, specs)
        root, base = (Path(self.data_dir), None) if self.data_dir else world_to_ask(progress, built=built)
        models = resolve_models(store, specs, base, name=self.name, of_world=of_world(root, wanted))
        if not specs:
            require_revision(store, models, str(loading.get("revision") or ""))
        how = {"device": self.device, "loading": loading, "probe": self.probe}
        return BenchJob(store, models, wanted, root, judges, how, self.fresh, scoring, cluster_of(self))


@dataclass(frozen=True)
class BenchJob:
    """Models and benchmarks, resolved; how a model is loaded, and whether it is probed, stands in ``loading``, and on
    which ``cluster``, if on one."""

    store: Store
    models: Sequence[EvalModel]
    benchmarks: Sequence[BenchmarkSpec]
    root: Path
    judges: Judges
    loading: Mapping[str, Any]
    fresh: bool
    scoring: ScoringSettings
    cluster: ClusterOptions

    def run(self, *, share: bool, progress: Progress) -> BenchResult:
        """Answer, judge and store; together with other processes under torchrun, or with ``share``."""
        from harness.cluster.connection import connected
        from workflows.activity import working
        from workflows.bench import bench_all
        from workflows.interruption import kept_answers

        items = [
            _item(model.run, each.name, nested(each.settings).get("decoding", {}))
            for model in self.models
            for each in self.benchmarks
        ]
        records = []
        if share and self.cluster.cluster is not None:
            raise UsageError("--share and --cluster: a cluster shares the work itself; leave one of them out.")
        with (
            working(self.store, "bench", items) as work,
            kept_answers(self.store, work.watch(progress)) as watched,
            connected(self.cluster, self.loading["device"], watched) as cluster,
        ):
            self.judges.cluster, self.judges.progress = cluster, watched
            for record in bench_all(
                self.store, self.models, self.benchmarks, self.root, self.judges,
                share=share, fresh=self.fresh, scoring=self.scoring, cluster=cluster, progress=watched, **self.loading,
            ):  # fmt: skip
                records.append(record)
                work.finished(_item(record.run, record.benchmark, record.decoding))
        return BenchResult(tuple(Evaluation(record) for record in records), self.judges.spent)

    def estimates(self) -> list[BenchCost]:
        """What `run` would ask of models and judge; loads no model."""
        from workflows.cost import added_cost, spec_cost

        pairs = [(item, self.root, model, self.judges) for model in self.models for item in self.benchmarks]
        how = {"loading": self.loading["loading"], "scoring": self.scoring}
        sure = [spec_cost(self.store, *pair, fresh=self.fresh, **how) for pair in pairs]
        return [*sure, *filter(None, (added_cost(self.store, *pair, **how) for pair in pairs))]

    def answer_shard(self, shard: Shard, progress: Progress) -> list[dict[str, Any]]:
        """Answer one part of every benchmark and store the answers; nothing is judged."""
        from harness.cluster.connection import connected
        from workflows.activity import working
        from workflows.bench import answer_shard
        from workflows.interruption import kept_answers

        arguments = [(self.store, model, self.benchmarks, self.root, shard) for model in self.models]
        items = [f"{model.run}: shard {shard}" for model in self.models]
        if any(item.bracket for item in self.benchmarks):
            raise UsageError("--eos-bias auto and --shard: which points follows from scores; give them as numbers.")
        with (
            working(self.store, "bench", items) as work,
            kept_answers(self.store, work.watch(progress)) as watched,
            connected(self.cluster, self.loading["device"], watched) as cluster,
        ):
            how = {"fresh": self.fresh, "cluster": cluster, "progress": watched, **self.loading}
            return [row for given in arguments for row in answer_shard(*given, **how)]


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What `score` is asked for; the same words as its options."""

    benchmark: str
    responses: str | Path
    data_dir: str | Path
    name: str | None = None
    judge: str | None = None
    replies: str | Path | None = None
    budget: float | None = None
    prices: str | Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cluster: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None
    db: str | Path = DB

    def __post_init__(self) -> None:
        cluster_of(self)
        if self.name is not None:
            require_name("--name", self.name)
        else:
            require_text(
                "--responses: the row is named after this file (--name names it otherwise)", Path(self.responses).stem
            )

    def estimate(self) -> BenchCost:
        """What the judge will be asked, counted from the answers that are there."""
        from harness.store import Store
        from workflows.cost import bench_cost
        from workflows.score import read_answers

        judges, settings, _, root = self._judges()
        given = read_answers(self.benchmark, settings, Path(self.responses), root)
        store, model = Store.planning(self.db), f"replay:{self.responses}"
        return bench_cost(store, given.benchmark, given.samples, model, judges, root, answers=given.answers)

    def run(self, progress: Progress) -> Evaluation:
        """Judge the answers and store the evaluation."""
        from harness.cluster.connection import connected
        from harness.store import Store
        from workflows.activity import working
        from workflows.interruption import kept_answers
        from workflows.score import read_answers
        from workflows.score import score as evaluate

        judges, settings, scoring, root = self._judges()
        judges.check([BenchmarkSpec(self.benchmark, settings)], Path(self.data_dir))
        given, store = read_answers(self.benchmark, settings, Path(self.responses), root), Store(self.db)
        items = [f"{self.name or Path(self.responses).stem} on {self.benchmark}"]
        with (
            working(store, "score", items) as work,
            kept_answers(store, work.watch(progress)) as watched,
            connected(cluster_of(self), progress=watched) as judges.cluster,
        ):
            judges.progress = watched
            record = evaluate(store, given, settings, Path(self.responses), root, judges, watched, scoring, self.name)
        return Evaluation(record, tuple(given.missing), judges.spent)

    def _judges(self) -> tuple[Judges, dict[str, Any], ScoringSettings, Path]:
        """The judge, the benchmark's settings, what of the answers is scored, and the benchmark's folder."""
        from harness.evaluation.resolve import data_dir
        from workflows.judging import Judges

        if self.judge and self.replies:
            raise UsageError("--judge and --replies: give one of them.")
        check_settings(self.settings)
        settings = nested(self.settings)
        judge, scoring = take(settings, "judge"), scoring_of(settings)
        spec = f"replay:{self.replies}" if self.replies else self.judge
        dealt, folder = deal_benchmarks([self.benchmark], settings), data_dir(self.benchmark, Path(self.data_dir))
        judges = Judges.of(spec, judge, self.budget, text_of(self.prices))
        return judges, dealt[self.benchmark], scoring, folder


def cluster_of(options: BenchOptions | ScoreOptions) -> ClusterOptions:
    """Where the work is done, as the options say. Raises UsageError where they contradict each other."""
    from harness.cluster.connection import ClusterOptions

    return ClusterOptions(cluster=options.cluster, workers=options.workers, gpus_per_worker=options.gpus_per_worker)


def _item(run: str, benchmark: str, decoding: Mapping[str, Any]) -> str:
    """One model on one benchmark, as `status` names it; points of a coverage curve by their bias."""
    bias = float(decoding.get("eos_bias", 0))
    return f"{run} on {benchmark}" + (f" at EOS bias {bias:+g}" if bias else "")


def scoring_of(settings: dict[str, Any]) -> ScoringSettings:
    """Take the settings called scoring.NAME out of ``settings``: what of an answer is scored."""
    from harness.evaluation.spoken import ScoringSettings

    return build(ScoringSettings, take(settings, "scoring"), "scoring")


def several(names: Names) -> tuple[str, ...]:
    """One name or several, as several, each once."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def text_of(value: str | Path | None) -> str | None:
    return None if value is None else str(value)


def _models(model: Models) -> list[str]:
    """The models' specs; what ``align`` returned is its run, a path is the directory of a model."""
    several = [model] if isinstance(model, str | Path | AlignResult) else list(model or ())
    specs = [item.model if isinstance(item, AlignResult) else item for item in several]
    return [f"hf:{spec}" if isinstance(spec, Path) else spec for spec in specs]
