"""Which benchmarks an ablation runs, and whether a model's evaluations on them are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.evaluation.resolve import data_dir, data_key, load, make_benchmark
from harness.protocols.benchmark import BENCHMARKS
from harness.protocols.external import ExternalBenchmark
from harness.store import Store
from harness.util.options import content_key, keyed
from leaderboards.snapshot import Snapshot
from workflows.ablation import Ablation
from workflows.bench import resolve_benchmarks
from workflows.benchmark_spec import BenchmarkSpec
from workflows.curve_points import lacks_points
from workflows.embedded import SETTINGS, data_root
from workflows.eval_models import EvalModel
from workflows.judging import Judges
from workflows.suites import members_of

Files = dict[str, tuple[str | None, ...]]
"""What the files of a benchmark say of its evaluations: name, version, judge and data, by a key of its settings."""


@dataclass(frozen=True)
class Read:
    """What is read once for all models that are looked for: the store as it is now, and benchmarks' files."""

    snapshot: Snapshot
    files: Files = field(default_factory=dict)


def is_benched(
    store: Store, eval_model: EvalModel, ablation: Ablation, since: int = 0, read: Read | None = None
) -> bool:
    """Whether every evaluation of ``eval_model`` is there, complete, not before number ``since``, of the same samples
    under the benchmarks' present versions, by the embedded world's judge, and its coverage curve lacks no point.

    Never so with a judge of its own: what that would say now, only its stored replies show. ``read`` keeps what
    was read for another model.
    """
    wanted = wanted_of(ablation)
    if ablation.judge is not None or any(issubclass(BENCHMARKS.get(item.name), ExternalBenchmark) for item in wanted):
        return False
    root = data_root(ablation.data_dir, world=ablation.world, split=ablation.split)
    stored = {
        (e.benchmark, e.version, e.judge, e.data_key, content_key(e.decoding))
        for e in store.evaluations(run=eval_model.run)
        if e.model == eval_model.spec and e.n_scored == e.n and e.id >= since
    }
    read = read or Read(Snapshot(store))
    return all(_expected(item, root, read.files) in stored for item in wanted) and not lacks_points(
        read.snapshot, eval_model.run, wanted
    )


def _expected(item: BenchmarkSpec, root: Path, files: Files) -> tuple[str | None, ...]:
    """What distinguishes a benchmark's evaluation from others of the same model."""
    benchmark, folder = make_benchmark(item.name, item.settings), data_dir(item.name, root)
    settings = {name: value for name, value in item.settings.items() if name != "decoding"}  # no file depends on it
    key = content_key(item.name, settings, item.limit)
    if key not in files:
        data = load(benchmark, folder, item.limit)
        judge = Judges(None).named(benchmark, folder) if benchmark.needs_judge else "none"
        files[key] = (benchmark.name, data.version, judge, data_key(benchmark.name, data.samples))
    return *files[key], content_key(keyed(benchmark.decoding))


def wanted_of(ablation: Ablation) -> list[BenchmarkSpec]:
    """The benchmarks of an ablation with their settings."""
    members = members_of(ablation.suite, ablation.benchmarks)
    defaults = None if ablation.data_dir else SETTINGS
    return resolve_benchmarks(members, {}, defaults, ablation.limit, ablation.eos_biases)
