"""A model under test and a judge whose work is done by the workers of a cluster."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.holder import Part, collected
from harness.cluster.work import Lost, Work
from harness.cluster.workers import Workers
from harness.evaluation.plugged import each_once
from harness.judges.registry import make_judge
from harness.models.spec import MODELS, ModelSpec, load_model, parse_spec
from harness.protocols.benchmark import Decoding, Sample
from harness.protocols.conversation import Turn
from harness.protocols.judge import Judge, JudgeRequest, Reply
from harness.protocols.model import Answer, Model
from harness.protocols.probe import Encode, Probe
from harness.protocols.progress import Progress, silent


@dataclass(frozen=True)
class ModelFacts:
    """What a loaded model says of itself (see ``Model``)."""

    name: str
    spec: str
    key: str
    route: str
    asked_with: Mapping[str, Any]
    batch_size: int


def computes_here(spec: str) -> bool:
    """Whether the answers of the model ``spec`` are computed where it is loaded: else workers are of no use."""
    kind = MODELS.get(parse_spec(spec).kind)
    return not (kind.recorded or kind.served)


class ClusterModel(Model):
    """A model on the workers of ``cluster``: questions about one image are answered by one of them.

    ``make(*arguments)`` makes it in each of them, with its facts; ``named`` is it in messages.
    """

    def __init__(
        self,
        cluster: Cluster,
        named: str,
        make: Callable[..., tuple[Model, ModelFacts]],
        *arguments: Any,
        progress: Progress = silent,
    ) -> None:
        self._workers = Workers(cluster, f"model {named}", make, *arguments, progress=progress)
        facts: ModelFacts = self._workers.start()
        self.name, self.spec, self.key, self.route = facts.name, facts.spec, facts.key, facts.route
        self.asked_with, self.batch_size = facts.asked_with, facts.batch_size

    @classmethod
    def load(
        cls,
        cluster: Cluster,
        spec: str,
        settings: Mapping[str, Any],
        files: ModelSpec | None = None,
        progress: Progress = silent,
    ) -> ClusterModel:
        """The model ``spec`` with its ``settings``, as of ``load_model``.

        ``files`` are those of a ``run:NAME``, which workers cannot look up.
        """
        return cls(cluster, spec, _loaded, spec, cluster.device, dict(settings), files, progress=progress)

    @property
    def ready(self) -> int:
        """Workers that hold it."""
        return self._workers.ready

    def close(self) -> None:
        """End its workers."""
        self._workers.stop()

    def decodes(self, asked: Decoding) -> Decoding:
        decoding: Decoding = self._workers.call(_decodes, asked)
        return decoding

    def probe(self, encode: Encode | None = None, turns: Sequence[Turn] = ()) -> Probe | None:
        found: Probe | None = self._workers.call(_probe, encode, tuple(turns))
        return found

    def generate(self, samples: Sequence[Sample], decoding: Decoding) -> Iterator[tuple[int, Answer]]:
        """Answers as calls of about a batch end; an error for one, where its workers were lost again and again."""
        images: dict[str, list[int]] = {}
        for position, sample in enumerate(samples):
            images.setdefault(sample.image_group, []).append(position)
        units = list(images.values())

        def asked(places: list[int]) -> Sequence[Any]:
            return [dataclasses.replace(samples[place], resources=None) for place in places], decoding

        work = Work([len(unit) for unit in units], self.batch_size)
        yield from _results(self._workers, work, units, _answers, asked, lambda reason: Answer(None, reason))


class ClusterJudge(Judge):
    """``judge``, made here and asked nothing, whose questions the workers of ``cluster`` answer with others like it."""

    def __init__(
        self,
        cluster: Cluster,
        judge: Judge,
        spec: str,
        root: Path,
        settings: Mapping[str, Any],
        progress: Progress = silent,
    ) -> None:
        self._judge = judge
        self._workers = Workers(cluster, f"judge {spec}", _judge, spec, root, dict(settings), progress=progress)
        self.Settings = judge.Settings  # type: ignore[misc]
        self.name, self.endpoint, self.model, self.variant = judge.name, judge.endpoint, judge.model, judge.variant
        self.concurrency, self.runs, self.recorded = judge.concurrency, judge.runs, judge.recorded
        self.keyed_by_sample, self.ids = judge.keyed_by_sample, judge.ids

    def ask(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Reply]]:
        def asked(places: list[int]) -> Sequence[Any]:
            return ([requests[place] for place in places],)

        units = [[position] for position in range(len(requests))]
        work = Work([1] * len(units), max(1, self.concurrency))
        failed = lambda reason: Reply(None, self.model, error=reason)  # noqa: E731
        yield from _results(self._workers, work, units, _replies, asked, failed)

    def recall(self, stored: Reply) -> Reply | None:
        return self._judge.recall(stored)

    def cost(self, usage: Mapping[str, Any]) -> float | None:
        return self._judge.cost(usage)

    @property
    def spent(self) -> float | None:
        return self._judge.spent


def _results(
    workers: Workers,
    work: Work,
    units: Sequence[Sequence[int]],
    function: Callable[..., Part],
    asked: Callable[[list[int]], Sequence[Any]],
    failed: Callable[[str], Any],
) -> Iterator[tuple[int, Any]]:
    """(position, result) of every question of ``units``, as calls end; an error after what came before it."""
    warned: set[str] = set()

    def places(chosen: Sequence[int]) -> list[int]:
        return [position for unit in chosen for position in units[unit]]

    for chosen, part in workers.each(work, function, lambda chosen: asked(places(chosen))):
        at = places(chosen)
        if isinstance(part, Lost):
            yield from ((position, failed(part.reason)) for position in at)
            continue
        for text in [text for text in part.warnings if text not in warned]:
            warned.add(text)
            warnings.warn(text, stacklevel=2)
        yield from ((at[place], result) for place, result in part.made)
        if part.error is not None:
            raise part.error


def _loaded(spec: str, device: str, settings: Mapping[str, Any], files: ModelSpec | None) -> tuple[Model, ModelFacts]:
    model = load_model(spec, device=device, settings=settings, runs=None if files is None else lambda name: files)
    return model, facts_of(model)


def facts_of(model: Model) -> ModelFacts:
    """What ``model`` says of itself."""
    return ModelFacts(model.name, model.spec, model.key, model.route, dict(model.asked_with), model.batch_size)


def _decodes(model: Model, asked: Decoding) -> Decoding:
    return model.decodes(asked)


def _probe(model: Model, encode: Encode | None, turns: Sequence[Turn]) -> Probe | None:
    return model.probe(encode, turns)


def _answers(model: Model, samples: Sequence[Sample], decoding: Decoding) -> Part:
    of_model = f"model {model.name}: generate", Answer(None, "the model gave no answer")
    return collected(each_once(model.generate(samples, decoding), len(samples), *of_model))


def _judge(spec: str, root: Path, settings: Mapping[str, Any]) -> tuple[Judge, tuple[str, str, str]]:
    judge = make_judge(spec, root, settings)
    judge.load()  # before any question is at this worker, which may be lost meanwhile
    return judge, (judge.name, judge.endpoint, judge.variant)


def _replies(judge: Judge, requests: Sequence[JudgeRequest]) -> Part:
    of_judge = f"judge {judge.name}: ask", Reply(None, "", "the judge gave no reply")
    return collected(each_once(judge.ask(requests), len(requests), *of_judge))
