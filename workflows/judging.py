"""Which judge a command uses: its name and settings from the options, opened once for all benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.chat.prices import load_prices
from harness.cluster.connection import Cluster
from harness.cluster.models import ClusterJudge
from harness.errors import UsageError
from harness.evaluation.resolve import data_dir, make_benchmark
from harness.judges.registry import has_setting, judge_kind, judge_settings, make_judge
from harness.protocols.benchmark import Benchmark
from harness.protocols.external import ExternalBenchmark
from harness.protocols.judge import Judge
from harness.protocols.progress import Progress, silent
from workflows.benchmark_spec import BenchmarkSpec
from workflows.embedded import is_embedded


@dataclass
class Judges:
    """The judge named by ``--judge``, opened on first use.

    A judge that reads no data or has a budget serves all benchmarks and models of a command, so that it is loaded once,
    and one budget holds for all; others belong to one data directory.
    """

    spec: str | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cluster: Cluster | None = None
    """Whose workers hold judges that have a model of their own (``Judge.local``); None: this process."""
    progress: Progress = silent
    """Called as workers of a judge get ready."""
    _opened: dict[tuple[str, str], Judge] = field(default_factory=dict)

    @classmethod
    def of(
        cls, spec: str | None, settings: Mapping[str, Any], budget: float | None = None, prices: str | None = None
    ) -> Judges:
        """From `--judge`, `--set judge.*`, `--budget` and `--prices`.

        A judge without prices is not given the file, which is refused all the same where it holds none.
        """
        load_prices(Path(prices) if prices else None)
        if budget is not None and (spec is None or not has_setting(spec, "budget")):
            raise UsageError(
                "--budget: only a judge that costs money has one, such as --judge openai:NAME[@BASE_URL]; see `list "
                "judges` for those with a setting `budget`."
            )
        given = {"budget": budget, "prices": prices}
        taken = {n: value for n, value in given.items() if value is not None and spec and has_setting(spec, n)}
        if spec:
            judge_settings(spec, {**settings, **taken})  # what is wrong is an error before a model answers
        return cls(spec, {**settings, **taken})

    def named(self, benchmark: Benchmark, folder: Path) -> str | None:
        """The judge's spec: as given, or the rule judge where the data are the embedded world's."""
        return self.spec or ("rule" if is_embedded(folder) else None)

    def required(self, benchmark: Benchmark, folder: Path) -> str | None:
        """The spec of the judge a benchmark needs, None if it needs none; real data without --judge: a UsageError."""
        if not benchmark.needs_judge:
            return None
        spec = self.named(benchmark, folder)
        if spec is None:
            raise UsageError(
                f"{benchmark.name} is scored by a judge: name one with --judge, for example "
                "--judge openai:gpt-4o-mini or --judge openai:NAME@http://HOST:PORT/v1."
            )
        return spec

    def check(self, benchmarks: Sequence[BenchmarkSpec], root: Path | None, *, only_estimate: bool = False) -> None:
        """Raise the UsageError that judging ``benchmarks`` would end in, before a model is loaded.

        ``root`` holds their data; None: the embedded world does, which may not be built yet, so that a judge that reads
        them is not looked at. ``only_estimate`` as of ``make_judge``.
        """
        asked = dict[tuple[str, str], Path]()
        for item in benchmarks:
            benchmark = make_benchmark(item.name, item.settings)
            if isinstance(benchmark, ExternalBenchmark) or not benchmark.needs_judge:
                continue
            folder = Path() if root is None else data_dir(item.name, root)
            spec = self.spec if root is None else self.required(benchmark, folder)
            if spec is not None and not (root is None and judge_kind(spec).reads_data):
                asked[_made_for(spec, folder)] = folder
        for (spec, _), folder in asked.items():
            make_judge(spec, folder, self.settings, only_estimate=only_estimate)

    def open(self, benchmark: Benchmark, folder: Path) -> Judge | None:
        """The judge a benchmark needs, as of ``required``."""
        spec = self.required(benchmark, folder)
        if spec is None:
            return None
        key = _made_for(spec, folder)
        if key not in self._opened:
            made = make_judge(spec, folder, self.settings)
            if self.cluster is not None and made.local:
                made = ClusterJudge(self.cluster, made, spec, folder, self.settings, self.progress)
            self._opened[key] = made
        return self._opened[key]

    def opened(self, benchmark: Benchmark, folder: Path) -> Judge:
        """The judge of a benchmark that needs one; a UsageError for others."""
        judge = self.open(benchmark, folder)
        if judge is None:
            raise UsageError(f"{benchmark.name} is scored without a judge.")
        return judge

    def estimated(self, benchmark: Benchmark, folder: Path) -> Judge | None:
        """The judge that a benchmark would be scored by, not to be asked; None if it needs none or has none yet."""
        spec = self.named(benchmark, folder)
        if spec is None or not benchmark.needs_judge:
            return None
        return make_judge(spec, folder, self.settings, only_estimate=True)

    @property
    def spent(self) -> float | None:
        """USD spent by the judges opened here; None where nothing has a price."""
        known = [judge.spent for judge in self._opened.values() if judge.spent is not None]
        return sum(known) if known else None


def _made_for(spec: str, folder: Path) -> tuple[str, str]:
    """What one judge serves: its spec, and the directory where it belongs to one, else ""."""
    return spec, str(folder) if judge_kind(spec).reads_data and not has_setting(spec, "budget") else ""
