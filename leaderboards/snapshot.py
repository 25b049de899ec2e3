"""The store as leaderboards see it: everything is read once, when it is first asked for, and kept."""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.evaluation.resolve import make_benchmark
from harness.evaluation.score import metrics_of, trivial_of
from harness.evaluation.trivial import TrivialFigures
from harness.protocols.benchmark import Metric
from harness.store import AlignmentRecord, EvaluationRecord, Store, VerdictRecord
from harness.util.options import content_key
from leaderboards.condition import condition_of, marked
from leaderboards.run_groups import RunGroups, current_evaluations, run_groups, stale_evaluations
from leaderboards.selection import EVERYTHING, Selection
from leaderboards.verdict_table import VerdictTable

Answer = tuple[str | None, Mapping[str, Any]]
"""A model's answer, and the details of its verdict that are shown to people."""


class Snapshot:
    """A store while tables, charts and pages are made of it; what is written to it meanwhile is not seen.

    Of it only what the ``selection`` shows. Verdicts are kept as small arrays, and their answers compressed: one of
    15,000 verdicts takes about a megabyte.
    """

    def __init__(self, store: Store, selection: Selection = EVERYTHING) -> None:
        self.store, self.selection = store, selection
        self._faults: dict[str, str | None] = {}
        self._samples: dict[str, list[dict[str, Any]]] = {}
        self._metrics: dict[str, Sequence[Metric]] = {}
        self._trivial: dict[str, TrivialFigures] = {}
        self._verdicts: dict[int, tuple[VerdictTable, bytes]] = {}
        self._logs: dict[str, list[dict[str, Any]]] = {}
        self._gaps: dict[str, list[tuple[int, str, str, float]]] = {}
        self._hardness: dict[tuple[str, str], dict[str, float]] = {}
        self._shared: dict[tuple[str, ...], tuple[str, ...]] = {}

    @classmethod
    def reading(cls, db: str | Path, *named: str) -> Snapshot:
        """What a results file holds without its hidden runs (`db hide`), but for those that are ``named``."""
        store = Store.reading(db)
        return cls(store, Selection(hidden=store.hidden_runs() - {*named}))

    @cached_property
    def stored(self) -> list[EvaluationRecord]:
        """All evaluations that are shown, oldest first."""
        return [e for e in self.all_stored if self.selection.shows(e, self.all_groups)]

    @cached_property
    def _every_evaluation(self) -> list[EvaluationRecord]:
        return marked(self.store.evaluations())

    @cached_property
    def all_stored(self) -> list[EvaluationRecord]:
        """All evaluations of runs that are not hidden, oldest first."""
        return [e for e in self._every_evaluation if not self.selection.hides(e)]

    @cached_property
    def evaluations(self) -> list[EvaluationRecord]:
        """The evaluations whose figures can be computed here, oldest first."""
        return [e for e in self.stored if self._fault(e) is None]

    @cached_property
    def counted(self) -> list[EvaluationRecord]:
        """``evaluations`` and those of their benchmarks that only the filters leave out, oldest first: all that
        p-values are adjusted over."""
        benchmarks = {e.benchmark for e in self.evaluations}
        return [e for e in self.all_stored if e.benchmark in benchmarks and self._fault(e) is None]

    @cached_property
    def hidden(self) -> list[EvaluationRecord]:
        """The evaluations of hidden runs: they are withdrawn, and not counted."""
        return [e for e in self._every_evaluation if self.selection.hides(e)]

    @cached_property
    def left_out(self) -> dict[str, str]:
        """By benchmark how many evaluations are not in ``evaluations`` and why: its package was uninstalled, cannot be
        used, or takes other settings now, or verdicts of theirs are lost; and whose last one is poorer."""
        faults: dict[str, list[str]] = defaultdict(list)
        for e in self.stored:
            if (fault := self._fault(e)) is not None:
                faults[e.benchmark].append(fault)
        said = {
            name: f"{len(each)} evaluation{'s' * (len(each) > 1)} of {name} left out: {' '.join(dict.fromkeys(each))} "
            "`show` and `export` have them as they were stored."
            for name, each in faults.items()
        }
        for e in self._poorer:
            scored = "nothing was" if not e.n_scored else f"only {e.n_scored} of {e.n} samples were"
            line = (
                f"{e.run} on {e.benchmark}: {scored} scored the last time ({e.n_failed} of {e.n} failed); the "
                "figures are of the evaluation before, perhaps of other answers. Run it again."
            )
            said[e.benchmark] = f"{said[e.benchmark]} {line}" if e.benchmark in said else line
        return said

    @property
    def _poorer(self) -> list[EvaluationRecord]:
        """The evaluations after which an earlier one of the same run and condition stands, since it has more scores."""
        last = {(e.run, condition_of(e)): e for e in self.evaluations if not self.groups.outdated(e)}
        stands = {(e.run, condition_of(e)): e.id for e in self.current}
        return [e for which, e in last.items() if stands.get(which, e.id) != e.id]

    @cached_property
    def every_alignment(self) -> dict[str, AlignmentRecord]:
        """All alignments by name, hidden or not, oldest first."""
        return {a.name: a for a in self.store.alignments()}

    @cached_property
    def alignments(self) -> list[AlignmentRecord]:
        """All alignments that are not hidden under their own names, oldest first."""
        return [a for name, a in self.every_alignment.items() if name not in self.selection.hidden]

    @cached_property
    def all_groups(self) -> RunGroups:
        """All of these under the names that tables give them."""
        return run_groups(self.alignments)

    @cached_property
    def groups(self) -> RunGroups:
        """The alignments that are shown under the names that tables give them."""
        return self.selection.of_groups(self.all_groups)

    @cached_property
    def current(self) -> list[EvaluationRecord]:
        """The evaluations that tables are made of."""
        return current_evaluations(self.evaluations, self.groups)

    @cached_property
    def stale(self) -> dict[str, list[str]]:
        """By run, benchmarks that were only run before the run was aligned anew."""
        return stale_evaluations(self.evaluations, self.groups)

    @cached_property
    def generation_totals(self) -> dict[str, tuple[int, int, float]]:
        """By model key: answers, their tokens, the seconds they took."""
        return self.store.generation_totals()

    def _fault(self, evaluation: EvaluationRecord) -> str | None:
        """Why the figures of an evaluation cannot be computed here; None if they can."""
        return self._unmade(evaluation) or self._lost(evaluation)

    def _lost(self, evaluation: EvaluationRecord) -> str | None:
        """Of an evaluation that lacks verdicts what it lacks: its figures would be those of a part."""
        stored, runs = self._verdict_counts.get(evaluation.id, (0, 1))
        runs = max(runs, evaluation.info.get("judging", {}).get("runs", 1))
        wanted = (evaluation.n_scored + evaluation.n_failed) * runs
        if stored >= wanted:
            return None
        return (
            f"of {evaluation.run} {stored} of {wanted} verdicts are stored, the others are lost (a damaged file?): "
            "`bench` it again, which scores the answers that are stored."
        )

    @cached_property
    def _verdict_counts(self) -> dict[int, tuple[int, int]]:
        return self.store.verdict_counts()

    def _unmade(self, evaluation: EvaluationRecord) -> str | None:
        """Why the benchmark of an evaluation cannot be made with the settings that it had then; None if it can."""
        key = content_key(evaluation.benchmark, evaluation.settings)
        if key not in self._faults:
            try:
                make_benchmark(evaluation.benchmark, evaluation.settings)
                self._faults[key] = None
            except HarnessError as error:
                self._faults[key] = str(error)
            except Exception as error:  # whatever another package's code raises: the others are shown
                self._faults[key] = f"making it raised {type(error).__name__}: {error}."
        return self._faults[key]

    def samples(self, data_key: str) -> list[dict[str, Any]]:
        """The samples of a data set, in its order."""
        if data_key not in self._samples:
            self._samples[data_key] = self.store.samples(data_key)
        return self._samples[data_key]

    def metrics(self, evaluation: EvaluationRecord) -> Sequence[Metric]:
        """The metrics of an evaluation, to be computed from its verdicts."""
        directions = {name: row.get("higher_is_better") for name, row in evaluation.metrics.items()}
        key = content_key(evaluation.benchmark, evaluation.settings, evaluation.data_key, directions)
        if key not in self._metrics:
            self._metrics[key] = metrics_of(evaluation, self.samples)
        return self._metrics[key]

    def trivial(self, evaluation: EvaluationRecord) -> TrivialFigures:
        """What answers that need no model score on the samples of an evaluation."""
        key = content_key(evaluation.benchmark, evaluation.settings, evaluation.data_key)
        if key not in self._trivial:
            self._trivial[key] = trivial_of(evaluation, self.samples, self.metrics(evaluation))
        return self._trivial[key]

    def verdicts(self, evaluation: EvaluationRecord) -> VerdictTable:
        """The verdicts of an evaluation, by sample id and judge run."""
        return self._read(evaluation)[0]

    def answers(self, evaluation: EvaluationRecord) -> list[Answer]:
        """Answer and details of every row of ``verdicts``."""
        return [(answer, details) for answer, details in json.loads(zlib.decompress(self._read(evaluation)[1]))]

    def train_log(self, alignment: str) -> list[dict[str, Any]]:
        """What an alignment logged at every optimiser step."""
        if alignment not in self._logs:
            self._logs[alignment] = self.store.train_log(alignment)
        return self._logs[alignment]

    def gaps(self, alignment: str) -> list[tuple[int, str, str, float]]:
        """The reward gaps of an alignment's probe pairs: (step, split, pair id, nats)."""
        if alignment not in self._gaps:
            self._gaps[alignment] = self.store.gaps(alignment)
        return self._gaps[alignment]

    def pair_hardness(self, alignment: str, split: str) -> dict[str, float]:
        """Hardness delta by pair id."""
        key = alignment, split
        if key not in self._hardness:
            self._hardness[key] = self.store.pair_hardness(alignment, split)
        return self._hardness[key]

    def _read(self, evaluation: EvaluationRecord) -> tuple[VerdictTable, bytes]:
        if evaluation.id not in self._verdicts:
            records = self.store.verdicts(evaluation.id)
            self._verdicts[evaluation.id] = self._table(records), _packed(records)
        return self._verdicts[evaluation.id]

    def _table(self, records: Sequence[VerdictRecord]) -> VerdictTable:
        """The records' table; evaluations of the same samples share their names."""
        table = VerdictTable.of(records)
        samples, groups = (self._shared.setdefault(names, names) for names in (table.samples, table.groups))
        return replace(table, samples=samples, groups=groups)


def _packed(records: Sequence[VerdictRecord]) -> bytes:
    """The records' answers and details, compressed; ASCII, so that no broken character of an answer is lost."""
    return zlib.compress(json.dumps([(record.answer, record.details) for record in records]).encode("ascii"), 1)
